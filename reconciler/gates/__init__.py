"""Gates check a collection before an alias points to it: one file per gate.

A gate is one object (`gate.Gate`): settings, evaluation, needs and cost. To add one, write its file and add it to
`registry.GATES`; manifests and their schemas, plans, the journal, `check`, `--skip-gate` and the reference read it
from there. Gates read, and never write.
"""

from __future__ import annotations

from reconciler.gates.evaluation import evaluate_gates, evaluate_sets, without_evaluation
from reconciler.gates.registry import GATES, cheap_gates, unknown_gate, watched_gates
from reconciler.gates.specification import decode_gates, specification_schema

__all__ = [
    "GATES",
    "cheap_gates",
    "decode_gates",
    "evaluate_gates",
    "evaluate_sets",
    "specification_schema",
    "unknown_gate",
    "watched_gates",
    "without_evaluation",
]

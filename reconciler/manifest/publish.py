"""`python -m reconciler.manifest.publish [FOLDER]` writes `schemas/` and `crds/` anew in the repository at FOLDER.

A test fails while the files in the repository differ from what this would write.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import yaml

from reconciler.manifest.schema import KINDS, custom_resource_definition

_HEADER = "# Written by `python -m reconciler.manifest.publish` from reconciler/manifest/shape.py.\n"


def published() -> Iterator[tuple[str, str]]:
    """Every generated file: its path in the repository, and its text."""
    for kind, schema in KINDS.items():
        yield f"schemas/{kind.lower()}.schema.json", json.dumps(schema, indent=2) + "\n"
        definition = yaml.safe_dump(custom_resource_definition(kind), sort_keys=False, width=120)
        yield f"crds/{kind.lower()}s.aliasctl.dev.yaml", _HEADER + definition


if __name__ == "__main__":
    root = Path(sys.argv[1] if len(sys.argv) > 1 else ".")
    for path, text in published():
        (root / path).write_text(text, encoding="utf-8")

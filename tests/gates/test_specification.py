"""The gates as plans have them: the form behind every digest, which must stay the same from version to version."""

from __future__ import annotations

import hashlib
import json
from io import BytesIO
from pathlib import Path

import msgspec
import pytest

from reconciler.core.gates import Gates, OnUnknown
from reconciler.gates import decode_gates, unknown_gate
from reconciler.gates.canary import CanaryGate
from reconciler.gates.loaded import LoadedGate
from reconciler.manifest import read

QUERIES = '{"vector": [0.1, 0.2]}\n'
SHA256 = hashlib.sha256(QUERIES.encode()).hexdigest()

# Gates in a manifest, and what version 0.1.0 digested for them.
GOLDEN = {
    "{}": "{}",
    "{loaded: {}}": '{"loaded":{"enabled":true}}',
    "{loaded: {enabled: false, replicas: 3}}": '{"loaded":{"enabled":false}}',
    "{loaded: {replicas: 2.0}}": '{"loaded":{"enabled":true,"replicas":2}}',
    "{indexed: {}}": '{"indexed":{}}',
    "{rows: {min: 1000, max: 2e3, minPercentOfCurrent: 95, maxPercentOfCurrent: 120.5}}": (
        '{"rows":{"max":2000,"maxPercentOfCurrent":120.5,"min":1000,"minPercentOfCurrent":95.0}}'
    ),
    "{rows: {minPercentOfCurrent: 1e300}}": '{"rows":{"minPercentOfCurrent":1e+300}}',
    "{rows: {enabled: false}}": "{}",
    "{schema: {}}": '{"schema":{"allowChanges":[],"policy":"Compatible"}}',
    "{schema: {policy: Identical, allowChanges: [title, $meta, body, title]}}": (
        '{"schema":{"allowChanges":["$meta","body","title"],"policy":"Identical"}}'
    ),
    '{contract: {properties: {version: "3", embedding_model: bge-m3}}}': (
        '{"contract":{"properties":{"embedding_model":"bge-m3","version":"3"}}}'
    ),
    "{canary: {minOverlap: 1}}": '{"canary":{"k":10,"minOverlap":1.0,"sample":20}}',
    "{canary: {k: 5, minOverlap: 0.85, maxLatencyRatio: 2, sample: 50.0, field: embedding}}": (
        '{"canary":{"field":"embedding","k":5,"maxLatencyRatio":2.0,"minOverlap":0.85,"sample":50}}'
    ),
    "{canary: {minOverlap: 0.6, queriesFile: q.jsonl, k: 7}}": (
        f'{{"canary":{{"k":7,"minOverlap":0.6,"queriesSha256":"{SHA256}"}}}}'
    ),
    "{canary: {enabled: false}}": "{}",
    "{onUnknown: Pass, indexed: {}}": '{"indexed":{},"onUnknown":"Pass"}',
    "{onUnknown: Fail}": "{}",
}


def written(gates: str) -> Gates:
    """The gates of an alias, from a manifest."""
    spec = f"  connectionRef: {{name: p}}\n  gates: {gates}\n  aliases: [{{name: a, collection: b}}]\n"
    head = "apiVersion: aliasctl.dev/v1alpha1\nkind: AliasSet\nmetadata: {name: s}\nspec:\n"
    return read(["-"], stdin=BytesIO((head + spec).encode())).sets[0].aliases[0].gates


@pytest.mark.parametrize(("manifest", "digested"), GOLDEN.items())
def test_what_a_digest_is_made_of_stays_as_it_was_and_reads_back(
    manifest: str, digested: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("q.jsonl").write_text(QUERIES)
    gates = written(manifest)
    canonical = json.dumps(gates.specification(paths=False), sort_keys=True, separators=(",", ":"))
    assert canonical == digested
    assert decode_gates(json.loads(json.dumps(gates.specification()))) == gates


def test_a_plan_names_the_file_that_a_digest_leaves_out() -> None:
    gate = CanaryGate(0.5, queries_file="/q.jsonl", queries_sha256=SHA256)
    assert gate.specification().keys() - gate.specification(paths=False).keys() == {"queriesFile"}


@pytest.mark.parametrize(
    ("specification", "message"),
    [
        ({"rows": {"min": "many"}}, "Expected `int | null`, got `str` - at `$.rows.min`"),
        ({"rows": {"least": 1}}, "Object contains unknown field `least` - at `$.rows`"),
        ({"canary": {"k": 1}}, "Object missing required field `minOverlap` - at `$.canary`"),
        ({"onUnknown": "Maybe"}, "Invalid enum value 'Maybe'"),
        ({"rows": {}, "vibes": {}}, unknown_gate('"vibes"')),
    ],
)
def test_what_no_gate_declares_is_refused(specification: dict[str, object], message: str) -> None:
    with pytest.raises(msgspec.ValidationError) as refusal:
        decode_gates(specification)
    assert str(refusal.value) == message


def test_a_lenient_reader_passes_over_what_a_newer_version_wrote() -> None:
    gates = decode_gates({"loaded": {"replicas": 2, "newer": 1}, "newer": {}, "onUnknown": "Pass"}, lenient=True)
    assert gates == Gates(LoadedGate(replicas=2), on_unknown=OnUnknown.PASS)

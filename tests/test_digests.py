"""Digests that were published: plans, statuses and journals of earlier versions are compared with those of today."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from reconciler.core.model import AliasSet
from reconciler.core.options import Options
from reconciler.core.plan import Plan, set_spec_hash, spec_digest
from reconciler.manifest import Overrides, read, resolve
from reconciler.reconcile import make_plan
from tests.builders import LOCAL, catalogs, server

MANIFEST = """\
apiVersion: aliasctl.dev/v1alpha1
kind: MilvusConnection
metadata: {name: main}
spec: {uri: "http://localhost:19530"}
---
apiVersion: aliasctl.dev/v1alpha1
kind: MilvusConnection
metadata: {name: proxy}
spec: {uri: "http://proxy.example.com"}
---
apiVersion: aliasctl.dev/v1alpha1
kind: AliasSet
metadata: {name: search}
spec:
  connectionRef: {name: main}
  scope: {include: ["search_*"], exclude: ["search_tmp_*"], protect: [search_main]}
  aliases:
  - {name: search_products, collection: v2, gates: {loaded: {replicas: 2}}}
  - name: search_reviews
    collection: v2
    wave: 1
    gates:
      loaded: {enabled: false}
      indexed: {}
      schema: {policy: Identical, allowChanges: [title, body]}
      rows: {min: 1000, max: 5000, minPercentOfCurrent: 95, maxPercentOfCurrent: 110.5}
      contract: {properties: {embedding_model: bge-m3, dim: "4"}}
      canary: {queriesFile: q.jsonl, k: 5, minOverlap: 0.6, maxLatencyRatio: 2, field: vector}
  - {name: search_old, state: Absent}
  - {name: new, collection: v1, wave: 2, gates: {canary: {sample: 7, minOverlap: 0.5}}}
  - {name: missing, collection: v9}
  gates: {onUnknown: Pass}
  verify: {propagation: {timeout: 20s}, soak: 10m, endpoints: [{name: proxy}]}
  onFailure: Revert
---
apiVersion: aliasctl.dev/v1alpha1
kind: AliasSet
metadata: {name: plain}
spec:
  connectionRef: {name: main}
  database: books
  aliases: [{name: a, collection: c2}]
"""


@pytest.fixture
def sets(tmp_path: Path) -> tuple[AliasSet, ...]:
    (tmp_path / "q.jsonl").write_text('{"vector": [0.1, 0.2, 0.3, 0.4]}\n')
    (tmp_path / "sets.yaml").write_text(MANIFEST)
    return resolve(read([tmp_path / "sets.yaml"]), Overrides(), Overrides())


def planned(sets: tuple[AliasSet, ...], options: Options = Options()) -> Plan:
    made = server(
        "v1",
        "v2",
        aliases={"search_products": "v1", "search_reviews": "v1", "search_old": "v1", "search_stray": "v1"},
    )
    made.create_database("books")
    for collection in ("c1", "c2"):
        made.create_collection(collection, "books")
    made.connect(LOCAL, "books").create_alias("a", "c1")
    return make_plan(sets, options, catalogs=catalogs(made))


def reverting(plan: Plan) -> Plan:
    """The first database's steps alone, as a rollback would have them."""
    target = plan.targets[0]
    steps = tuple(replace(step, reverting=True) for step in target.steps)
    return replace(plan, targets=(replace(target, sets=(replace(target.sets[0], steps=steps),)),))


def test_plans_keep_their_digests(sets: tuple[AliasSet, ...]) -> None:
    skip = Options(skip_gates=[("rows", "search_reviews")])
    assert planned(sets).digest == "sha256:3d77829a93eac56c316c4cf7ad26327090c5343d18be960bdfede7eb81420ba0"
    assert planned(sets, skip).digest == "sha256:9fab5ed993e24058884db0d1d54ef5a4065369b1b1eb43e8be2f6e97017be707"
    assert reverting(planned(sets)).digest == "sha256:d004d009ba9678f76d3caa816caade012b55ffc3b8d6e1368b0e00f0b4eee0aa"


def test_sets_keep_theirs(sets: tuple[AliasSet, ...]) -> None:
    search, plain = sets
    assert set_spec_hash(search) == "sha256:0c64660fc268528f4eff9b26680c488e6918c8a84ae8cd9d1277fb74be5e0925"
    assert spec_digest(search) == "sha256:57473c6f8c8c367d122ba24931b4e570e20f03439641344dcb737bdd74e7a71f"
    assert set_spec_hash(plain) == ""
    assert spec_digest(plain) == "sha256:4ddf2b85efd003fcdfd64af3f9eb2fca2f72004815086e261e2617c69cbb8c62"

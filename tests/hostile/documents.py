"""Documents that our readers take, with as much in them as they may have."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from msgspec.structs import replace

from reconciler.catalog.memory import MemoryServer
from reconciler.core.gates import Gates
from reconciler.core.model import Alias, Connection, Credential, OnFailure, Propagation, Tls, Verify
from reconciler.core.plan import Plan
from reconciler.core.provenance import Provenance
from reconciler.documents.plan_file import plan_document
from reconciler.documents.report_file import report_document
from reconciler.gates.canary import CanaryGate
from reconciler.gates.contract import ContractGate
from reconciler.gates.indexed import IndexedGate
from reconciler.gates.loaded import LoadedGate
from reconciler.gates.rows import RowsGate
from reconciler.gates.schema import SchemaGate
from reconciler.journal import Journal, Origins
from reconciler.reconcile import apply_plan, make_plan
from tests.builders import LOCAL, alias_set, catalogs, server

MANIFEST = """\
# a comment
apiVersion: aliasctl.dev/v1alpha1
kind: MilvusConnection
metadata: {name: main}
spec:
  uri: https://milvus.example.com:19530
  token: {env: TOKEN}
  tls: {caFile: ca.pem, certFile: c.pem, keyFile: k.pem, serverName: milvus}
  timeout: 10s
  concurrency: 8
---
apiVersion: aliasctl.dev/v1alpha1
kind: MilvusConnection
metadata: {name: other}
spec: {uri: "http://other.example.com", token: {file: token}}
---
apiVersion: aliasctl.dev/v1alpha1
kind: AliasSet
metadata: {name: search, namespace: shop}
spec:
  connectionRef: {name: main}
  database: default
  scope: {include: ["search_*", "s?"], exclude: ["search_tmp_*"], protect: [search_main]}
  aliases:
  - {name: search_products, collection: products_v7, gates: {loaded: {replicas: 2}}}
  - name: search_reviews
    collection: "reviews_v2"
    wave: 1
    protect: true
  - {name: search_old, state: Absent}
  limits: {maxDrops: 10, maxChangePercent: 50.5, allowEmpty: false}
  gates:
    loaded: &loaded {enabled: true}
    indexed: {}
    schema: {policy: Compatible, allowChanges: [title]}
    rows: {min: 1000, minPercentOfCurrent: 95}
    contract: {properties: {embedding_model: bge-m3}}
    canary: {queriesFile: queries.jsonl, k: 10, minOverlap: 0.6, maxLatencyRatio: 2}
    onUnknown: Fail
  verify: {propagation: {timeout: 30s}, soak: 10m, endpoints: [{name: other}]}
  onFailure: Revert
  suspend: false
  interval: 5m
---
apiVersion: v1
kind: List
items:
- apiVersion: aliasctl.dev/v1alpha1
  kind: AliasSet
  metadata: {name: more}
  spec: {connectionRef: {name: main}, aliases: []}
"""
EXPORT = """\
---
apiVersion: aliasctl.dev/v1alpha1
kind: MilvusConnection
metadata: {name: local}
spec:
  uri: http://localhost:19530
---
apiVersion: aliasctl.dev/v1alpha1
kind: AliasSet
metadata: {name: default}
spec:
  connectionRef: {name: local}
  database: default
  scope: {include: []}
  aliases:
    - {name: a, collection: v1}
    - {name: b, collection: v1}
"""
QUERIES = b"""\
{"vector": [0.12, -0.5, 1e3], "filter": "lang == \\"en\\""}

{"from": [1, 2, 3], "to": [3, 2, 1]}
"""
LIVE = {"a": "v1", "b": "v1", "old": "v2"}
"""Where the aliases are before the plan."""
ORIGINS = Origins(
    "ann", "ci-7", 4711, ("aliases/",), "apply", Provenance(commit="0" * 40, author="Ann <a@b>", modified=True)
)


def milvus() -> MemoryServer:
    return server("v1", "v2", aliases=LIVE)


def rich_plan() -> Plan:
    """An alter with every gate, a create, a drop, a blocked step, and a verification with a further proxy."""
    connection = Connection(
        "local",
        "https://localhost:19530",
        LOCAL.address,
        token=Credential(env="TOKEN"),
        tls=Tls(ca=Credential(file="/etc/ca.pem"), server_name="milvus"),
    )
    proxy = Connection("proxy", "http://proxy:19530", "proxy:19530", token=Credential(file="/etc/token"))
    gates = Gates(
        LoadedGate(),
        IndexedGate(),
        RowsGate(min=0, min_percent_of_current=50),
        SchemaGate(allow_changes=frozenset({"title"})),
        ContractGate({"lang": "en"}),
        CanaryGate(0.5, sample=3),
    )
    desired = alias_set(
        {"b": "v2", "new": "v1", "old": None, "bad": "v9"},
        Alias("a", "v2", gates=gates, wave=1),
        connection=connection,
        verify=Verify(propagation=Propagation(1.0), endpoints=(proxy,)),
    )
    other = alias_set({"x": "v1"}, name="other", connection=connection, on_failure=OnFailure.REVERT)
    return make_plan([desired, other], catalogs=catalogs(milvus()))


def plan() -> dict[str, Any]:
    """A plan as it is written."""
    return plan_document(rich_plan())


def applied(journal: Path) -> dict[str, Any]:
    """The report of a run that did some of it, and left its lines in a journal."""
    made = milvus()
    desired = alias_set(
        {"b": "v2", "new": "v1", "old": None, "bad": "v9"}, connection=replace(LOCAL, token=Credential(env="TOKEN"))
    )
    with catalogs(made) as opened:
        todo = make_plan([desired], catalogs=opened)
        return report_document(apply_plan(todo, catalogs=opened, journal=Journal(journal), origins=ORIGINS))

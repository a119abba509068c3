"""Kubernetes objects, as the API server gives them → what the operator works with; problems name the field's path."""

from __future__ import annotations

from typing import Any

import pytest

from reconciler.core.errors import InvalidInput
from reconciler.core.gates import Gates
from reconciler.core.model import (
    Alias,
    AliasSet,
    Connection,
    Credential,
    Origin,
    Propagation,
    Scope,
    SecretKeyRef,
    Tls,
    Verify,
)
from reconciler.gates.loaded import LoadedGate
from reconciler.manifest.objects import connect, missing_connections, read_alias_set, read_connection
from reconciler.manifest.records import ConnectionManifest
from reconciler.manifest.specs.alias_set import Approval, DeletionPolicy, DriftPolicy, Operation, PublishSpec


def an_object(kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    """An object with what else a server keeps of it."""
    metadata = {
        "name": name,
        "namespace": "shop",
        "uid": "5d1c8e4e-0a9f-4c52-8a5e-2f5c6a1f0f4b",
        "generation": 3,
        "managedFields": [{"manager": "kubectl", "fieldsV1": {"f:spec": {}}}],
        "somethingNew": True,
    }
    status = {"observedGeneration": 2, "conditions": [{"type": "Ready"}], "ofALaterVersion": {}}
    return {"apiVersion": "aliasctl.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec, "status": status}


def a_set(**fields: Any) -> dict[str, Any]:
    return an_object("AliasSet", "search", {"connectionRef": {"name": "prod"}} | fields)


def a_connection(name: str, uri: str, **fields: Any) -> dict[str, Any]:
    return an_object("MilvusConnection", name, {"uri": uri} | fields)


def connections(*bodies: dict[str, Any]) -> dict[str, ConnectionManifest]:
    return {item.name: item for item in map(read_connection, bodies)}


def refusal(read: Any, *arguments: Any) -> list[str]:
    with pytest.raises(InvalidInput) as refused:
        read(*arguments)
    assert all(problem.source is None for problem in refused.value.problems)
    return [problem.message for problem in refused.value.problems]


def test_a_set_is_bound_to_its_connection_and_endpoints() -> None:
    token = {"secretKeyRef": {"name": "milvus", "key": "token"}}
    ca = {"caSecretKeyRef": {"name": "milvus-ca", "key": "ca.crt"}, "serverName": "milvus"}
    known = connections(
        a_connection("prod", "https://Milvus", token=token, tls=ca, timeout="5s", concurrency=2),
        a_connection("proxy", "http://proxy:19530"),
        a_connection("of-another-set", "http://other:19530"),
    )
    desired = read_alias_set(
        a_set(
            database="shop",
            scope={"include": ["search_*"]},
            aliases=[
                {"name": "search_main", "collection": "products_v7", "state": "Present", "wave": 0, "protect": False},
                {"name": "search_old", "state": "Absent", "wave": 1, "protect": False},
            ],
            gates={"loaded": {"enabled": True, "replicas": 2}},
            verify={"propagation": {"timeout": "1m"}, "endpoints": [{"name": "proxy"}]},
            suspend=True,
        )
    )
    gates = Gates(LoadedGate(replicas=2))
    assert connect(desired, known) == AliasSet(
        name="search",
        namespace="shop",
        connection_name="prod",
        connection=Connection(
            "prod",
            "https://milvus:443",
            "milvus:443",
            Origin.MANIFEST,
            token=Credential(secret=SecretKeyRef("milvus", "token")),
            tls=Tls(ca=Credential(secret=SecretKeyRef("milvus-ca", "ca.crt")), server_name="milvus"),
            timeout=5.0,
            concurrency=2,
            namespace="shop",
        ),
        database="shop",
        aliases=(
            Alias("search_main", "products_v7", gates=gates),
            Alias("search_old", None, wave=1, gates=gates),
        ),
        scope=Scope(include=("search_*",)),
        verify=Verify(
            Propagation(60.0), endpoints=(Connection("proxy", "http://proxy:19530", "proxy:19530", namespace="shop"),)
        ),
        suspend=True,
    )


def operation(body: dict[str, Any]) -> tuple[object, ...]:
    """What a set says to the operator alone, in the order of its fields."""
    found = read_alias_set(body).operation
    return tuple(getattr(found, name) for name in Operation.__struct_fields__)


def test_the_operators_own_fields() -> None:
    assert operation(a_set()) == (300.0, Approval.AUTO, DriftPolicy.CORRECT, DeletionPolicy.ORPHAN, 300.0, None)
    desired = a_set(
        interval="1h30m",
        approval="Manual",
        drift="Report",
        deletionPolicy="Delete",
        deletionTimeout="90s",
        publish={"configMap": "resolution"},
    )
    published = PublishSpec(config_map="resolution")
    assert operation(desired) == (
        5400.0,
        Approval.MANUAL,
        DriftPolicy.REPORT,
        DeletionPolicy.DELETE,
        90.0,
        published,
    )


def test_connections_that_are_not_there_are_all_named() -> None:
    verify = {"propagation": {}, "endpoints": [{"name": "proxy-a"}, {"name": "proxy-b"}]}
    desired = read_alias_set(a_set(verify=verify))
    known = connections(a_connection("proxy-a", "http://proxy-a"))
    assert missing_connections(desired, known) == ("prod", "proxy-b")
    assert refusal(connect, desired, known) == [
        'spec.connectionRef.name: there is no MilvusConnection "prod" in namespace "shop"',
        'spec.verify.endpoints[1].name: there is no MilvusConnection "proxy-b" in namespace "shop"',
    ]


def test_an_endpoint_is_a_further_proxy() -> None:
    verify = {"propagation": {}, "endpoints": [{"name": "same"}]}
    desired = read_alias_set(a_set(verify=verify))
    known = connections(a_connection("prod", "http://milvus"), a_connection("same", "https://MILVUS:19530/"))
    assert missing_connections(desired, known) == ()
    [problem] = refusal(connect, desired, known)
    assert problem.startswith('spec.verify.endpoints[0].name: MilvusConnection "same" has the address of "prod"')


def test_every_problem_of_a_set_is_told_by_its_path() -> None:
    aliases = [{"name": f"alias_{number}", "collection": "books"} for number in range(12)]
    aliases[2]["collection"] = "2024"
    aliases[3]["name"] = "alias_1"
    aliases[10].pop("collection")
    aliases[11]["colection"] = aliases[11].pop("collection")
    wrong = a_set(
        aliases=aliases,
        interval="0s",
        deletionTimeout="25h",
        drift="Ignore",
        gates={"rows": {"min": 5, "max": 4}, "canary": {"minOverlap": 0.5, "queriesFile": "/etc/passwd"}},
        limits={"maxDrops": None, "allowEmpty": "yes"},
        verify={"propagation": {}, "endpoints": [{"name": "prod"}]},
    )
    assert refusal(read_alias_set, wrong) == [
        "spec.aliases[2].collection: expected letters, digits and underscores, not a digit first, at most 255, "
        'found the string "2024"',
        'spec.aliases[3].name: alias "alias_1" is listed twice in this set; first at spec.aliases[1].name',
        'spec.aliases[10]: no "collection" is given; name one, or say "state: Absent"',
        'spec.aliases[11]: unknown field "colection"; did you mean "collection"?',
        'spec.deletionTimeout: expected more than 0s and at most 24h, found the string "25h"',
        'spec.drift: expected "Correct" or "Report", found the string "Ignore"',
        'spec.gates.canary: unknown field "queriesFile"; known here: enabled, field, k, maxLatencyRatio, minOverlap, '
        "sample",
        "spec.gates.rows.min: min is more than max",
        'spec.interval: expected more than 0s and at most 24h, found the string "0s"',
        'spec.limits.allowEmpty: expected true or false, found the string "yes"',
        "spec.limits.maxDrops: expected a whole number, found nothing",
        "spec.verify.endpoints[0].name: an endpoint is a further proxy; the connection of the set is always read",
    ]


def test_a_name_is_an_alias_or_a_collection() -> None:
    aliases = [{"name": "books", "collection": "books_v2"}, {"name": "novels", "collection": "books"}]
    assert refusal(read_alias_set, a_set(aliases=aliases)) == [
        'spec.aliases[0].name: alias "books" is also the collection of alias "novels" at spec.aliases[1].name; '
        "a name is one or the other"
    ]


@pytest.mark.parametrize(
    ("spec", "problem"),
    [
        ({"token": {"env": "MILVUS_TOKEN"}}, "spec.token: unknown field; known here: secretKeyRef"),
        ({"token": {"file": "/var/run/secrets/token"}}, "spec.token: unknown field; known here: secretKeyRef"),
        ({"token": "root:hunter2"}, "spec.token: expected a mapping"),
        ({"token": {"hunter2": ""}}, "spec.token: unknown field; known here: secretKeyRef"),
        ({"tls": {"caFile": "/etc/passwd"}}, "spec.tls: unknown field"),
        ({"uri": "/data/milvus.db"}, "spec.uri: expected http(s)://host[:port]"),
        ({"uri": "https://root:hunter2@milvus"}, "spec.uri: a uri holds no user name or password"),
        ({"uri": "https://milvus:70000"}, "spec.uri: the uri's port is not from 1 to 65535"),
    ],
)
def test_a_connection_points_at_nothing_of_the_operators_own(spec: dict[str, Any], problem: str) -> None:
    told = refusal(read_connection, an_object("MilvusConnection", "prod", {"uri": "https://milvus"} | spec))
    assert any(item.startswith(problem) for item in told), told
    assert "hunter2" not in "".join(told)


def test_objects_that_are_not_ours() -> None:
    assert 'kind: expected "MilvusConnection", found the string "AliasSet"' in refusal(read_connection, a_set())
    newer = a_set() | {"apiVersion": "aliasctl.dev/v2"}
    assert refusal(read_alias_set, newer) == [
        'apiVersion: expected "aliasctl.dev/v1alpha1", found the string "aliasctl.dev/v2"; '
        'did you mean "aliasctl.dev/v1alpha1"?'
    ]
    nothing = a_set()
    del nothing["spec"]
    assert refusal(read_alias_set, nothing) == ['"spec" is missing']

"""Hooks: those that gates name are those of the set's connection, and their settings reach the run."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from reconciler.core.errors import InvalidInput
from reconciler.core.model import Connection, Credential, Hook, SecretKeyRef, Tls
from reconciler.manifest import Manifests, Overrides, check, read
from reconciler.manifest.objects import connect, read_alias_set, read_connection
from reconciler.manifest.targets import retarget

API = "apiVersion: aliasctl.dev/v1alpha1\n"
HOOKS = """  hooks:
  - name: freeze
    uri: HTTPS://hooks.example.com/freeze?team=a
    secret: {file: key}
    timeout: 3s
    tls: {caFile: ca.pem}
  - {name: offline-eval, uri: "http://eval:8080"}
"""
CONNECTION = API + "kind: MilvusConnection\nmetadata: {name: prod}\nspec:\n  uri: http://prod:1\n" + HOOKS + "---\n"
BARE = API + "kind: MilvusConnection\nmetadata: {name: prod}\nspec: {uri: http://prod:1}\n---\n"


def alias_set(gates: str = "{}", own: str = "{}") -> str:
    return (
        f"{API}kind: AliasSet\nmetadata: {{name: search}}\nspec:\n  connectionRef: {{name: prod}}\n"
        f"  gates: {gates}\n  aliases:\n  - {{name: a, collection: c, gates: {own}}}\n"
    )


def manifests(*texts: str) -> Manifests:
    return read(["-"], stdin=BytesIO("".join(texts).encode()))


def used(given: Manifests, flags: Overrides = Overrides()) -> Connection:  # noqa: B008
    [found] = retarget(given, flags, Overrides(), Path("/here"))
    assert found.connection
    return found.connection


def test_their_settings_reach_the_run() -> None:
    here = Path.cwd()
    freeze, evaluation = used(manifests(CONNECTION, alias_set())).hooks
    assert freeze == Hook(
        name="freeze",
        uri="https://hooks.example.com/freeze?team=a",
        secret=Credential(file=str(here / "key")),
        tls=Tls(ca=Credential(file=str(here / "ca.pem"))),
        timeout=3.0,
    )
    assert evaluation == Hook(name="offline-eval", uri="http://eval:8080", timeout=10.0)


@pytest.mark.parametrize(
    ("gates", "own", "places"),
    [
        ("{hook: {name: frieze}}", "{}", ['<stdin>:6:24: MilvusConnection "prod" has no hook "frieze"; did you mean']),
        ("{hook: {names: [freeze, other]}}", "{}", ['<stdin>:6:34: MilvusConnection "prod" has no hook "other"; def']),
        ("{}", "{hook: {name: other}}", ['<stdin>:8:51: MilvusConnection "prod" has no hook "other"; define it under']),
        ("{hook: {name: other}}", "{hook: {name: freeze}}", ['<stdin>:6:24: MilvusConnection "prod" has no hook']),
        ("{hook: {name: other, enabled: false}}", "{}", []),
        ("{hook: {name: freeze}}", "{hook: {name: offline-eval}}", []),
    ],
)
def test_that_the_connection_lacks_are_errors(gates: str, own: str, places: list[str]) -> None:
    given = manifests(alias_set(gates, own), "---\n", CONNECTION)
    if not places:
        assert check(given) == ()
        assert used(given).hooks
        return
    for attempt in (lambda: check(given), lambda: used(given)):
        with pytest.raises(InvalidInput) as refused:
            attempt()
        lines = str(refused.value).splitlines()
        assert len(lines) == len(places)
        assert all(line.startswith(place) for line, place in zip(lines, places, strict=True)), lines


def test_of_a_connection_that_is_elsewhere_are_not_judged() -> None:
    given = manifests(alias_set("{hook: {name: freeze}}"))
    [warning] = check(given)
    assert 'MilvusConnection "prod" is not among the manifests' in str(warning)


def test_are_those_of_the_manifest_s_server_and_of_no_other() -> None:
    """Another server is none that these hooks know, and a gate without its hook blocks."""
    given = manifests(CONNECTION, alias_set("{hook: {name: freeze}}"))
    assert len(used(given, Overrides(token_env="OTHER")).hooks) == 2  # noqa: S106 - the name of a variable
    assert used(given, Overrides(uri="http://staging:1")).hooks == ()


def body(kind: str, spec: dict[str, Any], name: str = "prod") -> dict[str, Any]:
    metadata = {"name": name, "namespace": "search"}
    return {"apiVersion": "aliasctl.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec}


class TestForTheOperator:
    def test_take_secrets_of_the_namespace(self) -> None:
        secret = {"secretKeyRef": {"name": "hook", "key": "key"}}
        hook = {"name": "freeze", "uri": "http://a", "secret": secret}
        connection = read_connection(body("MilvusConnection", {"uri": "http://milvus", "hooks": [hook]}))
        assert connection.hooks[0].secret == Credential(secret=SecretKeyRef("hook", "key"))

    @pytest.mark.parametrize(
        ("more", "path"),
        [
            ({"secret": {"env": "TOKEN"}}, "spec.hooks[0].secret"),
            ({"secret": {"file": "/etc/shadow"}}, "spec.hooks[0].secret"),
            ({"uri": "https://a", "tls": {"caFile": "/etc/ca.pem"}}, "spec.hooks[0].tls"),
        ],
    )
    def test_take_no_files_and_variables(self, more: dict[str, Any], path: str) -> None:
        hook = {"name": "freeze", "uri": "http://a", **more}
        with pytest.raises(InvalidInput) as refused:
            read_connection(body("MilvusConnection", {"uri": "http://milvus", "hooks": [hook]}))
        assert all(line.startswith(path) for line in str(refused.value).splitlines())

    def test_that_the_connection_lacks_make_the_spec_invalid(self) -> None:
        connection = read_connection(body("MilvusConnection", {"uri": "http://milvus"}))
        spec = {
            "connectionRef": {"name": "prod"},
            "gates": {"hook": {"name": "freeze"}},
            "aliases": [{"name": "a", "collection": "c"}],
        }
        with pytest.raises(InvalidInput) as refused:
            connect(read_alias_set(body("AliasSet", spec, "shop")), {"prod": connection})
        assert str(refused.value) == (
            'spec.gates.hook.name: MilvusConnection "prod" has no hook "freeze"; define it under spec.hooks there'
        )

"""Dependencies: AliasSets of the set's namespace, by name."""

from __future__ import annotations

from io import BytesIO

import pytest

from reconciler.core.errors import InvalidInput
from reconciler.manifest import Manifests, Overrides, check, read, resolve

API = "apiVersion: aliasctl.dev/v1alpha1\n"
PROD = f"{API}kind: MilvusConnection\nmetadata: {{name: prod}}\nspec: {{uri: http://prod:1}}\n---\n"


def a_set(name: str, *needed: str, namespace: str = "") -> str:
    metadata = f"name: {name}" + (f", namespace: {namespace}" if namespace else "")
    names = ", ".join(f"{{name: {other}}}" for other in needed)
    spec = f"{{connectionRef: {{name: prod}}, dependsOn: [{names}]}}"
    return f"{API}kind: AliasSet\nmetadata: {{{metadata}}}\nspec: {spec}\n---\n"


def manifests(*texts: str) -> Manifests:
    return read(["-"], stdin=BytesIO("".join(texts).encode()))


def refused(*texts: str) -> str:
    with pytest.raises(InvalidInput) as refusal:
        resolve(manifests(*texts), Overrides(), Overrides())
    return str(refusal.value)


def test_a_set_has_the_keys_of_those_that_it_depends_on() -> None:
    in_team = PROD.replace("name: prod", "name: prod, namespace: team")
    given = manifests(in_team, a_set("b", "a", namespace="team"), a_set("a", namespace="team"))
    assert [each.depends_on for each in resolve(given, Overrides(), Overrides())] == [("team/a",), ()]
    assert check(given, strict=True) == ()


def test_a_dependency_that_is_not_given_is_an_error_of_a_run_and_a_warning_of_validate() -> None:
    expected = '<stdin>:9:56: AliasSet "a" is not among the manifests; give its file with -f'
    assert refused(PROD, a_set("b", "a")) == expected
    given = manifests(PROD, a_set("b", "a"))
    assert [str(warning) for warning in check(given)] == [expected]
    with pytest.raises(InvalidInput, match='AliasSet "a" is not among the manifests'):
        check(given, strict=True)


def test_a_set_of_another_namespace_does_not_count() -> None:
    assert refused(PROD, a_set("b", "a"), PROD.replace("prod}", "prod, namespace: x}"), a_set("a", namespace="x")) == (
        '<stdin>:9:56: AliasSet "a" is not among the manifests in namespace none (there is one in x); '
        "give its file with -f"
    )


def test_sets_that_depend_on_each_other_are_refused_at_a_place_with_the_path() -> None:
    problem = refused(PROD, a_set("a", "c"), a_set("b", "a"), a_set("c", "b"))
    assert problem == "<stdin>:14:56: AliasSets depend on each other: a → c → b → a; remove one of them"
    assert "depend on each other: a → a;" in refused(PROD, a_set("a", "a"))

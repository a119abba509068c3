"""Endpoints: the further proxies of a Milvus, which are MilvusConnections of the set's namespace."""

# ruff: noqa: S106 - these are names of places where a token is, not tokens

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import pytest
from msgspec.structs import replace

from reconciler.core.errors import InvalidInput
from reconciler.core.model import AliasSet, Connection, Credential, Origin, Target, Tls, Verify
from reconciler.core.plan import Plan, SetPlan, TargetPlan
from reconciler.documents.plan_file import plan_document
from reconciler.manifest import Manifests, Overrides, check, endpoints_left_out, read
from reconciler.manifest.targets import reconnected, retarget
from tests.cli.command import run

HERE = Path("/work-dir")
API = "apiVersion: aliasctl.dev/v1alpha1\n"
PROXY = Connection("proxy", "https://proxy:1", "proxy:1", token=Credential(env="PROXY"), timeout=7.0, concurrency=3)
OTHER = Connection("other", "http://other:19530", "other:19530")


def a_connection(name: str, uri: str, more: str = "", namespace: str = "") -> str:
    metadata = f"name: {name}" + (f", namespace: {namespace}" if namespace else "")
    return f"{API}kind: MilvusConnection\nmetadata: {{{metadata}}}\nspec: {{uri: {uri}{more}}}\n---\n"


SET = (
    f"{API}kind: AliasSet\nmetadata: {{name: search}}\nspec:\n  connectionRef: {{name: prod}}\n"
    "  verify: {propagation: {}, endpoints: [{name: proxy}, {name: other}]}\n---\n"
)
PROD = a_connection("prod", "http://prod:1", ", token: {env: PROD}")
PROXIES = a_connection("proxy", "https://proxy:1", ", token: {env: PROXY}, timeout: 7s, concurrency: 3") + a_connection(
    "other", "http://other"
)
LEFT_OUT = '<stdin>:6:48: these endpoints are left out: they are proxies of "prod", and this run goes to {}'


def manifests(*texts: str) -> Manifests:
    return read(["-"], stdin=BytesIO("".join(texts).encode()))


def settled(given: Manifests, flags: Overrides | None = None, env: Overrides | None = None) -> AliasSet:
    [item] = retarget(given, flags or Overrides(), env or Overrides(origin=Origin.ENVIRONMENT), HERE)
    return item


def test_endpoints_are_the_connections_of_those_names() -> None:
    given = manifests(SET, PROD, PROXIES)
    assert settled(given).verify.endpoints == (PROXY, OTHER)
    assert check(given, strict=True) == ()
    assert endpoints_left_out(given, [settled(given)]) == ()


def test_flags_and_environment_say_how_patient_to_be_and_not_who_we_are() -> None:
    """Whoever writes an AliasSet names the endpoints: a token that was given for its connection stays there."""
    given = manifests(SET, PROD, PROXIES)
    flags = Overrides(token_env="FLAG", tls_server_name="flag", timeout=1.5, concurrency=1)
    assert settled(given, flags).verify.endpoints == tuple(
        replace(item, timeout=1.5, concurrency=1) for item in (PROXY, OTHER)
    )
    env = Overrides(token_env="ENV", tls_ca="ca.pem", timeout=20.0, concurrency=2, origin=Origin.ENVIRONMENT)
    assert settled(given, env=env).verify.endpoints == (PROXY, replace(OTHER, timeout=20.0, concurrency=2))


def test_tls_settings_of_an_endpoint_are_its_own() -> None:
    secure = a_connection("proxy", "https://proxy:1", ", tls: {caFile: /ca.pem, serverName: milvus}")
    [found, _] = settled(manifests(SET, PROD, secure, a_connection("other", "http://other"))).verify.endpoints
    assert found.tls == Tls(ca=Credential(file="/ca.pem"), server_name="milvus")


@pytest.mark.parametrize(
    ("texts", "flags", "env", "address"),
    [
        ([PROD, PROXIES], Overrides(uri="http://staging:1"), Overrides(), "staging:1"),
        ([PROD, PROXIES], Overrides(connection="other"), Overrides(), "other:19530"),
        ([PROXIES], Overrides(uri="http://staging:1"), Overrides(), "staging:1"),
        ([PROXIES], Overrides(), Overrides(uri="http://env:1", origin=Origin.ENVIRONMENT), "env:1"),
        ([], Overrides(uri="http://staging:1"), Overrides(), "staging:1"),
    ],
)
def test_a_run_that_goes_elsewhere_leaves_them_out_and_says_so(
    texts: list[str], flags: Overrides, env: Overrides, address: str
) -> None:
    given = manifests(SET, *texts)
    item = settled(given, flags, env)
    assert item.verify.endpoints == ()
    assert item.verify.propagation is not None
    assert [str(warning) for warning in endpoints_left_out(given, [item])] == [LEFT_OUT.format(address)]


def test_another_name_of_the_same_server_is_not_elsewhere() -> None:
    given = manifests(SET, PROD, PROXIES, a_connection("also", "http://PROD:1/"))
    for flags in (Overrides(uri="http://prod:1"), Overrides(connection="also")):
        assert settled(given, flags).verify.endpoints == (PROXY, OTHER)


def test_absent_endpoints_are_treated_like_an_absent_connection() -> None:
    given = manifests(SET, PROD, a_connection("other", "http://other", namespace="team"))
    expected = [
        '<stdin>:6:48: MilvusConnection "proxy" is not among the manifests; give its file with -f',
        '<stdin>:6:63: MilvusConnection "other" is not among the manifests in namespace none (there is one in team); '
        "give its file with -f",
    ]
    assert [str(warning) for warning in check(given)] == expected
    with pytest.raises(InvalidInput) as strict:
        check(given, strict=True)
    with pytest.raises(InvalidInput) as refused:
        settled(given)
    assert str(strict.value).splitlines() == str(refused.value).splitlines() == expected


def test_endpoints_that_are_one_proxy_are_refused_before_a_run() -> None:
    with pytest.raises(InvalidInput, match='6:63: MilvusConnection "other" has the address of "proxy", proxy:1'):
        settled(manifests(SET, PROD, PROXIES.replace("http://other", "http://proxy:1")))


def test_a_saved_plan_takes_patience_for_its_endpoints_too() -> None:
    connection = Connection("prod", "http://prod:1", "prod:1", Origin.PLAN_FILE)
    saved = SetPlan("search", verify=Verify(endpoints=(PROXY,)))
    plan = Plan((TargetPlan(Target("prod:1", "default"), connection, (saved,)),), "2026-11-22T00:00:00Z", "0.1.0")
    [target] = reconnected(plan, Overrides(token_env="FLAG", timeout=2.0), HERE).targets
    assert target.connection.token == Credential(env="FLAG")
    assert target.sets[0].verify.endpoints == (replace(PROXY, timeout=2.0),)


def test_the_command_line_warns_and_goes_on(tmp_path: Path) -> None:
    (tmp_path / "aliases.yaml").write_text(SET + PROD + PROXIES)
    (tmp_path / "export.yaml").write_text(
        SET.replace("  verify: {propagation: {}, endpoints: [{name: proxy}, {name: other}]}\n", "")
    )
    elsewhere = ("--against", "export.yaml", "--uri", "http://staging:1")
    warned = run("plan", "-f", "aliases.yaml", *elsewhere, cwd=tmp_path)
    assert (warned.code, warned.stderr) == (
        0,
        'aliases.yaml:6:48: warning: these endpoints are left out: they are proxies of "prod", '
        "and this run goes to staging:1\n",
    )
    at_home = run("plan", "-f", "aliases.yaml", *elsewhere[:2], cwd=tmp_path)
    assert (at_home.code, at_home.stderr) == (0, "")


READER = a_connection("reader", "http://prod:1", ", token: {env: READER}")


def with_endpoints(*names: str) -> str:
    return SET.replace("[{name: proxy}, {name: other}]", ", ".join(f"{{name: {name}}}" for name in names).join("[]"))


def test_an_endpoint_may_be_the_same_proxy_with_the_token_of_another_user() -> None:
    given = manifests(
        with_endpoints("reader", "auditor"),
        PROD,
        READER,
        READER.replace("READER", "AUDITOR").replace("reader", "auditor"),
    )
    assert [(item.address, item.token) for item in settled(given).verify.endpoints] == [
        ("prod:1", Credential(env="READER")),
        ("prod:1", Credential(env="AUDITOR")),
    ]
    assert check(given, strict=True) == ()


@pytest.mark.parametrize("token", ["", ", token: {env: PROD}"])
def test_the_same_proxy_without_another_token_proves_nothing_more(token: str) -> None:
    same = a_connection("reader", "http://prod:1", token)
    with pytest.raises(InvalidInput, match='"reader" has the address of "prod", prod:1, and no other token; give it'):
        settled(manifests(with_endpoints("reader"), PROD, same))


def test_an_endpoint_with_a_timeout_is_a_cluster_of_its_own() -> None:
    text = SET.replace("{name: other}", "{name: other, timeout: 10m}")
    verify = settled(manifests(text, PROD, PROXIES)).verify
    assert (verify.endpoints, verify.endpoint_timeouts) == ((PROXY, OTHER), {"other": 600.0})
    plan = Plan((TargetPlan(Target("prod:1", "default"), PROXY, (SetPlan("search", verify=verify),)),), "", "")
    assert plan_document(plan)["targets"][0]["sets"][0]["verify"]["endpointTimeouts"] == {"other": 600.0}

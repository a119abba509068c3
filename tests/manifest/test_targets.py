"""Flag over manifest over environment, and what none of them may do."""

# ruff: noqa: S106 - these are names of places where a token is, not tokens

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import pytest

from reconciler.core.errors import InvalidInput
from reconciler.core.model import AliasSet, Connection, Credential, OnFailure, Origin, Propagation, Target, Tls, Verify
from reconciler.core.plan import Plan, TargetPlan
from reconciler.manifest import Manifests, Overrides, read
from reconciler.manifest.targets import reconnected, retarget, single_connection

HERE = Path("/work-dir")
API = "apiVersion: aliasctl.dev/v1alpha1\n"
PROD = (
    API + "kind: MilvusConnection\nmetadata: {name: prod}\nspec:\n  uri: https://prod:1\n  token: {env: PROD}\n"
    "  tls: {caFile: /prod.pem, serverName: prod}\n  timeout: 7s\n  concurrency: 3\n---\n"
)
STAGING = API + "kind: MilvusConnection\nmetadata: {name: staging}\nspec: {uri: https://staging:1}\n---\n"


def a_set(name: str = "search", connection: str = "prod", database: str = "") -> str:
    given = f", database: {database}" if database else ""
    return (
        API
        + f"kind: AliasSet\nmetadata: {{name: {name}}}\nspec: {{connectionRef: {{name: {connection}}}{given}}}\n---\n"
    )


def manifests(*texts: str) -> Manifests:
    return read(["-"], stdin=BytesIO("".join(texts).encode()))


def environment(**settings: str) -> Overrides:
    return Overrides.from_environment({f"ALIASCTL_{name.upper()}": value for name, value in settings.items()})


def item(given: Manifests, flags: Overrides | None = None, env: Overrides | None = None) -> tuple[AliasSet, Connection]:
    [found] = retarget(given, flags or Overrides(), env or environment(), HERE)
    assert found.connection
    return found, found.connection


def refusal(given: Manifests, flags: Overrides | None = None, env: Overrides | None = None) -> list[str]:
    with pytest.raises(InvalidInput) as refused:
        retarget(given, flags or Overrides(), env or environment(), HERE)
    return str(refused.value).splitlines()


def test_a_stated_server_version_is_of_the_manifest_s_server_only() -> None:
    given = manifests(PROD.replace("  timeout: 7s", '  timeout: 7s\n  serverVersion: "2.4.15"'), a_set())
    assert item(given)[1].server_version == "2.4.15"
    assert item(given, Overrides(uri="https://other:1"))[1].server_version == ""


def test_manifests_by_themselves() -> None:
    found, connection = item(manifests(PROD, a_set()))
    assert connection == Connection(
        name="prod",
        uri="https://prod:1",
        address="prod:1",
        origin=Origin.MANIFEST,
        token=Credential(env="PROD"),
        tls=Tls(ca=Credential(file="/prod.pem"), server_name="prod"),
        timeout=7.0,
        concurrency=3,
    )
    assert found.database == "default"
    _, connection = item(manifests(STAGING, a_set(connection="staging")))
    assert (connection.token, connection.tls, connection.timeout, connection.concurrency) == (None, None, 10.0, 8)


def test_what_follows_a_change_stays_what_the_manifest_says() -> None:
    careful = a_set().replace("}}", "}, verify: {propagation: {}, soak: 1m}, onFailure: Revert}")
    found, _ = item(manifests(PROD, careful), Overrides(uri="http://other", timeout=1.0))
    assert (found.verify, found.on_failure) == (Verify(Propagation(30.0), soak=60.0), OnFailure.REVERT)


def test_flags_go_over_the_manifest() -> None:
    flags = Overrides(
        token_file="t",
        tls_cert="c.pem",
        tls_key="/k.pem",
        tls_server_name="x",
        database="shop",
        timeout=1.5,
        concurrency=1,
    )
    found, connection = item(
        manifests(PROD, a_set(database="other")), flags, environment(token_env="ENV", database="env")
    )
    assert connection == Connection(
        name="prod",
        uri="https://prod:1",
        address="prod:1",
        token=Credential(file="/work-dir/t"),
        tls=Tls(Credential(file="/prod.pem"), Credential(file="/work-dir/c.pem"), Credential(file="/k.pem"), "x"),
        timeout=1.5,
        concurrency=1,
    )
    assert found.database == "shop"


def test_another_uri_gets_none_of_the_manifests_or_environments_secrets() -> None:
    env = environment(
        uri="https://env", token_env="ENV", tls_ca="env.pem", timeout="1s", concurrency="2", database="env"
    )
    found, connection = item(manifests(PROD, a_set()), Overrides(uri="https://Other"), env)
    assert connection == Connection(
        name="prod", uri="https://other:443", address="other:443", origin=Origin.FLAG, timeout=7.0, concurrency=3
    )
    assert found.database == "env"
    _, connection = item(manifests(a_set()), Overrides(uri="./x/m.db", token_env="T", tls_ca="ca.pem"), env)
    assert connection.address == "/work-dir/x/m.db"
    assert (connection.token, connection.tls) == (Credential(env="T"), Tls(ca=Credential(file="/work-dir/ca.pem")))


def test_the_environment_only_fills_gaps() -> None:
    env = environment(
        uri="https://env",
        token_env="ENV",
        tls_ca="env.pem",
        tls_server_name="env",
        database="env",
        timeout="1m",
        concurrency="2",
    )
    found, connection = item(manifests(PROD, a_set(database="given")), None, env)
    assert (found.database, connection) == ("given", item(manifests(PROD, a_set()))[1])
    found, connection = item(manifests(STAGING, a_set(connection="staging")), None, env)
    assert (found.database, connection.address, connection.origin) == ("env", "staging:1", Origin.MANIFEST)
    assert connection.token == Credential(env="ENV")
    assert connection.tls == Tls(ca=Credential(file="/work-dir/env.pem"), server_name="env")
    assert (connection.timeout, connection.concurrency) == (60.0, 2)


def test_the_environment_stands_in_for_an_absent_connection() -> None:
    _, connection = item(manifests(a_set()), None, environment(uri="http://env", token_file="t", tls_ca="ca.pem"))
    assert (connection.name, connection.address, connection.origin) == ("prod", "env:19530", Origin.ENVIRONMENT)
    assert connection.token == Credential(file="/work-dir/t")
    assert connection.tls is None, "TLS settings of the environment are for https"


def test_empty_variables_are_not_given() -> None:
    assert environment(uri="", timeout="", database="") == Overrides(origin=Origin.ENVIRONMENT)


def test_another_connection_for_every_set() -> None:
    given = manifests(PROD, STAGING, a_set("a"), a_set("b", database="other"))
    found = retarget(given, Overrides(connection="staging"), environment(), HERE)
    assert {(x.connection.address, x.connection_name, x.connection.origin) for x in found if x.connection} == {
        ("staging:1", "staging", Origin.MANIFEST)
    }
    assert refusal(given, Overrides(connection="stagin")) == [
        '--connection: no MilvusConnection "stagin"; known are prod, staging'
    ]
    assert refusal(manifests(a_set()), Overrides(connection="prod")) == [
        '--connection: no MilvusConnection "prod"; the manifests have none'
    ]


def test_another_connection_may_be_in_another_namespace_if_there_is_only_one() -> None:
    team, other = (PROD.replace("name: prod", f"name: prod, namespace: {name}") for name in ("team", "other"))
    [found] = retarget(manifests(team, a_set()), Overrides(connection="prod"), environment(), HERE)
    assert found.connection
    assert refusal(manifests(team, other, a_set()), Overrides(connection="prod")) == [
        '--connection: "prod" is the name of several connections, at <stdin>:3:18 and <stdin>:13:18'
    ]


def test_absent_connections_are_told_with_the_way_out() -> None:
    assert refusal(manifests(STAGING, a_set("a"), a_set("b", connection="live"))) == [
        '<stdin>:9:30: MilvusConnection "prod" is not among the manifests; give its file with -f, or --uri',
        '<stdin>:14:30: MilvusConnection "live" is not among the manifests; give its file with -f, or --uri',
    ]


@pytest.mark.parametrize(
    ("flags", "env", "settings"),
    [
        (Overrides(uri="http://one"), environment(), "--uri"),
        (Overrides(connection="prod"), environment(), "--connection"),
        (Overrides(connection="prod", database="x"), environment(), "--connection and --database"),
    ],
)
def test_no_setting_makes_two_servers_one(flags: Overrides, env: Overrides, settings: str) -> None:
    given = manifests(PROD, STAGING, a_set("a"), a_set("b", connection="staging"), a_set("c", database="x"))
    [problem, *_] = refusal(given, flags, env)
    assert problem == (
        f'<stdin>:23:18: {settings} would give this set and AliasSet "a" at <stdin>:18:18 one target, where they name '
        "two; run them one by one"
    )


def test_no_setting_makes_two_databases_one() -> None:
    given = manifests(PROD, a_set("a"), a_set("b", database="shop"), a_set("c", database="default"))
    assert len(retarget(given, Overrides(), environment(), HERE)) == 3
    assert len(refusal(given, Overrides(database="x"))) == 1
    assert refusal(given, None, environment(database="shop"))[0].startswith("<stdin>:18:18: ALIASCTL_DATABASE would")


def test_no_setting_makes_two_unknown_servers_one() -> None:
    given = manifests(a_set("a"), a_set("b"), a_set("c", connection="staging"))
    assert "ALIASCTL_URI would give this set and" in "".join(refusal(given, None, environment(uri="http://one")))
    assert "--uri would give this set and" in "".join(refusal(given, Overrides(uri="http://one")))
    assert len(retarget(manifests(a_set("a"), a_set("b")), Overrides(uri="http://one"), environment(), HERE)) == 2


def test_two_names_of_one_server_stay_one() -> None:
    also = PROD.replace("name: prod", "name: also")
    assert (
        len(
            retarget(
                manifests(PROD, also, a_set("a"), a_set("b", "also")), Overrides(uri="http://x"), environment(), HERE
            )
        )
        == 2
    )


@pytest.mark.parametrize(
    ("flags", "problem"),
    [
        (Overrides(uri="http://root:hunter2@x"), "--uri: a uri holds no user name or password"),
        (Overrides(uri="x"), "--uri: expected http(s)://host[:port]"),
        (
            Overrides(uri="http://x", connection="prod"),
            "--uri: both --uri and --connection choose the server; give one",
        ),
        (Overrides(token_env="A", token_file="b"), "--token-env: give either this or --token-file"),
        (Overrides(token_env="root:hunter2"), "--token-env: expected the name of an environment variable"),
        (Overrides(tls_cert="a"), "--tls-cert: needs --tls-key too"),
        (Overrides(tls_key="a"), "--tls-key: needs --tls-cert too"),
        (Overrides(database="my-db"), "--database: expected letters, digits and underscores"),
        (Overrides(timeout=0.0), "--timeout: expected more than 0s and at most 1h"),
        (Overrides(timeout=3601.0), "--timeout: expected more than 0s and at most 1h"),
        (Overrides(concurrency=0), "--concurrency: expected 1 to 64"),
        (Overrides(concurrency=65), "--concurrency: expected 1 to 64"),
        (environment(uri="milvus:19530"), "ALIASCTL_URI: expected http(s)://host[:port]"),
        (environment(tls_cert="a"), "ALIASCTL_TLS_CERT: needs ALIASCTL_TLS_KEY too"),
        (environment(concurrency="65"), "ALIASCTL_CONCURRENCY: expected 1 to 64"),
    ],
)
def test_settings_wrong_by_themselves(flags: Overrides, problem: str) -> None:
    env = flags if flags.origin is Origin.ENVIRONMENT else environment()
    told = refusal(manifests(PROD, a_set()), Overrides() if env is flags else flags, env)
    assert [line.startswith(problem) for line in told] == [True]
    assert "hunter2" not in told[0]


@pytest.mark.parametrize(
    ("variable", "value", "problem"),
    [
        ("timeout", "10", "ALIASCTL_TIMEOUT: expected a duration such as 10s, 1m30s or 500ms"),
        ("timeout", "2h", "ALIASCTL_TIMEOUT: expected more than 0s and at most 1h"),
        ("concurrency", "many", "ALIASCTL_CONCURRENCY: expected a whole number"),
    ],
)
def test_variables_that_are_no_numbers(variable: str, value: str, problem: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        environment(**{variable: value})
    assert str(refused.value) == problem


@pytest.mark.parametrize(
    ("texts", "flags", "env", "address", "origin"),
    [
        ([], Overrides(uri="http://x"), environment(uri="http://env"), "x:19530", Origin.FLAG),
        ([PROD, STAGING], Overrides(uri="http://x"), environment(), "x:19530", Origin.FLAG),
        ([PROD], Overrides(), environment(uri="http://env"), "prod:1", Origin.MANIFEST),
        ([PROD, STAGING], Overrides(connection="staging"), environment(), "staging:1", Origin.MANIFEST),
        ([], Overrides(), environment(uri="http://env"), "env:19530", Origin.ENVIRONMENT),
    ],
)
def test_the_one_server(texts: list[str], flags: Overrides, env: Overrides, address: str, origin: Origin) -> None:
    found = single_connection(manifests(*texts) if texts else None, flags, env, HERE)
    assert (found.address, found.origin) == (address, origin)
    assert (found.token is None) is (origin is not Origin.MANIFEST or "staging" in address)


@pytest.mark.parametrize(
    ("texts", "flags", "problem"),
    [
        ([], Overrides(), "no server is named; give --uri, or -f with a MilvusConnection"),
        ([PROD, STAGING], Overrides(), "several servers are given; choose one with --connection: prod, staging"),
        ([PROD], Overrides(connection="x"), '--connection: no MilvusConnection "x"; known are prod'),
    ],
)
def test_no_one_server(texts: list[str], flags: Overrides, problem: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        single_connection(manifests(*texts) if texts else None, flags, environment(), HERE)
    assert str(refused.value) == problem


def test_a_saved_plan_takes_credentials_and_nothing_else() -> None:
    connection = Connection("prod", "https://prod:1", "prod:1", Origin.PLAN_FILE, Credential(env="OLD"))
    plan = Plan((TargetPlan(Target("prod:1", "default"), connection, ()),), "2026-11-22T00:00:00Z", "0.1.0")
    assert reconnected(plan, Overrides(), HERE) == plan
    [target] = reconnected(plan, Overrides(token_file="t", timeout=2.0), HERE).targets
    assert target.connection == Connection(
        "prod", "https://prod:1", "prod:1", Origin.PLAN_FILE, Credential(file="/work-dir/t"), timeout=2.0
    )
    with pytest.raises(InvalidInput, match="--uri: a saved plan says by itself where it applies"):
        reconnected(plan, Overrides(uri="http://x"), HERE)

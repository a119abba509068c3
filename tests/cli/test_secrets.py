"""Every command, in every format, at log level debug, while everything fails: no secret is in anything it writes."""

from __future__ import annotations

import socket
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click
import pytest

from reconciler.cli.main import aliasctl
from reconciler.core.model import Connection, Credential
from reconciler.reconcile import make_plan
from tests.builders import alias_set as desired
from tests.cli.secrets import (
    IN_ADDRESS,
    IN_KEY,
    IN_KUBECONFIG,
    IN_MANIFEST,
    TOKEN,
    Place,
    forms,
    in_every_format,
    shown,
)
from tests.cli.shop import Shop, alias_set, connection, manifest
from tests.reliability.tally import Tally
from tests.servers import free_port, talkative_milvus

FILES = ("-f", "aliases.yaml")
NOWHERE = """
current-context: c
contexts: [{name: c, context: {cluster: c, user: u}}]
clusters: [{name: c, cluster: {server: "http://127.0.0.1:1"}}]
"""
PATIENCE = ("--timeout", "500ms")
COMMANDS: dict[str, Sequence[Sequence[str]]] = {
    "apply": [[*FILES, "--yes", *PATIENCE], ["saved.json", "--yes", *PATIENCE]],
    "approve": [["shop", "--kubeconfig", "kubeconfig.yaml"], ["shop", "--kubeconfig", "broken.yaml"]],
    "check": [[*FILES, *PATIENCE], [*FILES, "--exercise", "--yes", *PATIENCE]],
    "completion": [["bash"]],
    "export": [[*FILES, *PATIENCE]],
    "get": [["--kubeconfig", "kubeconfig.yaml"], ["--kubeconfig", "broken.yaml"]],
    "graph": [[*FILES, "--live", *PATIENCE], [*FILES]],
    "history": [[]],
    "notify": [[*FILES], ["--test", *FILES]],
    "operator": [["--kubeconfig", "kubeconfig.yaml"]],
    "plan": [[*FILES, "--gates", "all", "--out", "plan.json", *PATIENCE]],
    "rollback": [["--yes", *PATIENCE], ["--alias", "a", "--to", "v1", "--yes", *FILES, *PATIENCE]],
    "schema": [["MilvusConnection"]],
    "set": [["a=v3", *FILES, "--check"]],
    "show": [["saved.json"]],
    "status": [[*FILES, "--unreferenced", *PATIENCE]],
    "sync": [
        ["REPOSITORY", "--once", "--connections", "aliases.yaml", "--state", "mirror", "--git-token-env", "TOKEN"],
    ],
    "validate": [[*FILES, "--strict"]],
    "version": [[*FILES, *PATIENCE]],
}

ASKING = {"apply", "check", "export", "plan", "status", "sync", "version"}


def every_call(repository: str) -> list[list[str]]:
    filled = {
        name: [[repository if word == "REPOSITORY" else word for word in line] for line in lines]
        for name, lines in COMMANDS.items()
    }
    return [call for name, lines in filled.items() for line in lines for call in in_every_format(name, line)]


def test_every_command_is_among_them() -> None:
    assert COMMANDS.keys() == set(aliasctl.list_commands(click.Context(aliasctl)))


def test_a_secret_is_found_in_any_disguise() -> None:
    """The search itself: what it would miss, the tests below would miss."""
    import base64

    for before in range(4):
        header = base64.b64encode(b"x" * before + TOKEN.encode() + b"y" * 5)
        assert TOKEN in shown(b"authorization: " + header + b"\n")
    assert TOKEN in shown(f"bearer {TOKEN}".encode())
    assert all(len(form) > 12 for form in forms(TOKEN))


@pytest.fixture
def tried(tally: Callable[[str, str], Tally]) -> Tally:
    return tally("Secrets in outputs, at log level debug", "every command")


@pytest.fixture
def place(tmp_path: Path) -> Place:
    made = Place(tmp_path)
    made.write("token.txt", TOKEN, secret=True)
    users = f"users: [{{name: u, user: {{token: {IN_KUBECONFIG}}}}}]\n"
    made.write("broken.yaml", users, secret=True)
    made.write("kubeconfig.yaml", users + NOWHERE, secret=True)
    made.write("saved.json", "{}")
    return made


def want(place: Place, uri: str, **spec: Any) -> None:
    """A set with a gate that cannot pass."""
    text = manifest(
        connection(uri, token={"env": "TOKEN"}, **spec),
        alias_set({"a": "v1", "b": "v2"}, gates={"rows": {"min": 5}}),
    )
    place.write("aliases.yaml", text)


def failing(
    place: Place, tried: Tally, repository: str = "https://robot:" + IN_ADDRESS + "@127.0.0.1:1/x.git"
) -> bytes:
    """All calls, of which those that ask a server fail; what they printed."""
    calls = every_call(repository)
    with tried.case(faults=len(calls)):
        codes, printed = place.call_all(calls)
    for call, code in zip(calls, codes, strict=True):
        assert code == 1 or call[0] not in ASKING, call
    return printed


def test_with_a_wrong_token(place: Place, tried: Tally) -> None:
    with talkative_milvus(TOKEN) as toy:
        want(place, toy.uri)
        assert b"token missing or rejected" in failing(place, tried)


def test_with_a_server_that_is_not_there(place: Place, tried: Tally) -> None:
    want(place, f"http://127.0.0.1:{free_port()}")
    assert b"connection refused" in failing(place, tried)


def test_with_a_server_that_says_nothing(place: Place, tried: Tally) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        want(place, f"http://127.0.0.1:{silent.getsockname()[1]}")
        assert b"within 0.5 s" in failing(place, tried)


def test_with_a_key_file_that_is_none(place: Place, tried: Tally) -> None:
    place.write("key.pem", f"-----BEGIN PRIVATE KEY-----\n{IN_KEY}\n-----END PRIVATE KEY-----\n", secret=True)
    tls = dict.fromkeys(("caFile", "certFile", "keyFile"), "key.pem")
    want(place, f"https://127.0.0.1:{free_port()}", tls=tls)
    failing(place, tried)


@pytest.mark.parametrize(
    "spec",
    [
        {"uri": f"http://robot:{IN_ADDRESS}@127.0.0.1:19530"},
        {"uri": "http://127.0.0.1:19530", "token": IN_MANIFEST},
        {"uri": "http://127.0.0.1:19530", "token": {"value": IN_MANIFEST}},
        {"uri": "http://127.0.0.1:19530", "token": {"env": f"{IN_MANIFEST}"}},
        {"uri": "http://127.0.0.1:19530", "password": IN_MANIFEST},
    ],
    ids=["in the address", "as the token", "as its value", "as a variable's name", "as a field that there is not"],
)
def test_with_a_secret_in_the_manifest(spec: dict[str, object], place: Place, tried: Tally) -> None:
    text = manifest(connection("placeholder"), alias_set({"a": "v1"}))
    place.write(
        "aliases.yaml", text.replace("uri: placeholder", "\n  ".join(f"{k}: {v}" for k, v in spec.items())), secret=True
    )
    failing(place, tried)


def test_where_all_goes_well_but_a_gate(shop: Shop, place: Place, tried: Tally) -> None:
    """The commands that write most: plans, reports, the journal, and a way back."""
    place.folder = shop.folder
    for name in place.secret_files | {"saved.json"}:
        assert (shop.folder / name).exists()
    want(place, shop.uri)
    text = (
        (shop.folder / "aliases.yaml")
        .read_text()
        .replace("connectionRef:", f"database: {shop.database}\n  connectionRef:")
    )
    place.write("aliases.yaml", text.replace("collection: v1", "collection: v1\n    gates: {rows: {enabled: false}}"))
    good = [
        ["plan", *FILES, "--out", "saved.json"],
        ["apply", *FILES, "--yes", "--output", "json=report.json", "--token-file", "token.txt", "--log-level", "debug"],
    ]
    calls = good + every_call(str(shop.folder / "nowhere"))
    with tried.case(faults=len(calls)):
        codes, printed = place.call_all(calls)
    assert codes[:2] == [0, 5], printed.decode()
    assert b"create_alias" in printed
    assert (shop.folder / "journal.db").stat().st_size > 0


def test_an_exception_has_none_either(place: Place, tried: Tally) -> None:
    """What a program that uses the Python API may log: the whole chain, with what pymilvus and gRPC say."""
    place.write("token.txt", TOKEN, secret=True)
    with talkative_milvus(TOKEN) as toy:
        server = Connection(
            "main", toy.uri, f"127.0.0.1:{toy.port}", token=Credential(file=str(place.folder / "token.txt"))
        )
        with tried.case(faults=1), pytest.raises(Exception, match="token missing or rejected") as caught:
            make_plan([desired({"a": "v1"}, connection=server)])
    assert shown("".join(traceback.format_exception(caught.value)).encode()) == []

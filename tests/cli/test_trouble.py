"""Servers that are not there, not ours, or do not answer; and the token that nobody may see."""

from __future__ import annotations

import json
import socket
import socketserver
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread

import grpc
import pytest

from tests.cli.command import TOKEN, Completed, clean_environment, run, run_python
from tests.cli.shop import Shop
from tests.faults.relay import Relay
from tests.servers import ToyMilvus, aborting, free_port, slow, status

STARTING_UP = 60.0
"""Seconds that Python and pymilvus may take on a busy machine, on top of the connection's timeout."""


class Doorman(ToyMilvus):
    """Notes the credentials of every call."""

    def __init__(self) -> None:
        super().__init__()
        self.credentials: list[str] = []

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        self.credentials += [value for key, value in details.invocation_metadata if key == "authorization"]
        return super().service(details)


@pytest.fixture
def doorman() -> Iterator[Doorman]:
    doorman = Doorman()
    yield doorman
    doorman.stop()


@pytest.fixture
def other_doorman() -> Iterator[Doorman]:
    doorman = Doorman()
    yield doorman
    doorman.stop()


def one_line_of_trouble(failed: Completed, message: str) -> None:
    assert (failed.code, failed.document["kind"], failed.stderr.count("\n")) == (1, "Error", 1), failed.stderr
    assert failed.stderr.startswith("error: ")
    assert message in failed.stderr
    assert failed.seconds < 2 + STARTING_UP


def folder_for(uri: str, path: Path) -> Shop:
    folder = Shop(uri, "default", None, path)
    folder.want({"a": "v1"})
    return folder


ASKING = ("plan", "-f", "aliases.yaml", "--format", "json", "--timeout", "2s")


def test_a_refused_port(tmp_path: Path) -> None:
    port = free_port()
    failed = folder_for(f"http://127.0.0.1:{port}", tmp_path).run(*ASKING)
    one_line_of_trouble(failed, f"cannot reach 127.0.0.1:{port}: connection refused")


def test_a_port_that_accepts_and_says_nothing(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        failed = folder_for(f"http://{address}", tmp_path).run(*ASKING)
    one_line_of_trouble(failed, f"no answer from {address} within 2 s")


def test_a_server_that_hangs(doorman: Doorman, tmp_path: Path) -> None:
    doorman.answers["GetVersion"] = slow(4, status())
    failed = folder_for(doorman.uri, tmp_path).run(*ASKING)
    one_line_of_trouble(failed, f"no answer from 127.0.0.1:{doorman.port} within 2 s")


def test_a_wrong_token(doorman: Doorman, tmp_path: Path) -> None:
    refusal = aborting(grpc.StatusCode.UNAUTHENTICATED, "auth check failure, please check username and password")
    doorman.answers.update({"Connect": refusal, "GetVersion": refusal})
    failed = folder_for(doorman.uri, tmp_path).run(*ASKING, "--log-level", "debug")
    one_line_of_trouble(failed, f"127.0.0.1:{doorman.port}: token missing or rejected: auth check failure")
    assert failed.document["errors"][0]["code"] == "AuthenticationFailed"
    assert doorman.credentials, "the token was sent, and yet nothing of it is in the output"


def test_a_missing_database(shop: Shop) -> None:
    shop.database = "nowhere"
    shop.want({"a": "v1"})
    address = shop.uri.removeprefix("http://")
    one_line_of_trouble(shop.run(*ASKING), f'there is no database "nowhere" on {address}')


def test_uri_drops_the_token_of_the_manifest(doorman: Doorman, other_doorman: Doorman, tmp_path: Path) -> None:
    """Neither the manifest's token nor the environment's is meant for a server that a flag names."""
    folder = folder_for(doorman.uri, tmp_path)
    env = {"ALIASCTL_TOKEN_ENV": "TOKEN"}
    assert folder.run("version", "-f", "aliases.yaml", env=env).code == 0
    assert doorman.credentials

    asked = folder.run("version", "-f", "aliases.yaml", "--uri", other_doorman.uri, env=env)
    assert (asked.code, other_doorman.count("GetVersion"), other_doorman.credentials) == (0, 1, [])
    asked = folder.run("version", "--uri", other_doorman.uri, "--token-env", "TOKEN", "--format", "json")
    address = f"127.0.0.1:{other_doorman.port}"
    assert asked.document["server"] == {"address": address, "version": "v2.6.4"}
    assert other_doorman.credentials


def test_the_token_is_in_no_output_and_no_file_even_at_debug(shop: Shop, relay: Relay) -> None:
    """`Shop.run` looks for it in both streams and in every file; here are those that could have it."""
    relay.before["CreateAlias"] = lambda context: context.abort(grpc.StatusCode.INTERNAL, "no")
    shop.uri = relay.uri
    shop.want({"a": "v1"})
    debug = ("--log-level", "debug", "--output", "text=out.txt", "--output", "json=out.json")
    assert shop.plan(*debug, "--out", "plan.json").code == 0
    assert shop.read("plan.json")["targets"][0]["connection"]["token"] == {"env": "TOKEN"}
    failed = shop.apply(*debug, "--log-format", "json")
    assert (failed.code, shop.read("out.json")["summary"]["failed"]) == (5, 1)
    assert '"outcome": "failed"' in failed.stderr
    assert shop.run("export", "-f", "aliases.yaml", "--database", shop.database, "--log-level", "debug").code == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ("--token-env", TOKEN),
        ("--uri", f"http://root:{TOKEN}@127.0.0.1:19530"),
        ("--uri", f"http://127.0.0.1:19530/?token={TOKEN}"),
    ],
)
def test_a_token_in_the_wrong_place_is_not_repeated(arguments: tuple[str, str], tmp_path: Path) -> None:
    failed = folder_for("http://127.0.0.1:1", tmp_path).run("plan", "-f", "aliases.yaml", *arguments)
    assert failed.code == 1
    assert failed.stderr.startswith(f"{arguments[0]}: error: ")


@pytest.mark.parametrize("mistaken", ["hunter2", "db10ab60cd", "root:hunter2", "JBSWY3DPEHPK3PXP"])
@pytest.mark.parametrize(
    "command",
    [
        ("plan", "-f", "aliases.yaml", "--token-env"),
        ("plan", "-f", "aliases.yaml", "--against", "aliases.yaml", "--out", "plan.json", "--token-env"),
        ("version", "--uri", "http://127.0.0.1:1", "--token-env"),
        ("sync", ".", "--connections", "aliases.yaml", "--git-token-env"),
        ("sync", ".", "--connections", "aliases.yaml", "--webhook-secret-env"),
    ],
    ids=["plan", "offline", "version", "git", "webhook"],
)
def test_a_secret_in_place_of_a_variable_is_not_repeated(
    command: tuple[str, ...], mistaken: str, tmp_path: Path
) -> None:
    failed = folder_for("http://127.0.0.1:1", tmp_path).run(*command, mistaken)
    message = "expected the name of an environment variable that is set, never the secret itself"
    assert (failed.code, failed.stdout, failed.stderr) == (1, "", f"{command[-1]}: error: {message}\n")
    assert [path.name for path in tmp_path.iterdir()] == ["aliases.yaml"]


def test_nor_in_our_own_variable(tmp_path: Path) -> None:
    failed = run("version", "--uri", "http://127.0.0.1:1", cwd=tmp_path, env={"ALIASCTL_TOKEN_ENV": "hunter2"})
    assert (failed.code, "hunter2" in failed.stdout + failed.stderr) == (1, False)
    assert failed.stderr.startswith("ALIASCTL_TOKEN_ENV: error: ")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--token-env", "UNSET"), "the token's environment variable UNSET is not set"),
        (("--token-file", "token.txt"), "cannot read the token's file {folder}/token.txt: No such file or directory"),
    ],
)
def test_a_token_that_is_not_where_it_should_be(flags: tuple[str, str], message: str, tmp_path: Path) -> None:
    failed = folder_for("http://127.0.0.1:1", tmp_path).run("plan", "-f", "aliases.yaml", *flags)
    assert (failed.code, failed.stderr) == (1, f"error: {message.format(folder=tmp_path)}\n")


def test_a_missing_extra_is_named_in_one_line(tmp_path: Path) -> None:
    folder_for("./milvus.db", tmp_path)
    blocked = "import sys; sys.modules['milvus_lite'] = None; from reconciler.cli.main import main; "
    failed = run_python(blocked + "main(['plan', '-f', 'aliases.yaml'])", cwd=tmp_path)
    assert (failed.code, failed.stdout, failed.stderr.count("\n")) == (1, "", 1)
    assert "needs milvus-lite: pip install '.[lite]' in a clone of aliasctl" in failed.stderr


def test_a_dotenv_file_lying_about_is_not_our_environment(doorman: Doorman, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("FROM_DOTENV=whatever\n")
    failed = run("version", "--uri", doorman.uri, "--token-env", "FROM_DOTENV", cwd=tmp_path)
    assert "FROM_DOTENV is not set" in failed.stderr


def test_variables_of_an_application_change_nothing_and_are_not_repeated(doorman: Doorman, tmp_path: Path) -> None:
    env = {"MILVUS_URI": f"app:{TOKEN}@milvus:19530", "MILVUS_DEFAULT_CONNECTION": "x", "MILVUS_CONN_TIMEOUT": "10s"}
    asked = run("version", "--uri", doorman.uri, "--format", "json", cwd=tmp_path, env=env)
    assert (asked.code, asked.stderr, doorman.count("GetVersion")) == (0, "", 1)
    assert asked.document["server"]["address"] == f"127.0.0.1:{doorman.port}"


def test_an_internal_error_does_not_repeat_what_a_library_says(tmp_path: Path) -> None:
    """Neither in the message, nor in JSON, nor in the traceback of the debug log."""
    broken = (
        "from reconciler.cli import inputs, main\n"
        "def fail(*_):\n"
        f"    raise RuntimeError('Illegal uri: http://root:{TOKEN}@milvus') from KeyError('{TOKEN}')\n"
        "inputs.read_manifests = fail\n"
        "main.main(['plan', '-f', 'x', '--format', 'json', '--log-level', 'debug'])\n"
    )
    process = subprocess.run(
        [sys.executable, "-c", broken], cwd=tmp_path, env=clean_environment({}), capture_output=True, text=True
    )
    assert process.returncode == 1
    assert TOKEN not in process.stdout + process.stderr
    message = json.loads(process.stdout)["errors"][0]["message"]
    assert (
        message == "internal error, please report it: RuntimeError at <string>:3; --log-level debug shows the traceback"
    )
    assert [line for line in process.stderr.splitlines() if line.endswith("Error")] == ["KeyError", "RuntimeError"]


NOBODY = """
import os, pwd, sys
def unknown(uid):
    raise KeyError(f"getpwuid(): uid not found: {uid}")
pwd.getpwuid = unknown
for name in ("HOME", "XDG_STATE_HOME", "LOGNAME", "USER", "LNAME", "USERNAME"):
    os.environ.pop(name, None)
from reconciler.cli.main import main
main(sys.argv[1:])
"""
"""A user without a home folder and without an entry in passwd, as a container's often is."""


@pytest.mark.parametrize(
    ("command", "hint"),
    [
        (("apply", "-f", "aliases.yaml", "--yes"), "name the journal with --journal or ALIASCTL_JOURNAL"),
        (("history",), "name the journal with --journal or ALIASCTL_JOURNAL"),
        (("rollback", "--dry-run"), "name the journal with --journal or ALIASCTL_JOURNAL"),
        (("sync", ".", "--connections", "aliases.yaml"), "name the agent's folder with --state"),
    ],
    ids=["apply", "history", "rollback", "sync"],
)
@pytest.mark.parametrize("platformdirs", ["raises", "leaves the tilde"])
def test_without_a_home_folder_there_is_one_clear_message(
    command: tuple[str, ...], hint: str, platformdirs: str, tmp_path: Path
) -> None:
    folder_for("http://127.0.0.1:1", tmp_path)
    older = (
        "import pathlib, platformdirs; platformdirs.user_state_path = lambda app: pathlib.Path('~/.local/state') / app"
    )
    code = (older if platformdirs == "leaves the tilde" else "") + NOBODY
    failed = run_python(code, *command, cwd=tmp_path)
    assert (failed.code, failed.stdout) == (1, "")
    assert failed.stderr.startswith("error: no home folder is known: HOME is not set, and user ")
    assert hint in failed.stderr
    assert failed.stderr.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["aliases.yaml"]


def test_without_a_home_folder_plans_are_made_and_runs_recorded_where_it_is_said(shop: Shop) -> None:
    shop.want({"a": "v1"})
    planned = run_python(NOBODY, "plan", "-f", "aliases.yaml", cwd=shop.folder)
    assert (planned.code, planned.stderr) == (0, "")
    applied = run_python(NOBODY, "apply", "-f", "aliases.yaml", "--yes", "--journal", "j.jsonl", cwd=shop.folder)
    assert (applied.code, applied.remarks, shop.live) == (0, "", {"a": "v1"})


def test_an_error_of_the_system_is_not_blamed_on_standard_output(tmp_path: Path) -> None:
    code = (
        "import sys; from reconciler.cli import inputs, main\n"
        "def fail(*_):\n"
        "    raise FileNotFoundError(2, 'No usable temporary directory found')\n"
        "inputs.read_manifests = fail\n"
        "main.main(['plan', '-f', 'x'])\n"
    )
    failed = run_python(code, cwd=tmp_path)
    assert (failed.code, failed.stderr) == (1, "error: No usable temporary directory found\n")


def test_a_proxy_is_named_and_its_exceptions_count_in_either_case(shop: Shop) -> None:
    shop.want({"a": "v1"})
    proxy = {"http_proxy": f"http://user:{TOKEN}@127.0.0.1:9"}
    failed = shop.run("plan", "-f", "aliases.yaml", env=proxy)
    assert failed.code == 1
    address = shop.uri.removeprefix("http://")
    message = f"cannot reach {address} through the proxy http://127.0.0.1:9 (http_proxy): connection refused"
    assert message in failed.stderr
    for exceptions in ({"NO_PROXY": "127.0.0.1"}, {"no_proxy": "127.0.0.1"}, {"NO_PROXY": "*"}):
        assert shop.run("plan", "-f", "aliases.yaml", env=proxy | exceptions).code == 0


def test_the_plan_and_the_check_name_a_proxy_that_works(shop: Shop) -> None:
    shop.want({"a": "v1"})
    with tunnel() as port:
        env = {"grpc_proxy": f"http://user:{TOKEN}@127.0.0.1:{port}"}
        planned = shop.run("plan", "-f", "aliases.yaml", env=env)
        checked = shop.run("check", "-f", "aliases.yaml", env=env)
    assert f"note: connected through the proxy http://127.0.0.1:{port} (grpc_proxy)" in planned.stdout, planned.stderr
    assert f"answers through the proxy http://127.0.0.1:{port} (grpc_proxy)" in checked.stdout
    assert TOKEN not in planned.stdout + checked.stdout


@contextmanager
def tunnel() -> Iterator[int]:
    """An HTTP proxy that knows CONNECT, and its port."""

    class Tunnel(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            host, port = self.rfile.readline().split()[1].decode().rsplit(":", 1)
            while self.rfile.readline().strip():
                pass
            with socket.create_connection((host, int(port))) as server:
                self.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
                Thread(target=_copy, args=(server, self.connection), daemon=True).start()
                _copy(self.connection, server)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Tunnel) as proxy:
        proxy.daemon_threads = True
        Thread(target=proxy.serve_forever, daemon=True).start()
        yield proxy.server_address[1]
        proxy.shutdown()


def _copy(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)

"""What the agent answers over HTTP, and the webhook that wakes it."""

from __future__ import annotations

import hashlib
import hmac
import socket
import struct
from collections.abc import Mapping, Sequence
from http.client import HTTPConnection, HTTPResponse
from threading import Event

import pytest

from reconciler.service.web import Web, probe
from tests.cli.command import TOKEN
from tests.render.markup import Parsed
from tests.sync.agents import SECONDS, Agent
from tests.sync.servers import GIT_TOKEN, USER, GitOverHttp
from tests.sync.stage import Stage

SECRET = "h00k-s3cr3t"  # noqa: S105
BODY = b'{"ref": "refs/heads/main"}'


def signature(body: bytes, secret: str = SECRET) -> str:
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def looks(agent: Agent) -> float:
    return agent.metric('aliasctl_sync_reconcile_total{reason="Succeeded"}')


def test_a_signed_webhook_has_the_agent_look_at_once_and_no_other_does(stage: Stage) -> None:
    (stage.shop.folder / "secret.txt").write_text(SECRET + "\n")
    with stage.following("--webhook-secret-file", "secret.txt", interval="1h") as agent:
        agent.found("Succeeded", stage.origin.head)
        commit = stage.merge({"a": "v2"})
        refused: list[tuple[bytes | None, str | None, Mapping[str, str], int]] = [
            (BODY, None, {}, 401),
            (BODY, None, {"X_Hub_Signature_256": signature(BODY, "guessed")}, 401),
            (BODY + b" ", None, {"X_Hub_Signature_256": signature(BODY)}, 401),
            (BODY, None, {"X_Hub_Signature_256": "sha256=é".encode().decode("latin-1")}, 401),
            (None, "GET", {}, 404),
            (BODY, "PUT", {"X_Hub_Signature_256": signature(BODY)}, 501),
            (None, "POST", {"Content_Length": str(27 * 1024 * 1024)}, 413),
            (None, "POST", {"Content_Length": "9" * 5000}, 413),
            (None, "POST", {"Transfer_Encoding": "chunked"}, 411),
        ]
        for body, method, headers, status in refused:
            assert agent.request("/hook", body, method, **headers).status == status, headers
        assert agent.request("/elsewhere", BODY, X_Hub_Signature_256=signature(BODY)).status == 404

        assert agent.request("/hook", BODY, X_Hub_Signature_256=signature(BODY)).status == 202
        agent.found("Succeeded", commit, done=1)
        assert (stage.shop.live, looks(agent)) == ({"a": "v2"}, 2)

        stage.merge({"a": "v3"}, verify={"soak": "10m"})
        assert agent.request("/hook", BODY, X_Hub_Signature_256=signature(BODY)).status == 202
        agent.event("monitoring 1 alias for 10m")
        back = stage.origin.revert()
        assert agent.request("/hook", BODY, X_Hub_Signature_256=signature(BODY)).status == 202
        agent.found("Succeeded", back, done=1)
        assert stage.shop.live == {"a": "v2"}
        told = str(agent.log)
        assert SECRET not in told + agent.request("/status").text


def test_without_a_secret_there_is_no_webhook_and_a_client_that_hangs_up_leaves_no_trace(stage: Stage) -> None:
    with stage.following(interval="1h") as agent:
        agent.found("Succeeded", stage.origin.head)
        assert agent.request("/hook", BODY, X_Hub_Signature_256=signature(BODY, "")).status == 404
        client = socket.create_connection(("127.0.0.1", agent.port))
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n")
        client.close()  # with a reset; the end of the test finds nothing but log records on standard error
        assert agent.request("/healthz").text == "ok\n"
        assert (agent.request("/readyz").text, looks(agent)) == ("ok: Succeeded\n", 1)


def test_it_is_ready_when_it_has_looked_and_tells_of_what_it_follows(stage: Stage) -> None:
    http = GitOverHttp(stage.origin.bare.parent)
    asked, go_on = Event(), Event()

    def hold(path: str) -> None:
        asked.set()
        go_on.wait(SECONDS)

    http.before = hold
    options = ("--git-username", USER, "--git-token-env", "GIT_TOKEN")
    try:
        with stage.following(*options, repository=http.url(), env={"GIT_TOKEN": GIT_TOKEN}) as agent:
            assert asked.wait(SECONDS)
            assert (agent.request("/readyz").status, agent.request("/healthz").status) == (503, 200)
            assert agent.status["reason"] is None
            go_on.set()
            head = stage.origin.head
            agent.found("Succeeded", head)
            assert agent.request("/readyz").status == 200
            status = agent.status
            assert status == {
                "repository": http.url(),
                "ref": "main",
                "path": "aliases",
                "reason": "Succeeded",
                "meaning": "everything is up to date",
                "message": f"1 alias up to date with commit {head[:12]}",
                "attempted": head,
                "inForce": head,
                "applied": head,
                "internalErrors": 0,
            }
            metrics = agent.request("/metrics").text
            assert f'aliasctl_sync_revision_info{{attempted="{head}",in_force="{head}"}} 1.0' in metrics
            assert 'aliasctl_milvus_calls_total{code="' in metrics
            assert GIT_TOKEN not in metrics + str(status)
    finally:
        http.down()


def test_the_status_page_shows_sets_blocks_and_runs_to_readers_and_to_no_other_site(stage: Stage) -> None:
    with stage.following(interval="1h") as agent:
        agent.eventually(lambda: "Everything is up to date" in agent.request("/").text)
        assert "Recent runs" not in agent.request("/").text
    stage.merge({"a": "v2"})
    stage.merge({"a": "v2", "b": "nowhere", "c": None}, message="Break b")
    with stage.following() as agent:
        agent.found("DependencyNotReady")
        agent.eventually(lambda: "Recent runs" in agent.request("/").text)
        answer = agent.request("/")
        page = Parsed(answer.text)
        rows = [" ".join(row.split()) for row in page.inside("tbody").split("\n\n\n")]
        assert {"b none nowhere blocked", "a v2 v2 up to date"} <= set(rows)
        assert "nowhere" in page.inside("strong")
        for fact in (str(stage.origin.bare), stage.origin.head, "Robin"):
            assert fact in page.inside("footer"), fact
        assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
        assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'; style-src 'sha256-")
        assert TOKEN not in answer.text
        problems = Parsed(agent.request("/problems").text).inside("tbody")
        assert ("nowhere" in problems, "up to date" in problems) == (True, False)
        for path in ("/", "/status", "/metrics", "/nowhere"):
            headers = agent.request(path).headers
            assert headers["Content-Security-Policy"].endswith("frame-ancestors 'none'")
            assert (headers["X-Content-Type-Options"], headers["Cache-Control"]) == ("nosniff", "no-store")


def test_the_status_page_can_be_switched_off(stage: Stage) -> None:
    with stage.following("--no-status-page") as agent:
        agent.found("Succeeded", stage.origin.head)
        assert [agent.request(path).status for path in ("/", "/problems", "/status")] == [404, 404, 200]


def test_a_site_that_points_its_name_at_this_machine_reads_nothing(stage: Stage) -> None:
    """DNS rebinding: a browser that runs the site's script sends the site's name."""
    with stage.following("--allow-host", "Agent.example.com:8080") as agent:
        agent.found("Succeeded", stage.origin.head)
        for path in ("/", "/problems", "/status", "/metrics"):
            answer = agent.request(path, Host="127.0.0.1.attacker.example:8080")
            assert (answer.status, "--allow-host" in answer.text, "origin" in answer.text) == (421, True, False), path
        assert agent.request("/status", Host="agent.example.com").status == 200


ANSWERED = (
    "localhost",
    "localhost:8080",
    "LOCALHOST.:80",
    "aliasctl.localhost",
    "127.0.0.1:8080",
    "10.1.2.3",
    "[::1]:8080",
    "[::ffff:127.0.0.1]:8080",
    "build-host:8080",
)
REFUSED = (
    "attacker.example",
    "attacker.example.",
    "localhost.attacker.example:8080",
    "127.0.0.1.attacker.example",
    "attackerlocalhost.example",
)


def test_over_the_loopback_interface_only_names_that_no_site_can_have_are_answered() -> None:
    found = {host: answer.status for host, answer in answered("127.0.0.1", (*ANSWERED, *REFUSED)).items()}
    assert found == dict.fromkeys(ANSWERED, 200) | dict.fromkeys(REFUSED, 421)


def test_names_are_checked_on_other_interfaces_when_they_are_given() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as route:
        try:
            route.connect(("192.0.2.1", 9))  # sends nothing
        except OSError:
            pytest.skip("this machine has no other interface")
        own = str(route.getsockname()[0])
    name = "agent.example.com"
    assert answered(own, [name])[name].status == 200
    assert {host: answer.status for host, answer in answered(own, [*REFUSED, name], names=[name]).items()} == {
        **dict.fromkeys(REFUSED, 421),
        name: 200,
    }


def answered(
    address: str, hosts: Sequence[str] = ("localhost",), *, method: str = "GET", names: Sequence[str] = ()
) -> dict[str, HTTPResponse]:
    """The answer to a request for each of these hosts, without its body."""
    web = Web(f"{address}:0", {"/": lambda: probe(None)}, allow_hosts=names)
    found = {}
    try:
        for host in hosts:
            client = HTTPConnection(address, web.port, timeout=60)
            client.request(method, "/", headers={"Host": host})
            found[host] = client.getresponse()
            found[host].read()
            client.close()
    finally:
        web.close()
    return found


def test_a_head_request_has_the_headers_only_and_no_answer_names_the_version_of_python() -> None:
    head, unknown = (answered("127.0.0.1", method=method)["localhost"] for method in ("HEAD", "BREW"))
    assert (head.status, head.headers["Content-Length"]) == (200, "3")
    assert (unknown.status, unknown.headers["Content-Type"]) == (501, "text/plain; charset=utf-8")
    for answer in (head, unknown):
        assert answer.headers["Server"] == "aliasctl"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("listen", ["nonsense", "127.0.0.1:99999", "203.0.113.1:80"])
def test_where_it_cannot_listen_is_said(stage: Stage, listen: str) -> None:
    done = stage.shop.run("sync", *stage.options(None, "state", ("--listen", listen)))
    assert (done.code, done.stderr.startswith(f"error: --listen {listen}: ")) == (1, True), done.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--webhook-secret-env", "HOOK"), "the webhook secret's environment variable HOOK is not set"),
        (
            ("--webhook-secret-file", "none.txt"),
            "cannot read the webhook secret's file {folder}/none.txt: No such file",
        ),
    ],
)
def test_a_missing_secret_is_said_at_once(stage: Stage, options: tuple[str, str], message: str) -> None:
    done = stage.shop.run("sync", *stage.options(None, "state", ("--listen", "127.0.0.1:0", *options)))
    assert done.code == 1
    assert done.stderr.startswith("error: " + message.format(folder=stage.shop.folder)), done.stderr

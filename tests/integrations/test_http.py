"""The HTTP client for systems beside Milvus: what it sends, and what it does not put up with."""

from __future__ import annotations

import shutil
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reconciler.core.errors import IntegrationFailed, InvalidInput, Problem
from reconciler.core.model import Credential, HttpEndpoint, SecretKeyRef, Tls
from reconciler.integrations import http
from reconciler.integrations.http import HttpClient
from reconciler.operator.cluster import ClusterError
from tests.inspect.certificates import Certificates, make_certificates
from tests.integrations.receivers import Answer, Receiver, raw_server, receiver

KEY = "s3cret-key"
OK = b"HTTP/1.1 200 OK\r\n"
NAME = 'hook "x" at 127.0.0.1:'


@pytest.fixture(name="system")
def fixture_system() -> Iterator[Receiver]:
    with receiver() as running:
        yield running


def client(uri: str, *, environment: dict[str, str] | None = None, secrets: Any = None, **fields: Any) -> HttpClient:
    endpoint = HttpEndpoint(uri=uri, **{"timeout": 5.0, **fields})
    return HttpClient(endpoint, 'hook "x"', namespace="search", secrets=secrets, environment=environment or {})


def failure(uri: str, **fields: Any) -> IntegrationFailed:
    with pytest.raises(IntegrationFailed) as caught:
        client(uri, **fields).post(b"{}", headers={})
    assert "\n" not in str(caught.value)
    assert KEY not in str(caught.value)
    return caught.value


class TestRequest:
    def test_arrives_with_path_query_body_and_headers(self, system: Receiver) -> None:
        answer = client(f"{system.uri}/hooks?team=a").post(b"{}", headers={"X-A": "b"}, path="/v1?x=y")
        [request] = system.requests
        assert (request.method, request.path, request.body) == ("POST", "/hooks/v1?x=y&team=a", b"{}")
        assert request.headers["x-a"] == "b"
        assert request.headers["user-agent"].startswith("aliasctl/")
        assert (answer.status, answer.body) == (200, b"")

    @pytest.mark.parametrize("written", ["", "/"])
    def test_without_a_path(self, system: Receiver, written: str) -> None:
        client(system.uri + written).get()
        assert system.requests[0].path == "/"

    @pytest.mark.parametrize("status", [204, 404, 503])
    def test_returns_any_status(self, system: Receiver, status: int) -> None:
        system.answer = lambda _: Answer(status)
        assert client(system.uri).get().status == status

    def test_sends_a_token_as_bearer(self, system: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HOOK_KEY", KEY)
        sender = client(system.uri, secret=Credential(env="HOOK_KEY"))
        sender.get(headers=sender.bearer())
        assert system.requests[0].headers["authorization"] == f"Bearer {KEY}"

    def test_reads_a_chunked_answer(self) -> None:
        with raw_server(OK, b"Transfer-Encoding: chunked\r\n\r\n", b"2\r\nab\r\n", b"1\r\nc\r\n0\r\n\r\n") as uri:
            assert client(uri).get().body == b"abc"


class TestSecret:
    def test_of_a_kubernetes_secret_of_the_namespace(self) -> None:
        def secrets(namespace: str, secret: SecretKeyRef) -> bytes:
            return f"{namespace}/{secret.name}/{secret.key}\n".encode()

        reference = Credential(secret=SecretKeyRef("hook", "key"))
        assert client("http://a", secret=reference, secrets=secrets).secret == "search/hook/key"  # noqa: S105 - a place

    @pytest.mark.parametrize(
        ("credential", "words"),
        [
            (Credential(env="UNSET_KEY"), 'hook "x": the secret\'s environment variable UNSET_KEY is not set'),
            (Credential(env=KEY), "its name is not repeated"),
            (Credential(file="/no/such/key"), "file /no/such/key: No such file"),
            (Credential(secret=SecretKeyRef("a", "b")), "only the operator can read; name env or file"),
        ],
    )
    def test_that_cannot_be_read(self, credential: Credential, words: str) -> None:
        with pytest.raises(IntegrationFailed) as caught:
            _ = client("http://a", secret=credential).secret
        assert words in str(caught.value)
        assert KEY not in str(caught.value)

    def test_that_kubernetes_does_not_return_now(self) -> None:
        def secrets(*_: object) -> bytes:
            raise ClusterError("the Kubernetes API did not answer: timed out")

        with pytest.raises(IntegrationFailed) as caught:
            _ = client("http://a", secret=Credential(secret=SecretKeyRef("a", "b")), secrets=secrets).secret
        assert str(caught.value) == 'hook "x": the Kubernetes API did not answer: timed out'
        assert caught.value.transient

    def test_that_no_header_can_carry_is_not_shown(self, system: Receiver, tmp_path: Path) -> None:
        (tmp_path / "key").write_text(f"{KEY}\nmore\n")
        sender = client(system.uri, secret=Credential(file=str(tmp_path / "key")))
        with pytest.raises(IntegrationFailed, match="characters that no HTTP request can have") as caught:
            sender.get(headers=sender.bearer())
        assert KEY not in str(caught.value)
        assert system.requests == []

    def test_that_is_echoed_is_not_shown(self, system: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HOOK_KEY", KEY)
        system.answer = lambda request: Answer(401, f"wrong token {request.headers['authorization']}".encode())
        sender = client(system.uri, secret=Credential(env="HOOK_KEY"))
        assert sender.get(headers=sender.bearer()).text == "wrong token Bearer (secret)"


class TestHostileServers:
    @pytest.mark.parametrize(
        "parts", [(), (OK,), (OK + b"Content-Length: 99\r\n\r\n",)], ids=["status", "headers", "body"]
    )
    def test_that_send_byte_by_byte_end_at_the_deadline(self, parts: tuple[bytes, ...]) -> None:
        """Each byte comes well within a timeout; together they would take an hour."""
        with raw_server(*parts, every=0.05, endless=b"X") as uri:
            assert str(failure(uri, timeout=0.5)).endswith("did not answer in time (timeout: 0.5 s)")

    def test_that_stay_silent(self) -> None:
        with raw_server(close=False) as uri:
            error = failure(uri, timeout=0.2)
        assert str(error).endswith("did not answer in time (timeout: 0.2 s)")
        assert error.transient

    def test_that_do_not_read_what_they_are_sent(self) -> None:
        with raw_server(close=False) as uri, pytest.raises(IntegrationFailed, match=r"timeout: 0\.3 s"):
            client(uri, timeout=0.3).post(b"x" * 50_000_000, headers={})

    @pytest.mark.parametrize(
        "headers", [b"\r\n", b"Content-Length: 99999999999\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\nFFFFFFF\r\n"]
    )
    def test_that_send_without_end(self, headers: bytes) -> None:
        with raw_server(OK + headers, endless=b"x" * 10_000) as uri:
            assert str(failure(uri)).endswith("answers with more than 64 KiB")

    @pytest.mark.parametrize(
        "sent",
        [
            b"",
            b"220 mail.example.com ESMTP\r\n",
            OK + b"X: " + b"y" * 100_000,
            OK + b"X: y\r\n" * 1_000 + b"\r\n",
            OK + b"Content-Length: 100\r\n\r\nshort",
            OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        ],
    )
    def test_that_speak_no_http(self, sent: bytes) -> None:
        with raw_server(sent) as uri:
            error = failure(uri)
        assert error.transient
        assert "no valid HTTP answer" in str(error)

    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    def test_that_redirect_are_not_followed(self, system: Receiver, status: int) -> None:
        with receiver() as elsewhere:
            system.answer = lambda _: Answer(status, headers={"Location": f"{elsewhere.uri}/taken"})
            error = failure(system.uri)
            assert elsewhere.requests == []
        assert str(error).endswith(f"answers {status}, a redirect, which is not followed; set uri to the final address")

    def test_whose_answer_holds_control_characters(self, system: Receiver) -> None:
        system.answer = lambda _: Answer(200, "a\x1b[2J\r\nb\u202e\x00".encode() + b"\xff")
        assert client(system.uri).get().text == "a\\x1b[2J b\\u202e\\x00\N{REPLACEMENT CHARACTER}"

    def test_whose_answer_is_long_is_shortened(self, system: Receiver) -> None:
        system.answer = lambda _: Answer(200, b"long " * 1_000)
        assert len(client(system.uri).get().text) == http.MAX_TEXT


class TestAddresses:
    @pytest.mark.parametrize(
        "host",
        [
            "169.254.169.254",
            "2852039166",  # the same in decimal
            "0xa9fea9fe",
            "[fe80::1]",
            "[::ffff:169.254.169.254]",
            "[64:ff9b::a9fe:a9fe]",
            "[2002:a9fe:a9fe::1]",
            "[fd00:ec2::254]",
            "100.100.100.200",
            "168.63.129.16",
            "0.0.0.0",  # noqa: S104 - not to bind to
            "[::]",
            "224.0.0.1",
        ],
    )
    def test_of_metadata_and_link_local_ones_are_refused(self, host: str) -> None:
        assert str(failure(f"http://{host}/latest/meta-data/", timeout=0.5)).endswith("is refused")

    def test_are_those_that_were_checked(self, system: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
        """A name whose address changes after the check would lead to another one."""
        port = int(system.uri.rpartition(":")[2])
        lookups = iter(["127.0.0.1", "169.254.169.254"])
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [(socket.AF_INET, 1, 6, "", (next(lookups), port))])
        assert client(f"http://hooks.example.com:{port}").get().status == 200
        assert str(failure(f"http://hooks.example.com:{port}")).endswith("is refused")

    def test_that_refuse_are_followed_by_others_of_the_name(
        self, system: Receiver, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        port = int(system.uri.rpartition(":")[2])
        found = [(socket.AF_INET, 1, 6, "", (address, port)) for address in ("127.0.0.2", "127.0.0.1")]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
        assert client(f"http://hooks.example.com:{port}").get().status == 200

    @pytest.mark.parametrize(
        "uri",
        ["file:///etc/passwd", "http://", "http://a:99999", "http://[1:2:3]", f"http://user:{KEY}@a", "http://a:0"],
    )
    def test_that_are_none_are_refused(self, uri: str) -> None:
        """Manifests cannot have them; a plan file that somebody wrote can."""
        assert str(failure(uri)) == 'hook "x": its uri is not http(s)://host[:port][/path]'

    def test_without_a_server(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as closed:
            port = closed.getsockname()[1]
        error = failure(f"http://127.0.0.1:{port}/path-with-{KEY}")
        assert str(error) == f"{NAME}{port} cannot be reached: Connection refused"
        assert error.transient

    def test_of_a_name_that_does_not_exist(self) -> None:
        assert "cannot be reached" in str(failure("http://no-such-host.invalid"))


class TestProxy:
    def test_of_the_environment_gets_the_whole_address(self, system: Receiver) -> None:
        proxy = system.uri.replace("http://", "http://user:pa%20ss@")
        client("http://hooks.example.com/a?b=c", environment={"http_proxy": proxy}).get()
        [request] = system.requests
        assert request.path == "http://hooks.example.com/a?b=c"
        assert request.headers["host"] == "hooks.example.com"
        assert request.headers["proxy-authorization"] == "Basic dXNlcjpwYSBzcw=="

    def test_is_not_used_for_exceptions(self, system: Receiver) -> None:
        environment = {"http_proxy": "http://127.0.0.1:1", "no_proxy": "127.0.0.1"}
        assert client(system.uri, environment=environment).get().status == 200

    def test_does_not_lead_to_refused_addresses(self, system: Receiver) -> None:
        error = failure("http://169.254.169.254/", environment={"http_proxy": system.uri})
        assert str(error).endswith("is refused")
        assert system.requests == []

    def test_that_does_not_let_through(self, system: Receiver) -> None:
        error = failure("https://hooks.example.com", environment={"https_proxy": system.uri})
        assert "the proxy answers 501" in str(error)

    def test_that_is_no_http_proxy(self) -> None:
        error = failure("http://a", environment={"https_proxy": f"socks5://user:{KEY}@a"})
        assert "the proxy in https_proxy must be http://host:port" in str(error)


@pytest.fixture(scope="module", name="pems")
def fixture_pems(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    if shutil.which("openssl") is None:
        pytest.skip("no openssl command to make certificates with")
    return make_certificates(tmp_path_factory.mktemp("pems"))


def server_context(pems: Certificates, name: str = "server", *, mutual: bool = False) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pems.pem(name), pems.key(name))
    if mutual:
        context.load_verify_locations(pems.pem("ca"))
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def file(path: str) -> Credential:
    return Credential(file=path)


class TestTls:
    def test_with_our_ca_and_name(self, pems: Certificates) -> None:
        with receiver(server_context(pems)) as system:
            tls = Tls(ca=file(pems.pem("ca")), server_name="localhost")
            assert client(system.uri, tls=tls).get().status == 200

    def test_with_a_client_certificate_of_secrets_of_which_nothing_stays_on_the_disk(
        self, pems: Certificates, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
        ca, cert, key = (
            Credential(secret=SecretKeyRef("tls", name)) for name in ("ca.pem", "client.pem", "client.key")
        )
        with receiver(server_context(pems, mutual=True)) as system:
            sender = client(
                system.uri,
                tls=Tls(ca, cert, key, "localhost"),
                secrets=lambda _, secret: (pems.folder / secret.key).read_bytes(),
            )
            assert sender.get().status == 200
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize(
        ("server", "ca", "name", "words"),
        [
            ("server", "ca", None, "IP address mismatch"),
            ("server", "ca", "else.test", "Hostname mismatch"),
            ("server", "other", "localhost", "unable to get local issuer certificate"),
            ("server", None, "localhost", "unable to get local issuer certificate"),
            ("expired_server", "ca", "localhost", "certificate has expired"),
        ],
    )
    def test_refuses_other_servers(
        self, pems: Certificates, server: str, ca: str | None, name: str | None, words: str
    ) -> None:
        with receiver(server_context(pems, server)) as system:
            error = failure(system.uri, tls=Tls(ca=file(pems.pem(ca)) if ca else None, server_name=name))
            assert system.requests == []
        assert words in str(error)

    def test_that_needs_a_client_certificate(self, pems: Certificates) -> None:
        with receiver(server_context(pems, mutual=True)) as system:
            error = failure(system.uri, tls=Tls(ca=file(pems.pem("ca")), server_name="localhost"))
            assert system.requests == []
        assert str(error).startswith(NAME)

    def test_of_a_server_without_tls(self, system: Receiver) -> None:
        assert "no TLS connection" in str(failure(system.uri.replace("http:", "https:")))

    def test_with_a_file_that_holds_no_certificate(self, system: Receiver, tmp_path: Path) -> None:
        (tmp_path / "ca.pem").write_text(KEY)
        error = failure(system.uri.replace("http:", "https:"), tls=Tls(ca=file(str(tmp_path / "ca.pem"))))
        assert "a PEM file of its tls settings cannot be used" in str(error)

    def test_with_a_secret_that_does_not_exist(self, system: Receiver) -> None:
        def secrets(*_: object) -> bytes:
            raise InvalidInput(Problem('there is no Secret "tls" in namespace search'))

        tls = Tls(ca=Credential(secret=SecretKeyRef("tls", "ca")))
        error = failure(system.uri.replace("http:", "https:"), tls=tls, secrets=secrets)
        assert str(error) == 'hook "x": there is no Secret "tls" in namespace search'

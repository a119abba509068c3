"""Tokens and TLS: where they come from, and that what arrives at the server is what was meant."""

from __future__ import annotations

import base64
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from msgspec.structs import replace
from pymilvus.grpc_gen import milvus_pb2

from reconciler.catalog import connect
from reconciler.catalog.milvus_options import client_options
from reconciler.core.errors import ConnectionFailed, InvalidInput
from reconciler.core.model import Connection, Credential, SecretKeyRef, Tls
from tests.servers import ToyMilvus, connection_to, status, toy_milvus

TOKEN = "root:s3cret"  # noqa: S105 - of no server
SECRET = Credential(secret=SecretKeyRef("milvus", "token"))


class TestToken:
    @pytest.mark.parametrize("written", [TOKEN, TOKEN + "\n", TOKEN + "\r\n"])
    def test_from_a_file(self, tmp_path: Path, written: str) -> None:
        (tmp_path / "token").write_bytes(written.encode())
        assert options(with_token(Credential(file=str(tmp_path / "token")))) == {"token": TOKEN}

    @pytest.mark.parametrize("written", [TOKEN, TOKEN + "\n", TOKEN + "\r\n"])
    def test_from_the_environment(self, written: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """A Secret made by `echo … | base64` reaches it with its line end, by way of valueFrom.secretKeyRef."""
        monkeypatch.setenv("MY_TOKEN", written)
        assert options(with_token(Credential(env="MY_TOKEN"))) == {"token": TOKEN}

    @pytest.mark.parametrize("mistaken", ["s3cret", "db10ab60cd", "root:s3cret", "s3cret-key"])
    def test_given_as_the_name_of_a_variable_is_not_repeated(self, mistaken: str) -> None:
        with pytest.raises(InvalidInput, match="the token's environment variable is not set; its name") as caught:
            options(with_token(Credential(env=mistaken)))
        assert mistaken not in str(caught.value)

    def test_only_one_line_end_is_stripped(self, tmp_path: Path) -> None:
        (tmp_path / "token").write_bytes(b" x \n\n")
        assert options(with_token(Credential(file=str(tmp_path / "token")))) == {"token": " x \n"}

    def test_from_the_environment_reaches_the_server(self, toy: ToyMilvus, monkeypatch: pytest.MonkeyPatch) -> None:
        seen: dict[str, Any] = {}

        def note(_: bytes, context: grpc.ServicerContext) -> Any:
            seen.update(context.invocation_metadata())
            return milvus_pb2.ConnectResponse(status=status(), identifier=1)

        toy.answers["Connect"] = note
        monkeypatch.setenv("MY_TOKEN", TOKEN)
        connect(connection_to(toy.uri, token=Credential(env="MY_TOKEN")), "default").close()
        assert base64.b64decode(seen["authorization"]).decode() == TOKEN

    def test_from_a_secret_of_the_namespace(self) -> None:
        asked = []

        def secrets(namespace: str, secret: SecretKeyRef) -> bytes:
            asked.append((namespace, secret.name, secret.key))
            return TOKEN.encode() + b"\n"

        with client_options(replace(with_token(SECRET), namespace="search"), secrets) as found:
            assert found == {"token": TOKEN}
        assert asked == [("search", "milvus", "token")]

    @pytest.mark.parametrize("content", [b"", b"s3cret\xff"])
    def test_a_secret_that_holds_no_token(self, content: bytes) -> None:
        refused = pytest.raises(InvalidInput, match=r"Secret milvus \(key token\) is (empty|not text)$")
        with refused, client_options(with_token(SECRET), lambda *_: content):
            pass

    @pytest.mark.parametrize(
        ("credential", "words"),
        [
            (Credential(env="UNSET_TOKEN"), "environment variable UNSET_TOKEN is not set"),
            (Credential(env="EMPTY_TOKEN"), "environment variable EMPTY_TOKEN is empty"),
            (Credential(env="LINE_END"), "environment variable LINE_END is empty"),
            (Credential(file="/no/such/token"), "file /no/such/token: No such file"),
            (Credential(file="/"), "file /: Is a directory"),
            (Credential(file="empty"), "file empty is empty"),
            (Credential(file="binary"), "file binary is not text"),
            (SECRET, "only the operator can read; pass --token-env or --token-file"),
        ],
    )
    def test_that_cannot_be_had(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, credential: Credential, words: str
    ) -> None:
        monkeypatch.chdir(tmp_path)
        monkeypatch.delenv("UNSET_TOKEN", raising=False)
        monkeypatch.setenv("EMPTY_TOKEN", "")
        monkeypatch.setenv("LINE_END", "\n")
        Path("empty").write_bytes(b"\n")
        Path("binary").write_bytes(b"s3cret\xff")
        with pytest.raises(InvalidInput) as caught:
            options(with_token(credential))
        assert words in str(caught.value)
        assert "s3cret" not in str(caught.value)
        assert "\n" not in str(caught.value)


class TestTlsSettings:
    @pytest.mark.parametrize("uri", ["http://host:19530", "/folder/x.db"])
    def test_need_https(self, uri: str) -> None:
        with pytest.raises(InvalidInput, match="TLS settings need an https:// address"):
            options(connection_to(uri, tls=Tls(server_name="milvus")))

    @pytest.mark.parametrize("given", [("cert",), ("key",), ("cert", "key"), ("cert", "ca"), ("key", "ca")])
    def test_need_all_parts_of_a_client_certificate(self, tmp_path: Path, given: tuple[str, ...]) -> None:
        (tmp_path / "x.pem").touch()
        tls = tls_with(pem(tmp_path, "x.pem"), *given)
        with pytest.raises(InvalidInput, match="--tls-cert, --tls-key and --tls-ca together"):
            options(connection_to("https://host:19530", tls=tls))

    @pytest.mark.parametrize("part", ["ca", "cert", "key"])
    def test_name_a_file_that_cannot_be_read(self, part: str) -> None:
        tls = tls_with(Credential(file="/no/such.pem"), part)
        with pytest.raises(InvalidInput, match=rf"cannot read the TLS {part} file /no/such\.pem: No such file"):
            options(connection_to("https://host:19530", tls=tls))

    @pytest.mark.parametrize("credential", [SECRET, Credential(env="PEM")])
    @pytest.mark.parametrize("part", ["ca", "cert", "key"])
    def test_are_files(self, part: str, credential: Credential) -> None:
        with pytest.raises(InvalidInput, match=f"pass --tls-{part}"):
            options(connection_to("https://host:19530", tls=tls_with(credential, part)))


@pytest.fixture(scope="module")
def pems(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CA, and certificates of it: a server's for the name milvus.test, and a client's."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl command to make certificates with")
    folder = tmp_path_factory.mktemp("pems")
    new = "openssl req -newkey rsa:2048 -nodes -days 2"
    sign = "openssl x509 -req -CA ca.pem -CAkey ca.key -CAcreateserial -days 2"
    (folder / "san").write_text("subjectAltName=DNS:milvus.test\n")
    for command in (
        f"{new} -x509 -subj /CN=ca -keyout ca.key -out ca.pem",
        f"{new} -x509 -subj /CN=other -keyout other.key -out other.pem",
        f"{new} -subj /CN=milvus.test -keyout server.key -out server.csr",
        f"{sign} -extfile san -in server.csr -out server.pem",
        f"{new} -subj /CN=client -keyout client.key -out client.csr",
        f"{sign} -in client.csr -out client.pem",
    ):
        subprocess.run(command.split(), cwd=folder, check=True, capture_output=True)
    return folder


@pytest.fixture(params=["one-way", "mutual"])
def tls_toy(request: pytest.FixtureRequest, pems: Path) -> Iterator[tuple[ToyMilvus, bool]]:
    mutual = request.param == "mutual"
    credentials = grpc.ssl_server_credentials(
        [((pems / "server.key").read_bytes(), (pems / "server.pem").read_bytes())],
        root_certificates=(pems / "ca.pem").read_bytes() if mutual else None,
        require_client_auth=mutual,
    )
    with toy_milvus(credentials=credentials) as toy:
        yield toy, mutual


class TestTls:
    def test_with_our_ca_and_certificate(self, tls_toy: tuple[ToyMilvus, bool], pems: Path) -> None:
        toy, _ = tls_toy
        tls = Tls(pem(pems, "ca.pem"), pem(pems, "client.pem"), pem(pems, "client.key"), "milvus.test")
        catalog = connect(over_tls(toy, tls), "default")
        assert catalog.server_version() == "v2.6.4"
        catalog.close()

    def test_out_of_secrets_of_which_nothing_stays_on_the_disk(
        self, tls_toy: tuple[ToyMilvus, bool], pems: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        toy, _ = tls_toy
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
        ca, cert, key = (
            Credential(secret=SecretKeyRef("tls", name)) for name in ("ca.pem", "client.pem", "client.key")
        )
        connection = over_tls(toy, Tls(ca, cert, key, "milvus.test"))
        catalog = connect(connection, "default", secrets=lambda _, secret: (pems / secret.key).read_bytes())
        assert catalog.server_version() == "v2.6.4"
        catalog.close()
        assert list(tmp_path.iterdir()) == []

    def test_without_a_certificate_of_ours(self, tls_toy: tuple[ToyMilvus, bool], pems: Path) -> None:
        toy, mutual = tls_toy
        connection = over_tls(toy, Tls(ca=pem(pems, "ca.pem"), server_name="milvus.test"))
        if mutual:
            with pytest.raises(ConnectionFailed):
                connect(connection, "default")
        else:
            connect(connection, "default").close()

    @pytest.mark.parametrize("ca", ["other.pem", None])
    def test_a_server_we_do_not_trust(self, tls_toy: tuple[ToyMilvus, bool], pems: Path, ca: str | None) -> None:
        tls = Tls(ca=pem(pems, ca) if ca else None, server_name="milvus.test")
        with pytest.raises(ConnectionFailed, match=r"certificate is not trusted: [a-z -]+$"):
            connect(over_tls(tls_toy[0], tls), "default")

    def test_a_server_of_another_name(self, tls_toy: tuple[ToyMilvus, bool], pems: Path) -> None:
        with pytest.raises(ConnectionFailed, match="the server's certificate is for another name"):
            connect(over_tls(tls_toy[0], Tls(ca=pem(pems, "ca.pem"), server_name="else.test")), "default")

    def test_a_plain_client(self, tls_toy: tuple[ToyMilvus, bool]) -> None:
        with pytest.raises(ConnectionFailed, match="the connection was closed"):
            connect(connection_to(tls_toy[0].uri, timeout=1.0), "default")


def options(connection: Connection) -> dict[str, str]:
    with client_options(connection) as found:
        return found


def tls_with(credential: Credential, *parts: str) -> Tls:
    """One credential for some of the parts `ca`, `cert` and `key`."""
    ca, cert, key = (credential if part in parts else None for part in ("ca", "cert", "key"))
    return Tls(ca, cert, key)


def with_token(credential: Credential) -> Connection:
    return connection_to("http://host:19530", token=credential)


def over_tls(toy: ToyMilvus, tls: Tls) -> Connection:
    return connection_to(f"https://127.0.0.1:{toy.port}", tls=tls, timeout=1.0)


def pem(folder: Path, name: str) -> Credential:
    return Credential(file=str(folder / name))

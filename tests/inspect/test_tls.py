"""TLS and mutual TLS on real servers: what is wrong is said in one line that says which."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.command import Completed, run
from tests.inspect.certificates import Certificates
from tests.inspect.people import ROOT
from tests.reliability.tally import Tally

Ask = Callable[..., Completed]


@pytest.fixture
def tried(tally: Callable[[str, str], Tally]) -> Tally:
    return tally("TLS and mutual TLS", "Milvus 2.3.5")


def options(
    certificates: Certificates, ca: str = "ca", client: str | None = None, name: str | None = None
) -> list[str]:
    given = ["--tls-ca", certificates.pem(ca)]
    if client:
        given += ["--tls-cert", certificates.pem(client), "--tls-key", certificates.key(client)]
    return [*given, *(["--tls-server-name", name] if name else [])]


def refused(uri: str, arguments: list[str], said: str, remedy: str, folder: Path, tried: Tally) -> None:
    """Both by a command that reads and by check, which says that the rest is not at fault."""
    address = uri.removeprefix("https://")
    with tried.case(faults=1):
        exported = run("export", "--uri", uri, *arguments, cwd=folder)
        assert (exported.code, exported.stdout) == (1, "")
        [line] = exported.stderr.splitlines()
        assert line.startswith(f"error: cannot reach {address}: TLS handshake failed: {said}"), line
        checked = run("check", "--uri", uri, *arguments, "--format", "json", cwd=folder)
        assert checked.code == 1
        [target] = checked.document["targets"]
        found = {item["condition"]: item["result"] for item in target["conditions"]}
        assert (found.pop("address"), found.pop("tls")) == ("ok", "missing")
        assert set(found.values()) == {"unknown"}
        assert remedy in target["conditions"][1]["remedy"]


def accepted(uri: str, arguments: list[str], folder: Path, tried: Tally) -> None:
    with tried.case():
        checked = run("check", "--uri", uri, *arguments, "--format", "json", cwd=folder, env={"ROOT": ROOT})
        [target] = checked.document["targets"]
        found = {item["condition"]: item["result"] for item in target["conditions"]}
        assert (checked.code, found["address"], found["tls"], found["DropAlias"]) == (0, "ok", "ok", "ok")


class TestOneWay:
    def test_with_the_right_authority(
        self, check_limits: str, certificates: Certificates, tmp_path: Path, tried: Tally
    ) -> None:
        accepted(check_limits, [*options(certificates), "--token-env", "ROOT"], tmp_path, tried)

    @pytest.mark.parametrize(
        ("wrong", "said"),
        [
            ({"ca": "other"}, "the server's certificate is not trusted: "),
            ({"name": "milvus.example.com"}, "the server's certificate is for another name"),
        ],
        ids=["unknown authority", "wrong name"],
    )
    def test_with_a_wrong_one(
        self,
        wrong: dict[str, str],
        said: str,
        check_limits: str,
        certificates: Certificates,
        tmp_path: Path,
        tried: Tally,
    ) -> None:
        refused(check_limits, options(certificates, **wrong), said, "caFile", tmp_path, tried)

    def test_with_an_expired_certificate_of_the_server(
        self, expired: str, certificates: Certificates, tmp_path: Path, tried: Tally
    ) -> None:
        said = "the server's certificate is not trusted: certificate has expired"
        refused(expired, options(certificates), said, "caFile", tmp_path, tried)

    def test_without_tls(self, check_limits: str, tmp_path: Path, tried: Tally) -> None:
        plain = check_limits.replace("https", "http")
        with tried.case(faults=1):
            failed = run("export", "--uri", plain, cwd=tmp_path)
            assert (failed.code, failed.stdout, failed.stderr.count("\n")) == (1, "", 1)
            assert "the connection was closed" in failed.stderr
            checked = run("check", "--uri", plain, cwd=tmp_path)
            assert (checked.code, "https://" in checked.stdout) == (1, True), checked.stdout


class TestMutual:
    def test_with_a_certificate_of_ours(
        self, mutual: str, certificates: Certificates, tmp_path: Path, tried: Tally
    ) -> None:
        accepted(mutual, options(certificates, client="client"), tmp_path, tried)

    @pytest.mark.parametrize(
        ("client", "remedy"),
        [
            (None, "give a client certificate"),
            ("stranger", "check that the client certificate is valid"),
            ("expired_client", "check that the client certificate is valid"),
        ],
    )
    def test_without_a_good_one(
        self, client: str | None, remedy: str, mutual: str, certificates: Certificates, tmp_path: Path, tried: Tally
    ) -> None:
        said = "the server wants a client certificate, or refuses ours"
        refused(mutual, options(certificates, client=client), said, remedy, tmp_path, tried)

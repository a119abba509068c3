"""A merge is applied, over each way to a repository; where the way is barred, one sentence says why."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.command import Completed
from tests.sync.keys import new_ssh_key
from tests.sync.servers import GIT_TOKEN, TOKEN_ENV, USER, WITH_TOKEN, GitOverHttp, GitOverSsh, private_certificate
from tests.sync.stage import Stage


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The private authority, and the server's certificate with its key."""
    return private_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def https(stage: Stage, certificate: tuple[Path, Path]) -> Iterator[GitOverHttp]:
    server = GitOverHttp(stage.origin.bare.parent, certificate[1])
    yield server
    server.down()


def applied(stage: Stage, done: Completed) -> None:
    """The move was made, and told."""
    assert (done.code, stage.shop.live) == (0, {"a": "v2"}), done.stderr
    assert "~ a   v1 → v2   done" in done.stdout
    assert GIT_TOKEN not in done.stdout + done.stderr
    assert stage.nowhere(GIT_TOKEN)


def refused(stage: Stage, done: Completed, *sentences: str) -> None:
    """One sentence with a reason, exit code 1, nothing written, and the token nowhere."""
    assert (done.code, done.stdout, stage.shop.live) == (1, "", {"a": "v1"}), done.stderr
    (line,) = done.stderr.splitlines()
    told = line if line.startswith("error: ") else json.loads(line)["detail"]
    assert any(sentence in told for sentence in sentences), told
    assert not stage.journal.exists()
    assert GIT_TOKEN not in done.stderr
    assert stage.nowhere(GIT_TOKEN)


@pytest.mark.parametrize("as_url", [False, True], ids=["folder", "file URL"])
def test_a_merge_is_applied_from_a_folder(stage: Stage, as_url: bool) -> None:
    stage.merge({"a": "v2"})
    applied(stage, stage.once(repository=stage.origin.bare.as_uri() if as_url else None))
    again = stage.once()
    assert (again.code, again.stdout) == (0, "")


def test_a_merge_is_applied_over_http_and_no_process_list_shows_the_token(stage: Stage, http: GitOverHttp) -> None:
    lists: list[str] = []
    http.before = lambda path: lists.extend(_process_list())
    stage.merge({"a": "v2"})
    applied(stage, stage.once(*WITH_TOKEN, repository=http.url(), env=TOKEN_ENV))
    assert any("ls-remote" in line for line in lists)
    assert not [line for line in lists if GIT_TOKEN in line]


def _process_list() -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found.append(path.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
        except OSError:  # it has ended
            continue
    return found


def test_a_merge_is_applied_over_https_with_a_private_authority_and_a_token_from_a_file(
    stage: Stage, https: GitOverHttp, certificate: tuple[Path, Path]
) -> None:
    (stage.shop.folder / "token.txt").write_text(GIT_TOKEN + "\n")
    stage.merge({"a": "v2"})
    token = ("--git-username", USER, "--git-token-file", "token.txt")
    applied(stage, stage.once(*token, "--git-ca", str(certificate[0]), repository=https.url()))


def test_a_merge_is_applied_over_ssh(stage: Stage, ssh: GitOverSsh) -> None:
    stage.merge({"a": "v2"})
    applied(stage, stage.once(*ssh.options, repository=ssh.url(stage.origin.bare)))


def test_an_https_server_of_an_unknown_authority_is_refused(stage: Stage, https: GitOverHttp) -> None:
    stage.merge({"a": "v2"})
    done = stage.once(*WITH_TOKEN, repository=https.url(), env=TOKEN_ENV)
    refused(stage, done, "certificate")
    assert "(--git-ca names a private authority)" in done.stderr


def test_a_wrong_token_is_refused(stage: Stage, http: GitOverHttp) -> None:
    stage.merge({"a": "v2"})
    done = stage.once(*WITH_TOKEN, repository=http.url(), env={"GIT_TOKEN": "another"})
    refused(stage, done, "the repository cannot be read: Authentication failed")
    refused(stage, stage.once(repository=http.url()), "could not read Username")
    refused(
        stage,
        stage.once(*WITH_TOKEN, repository=http.url()),
        "the Git token's environment variable GIT_TOKEN is not set",
    )


def test_a_host_key_that_is_not_known_and_a_deploy_key_that_is_not_let_in_are_refused(
    stage: Stage, ssh: GitOverSsh, tmp_path: Path
) -> None:
    stage.merge({"a": "v2"})
    other = new_ssh_key(tmp_path / "other")
    (tmp_path / "hosts").write_text(f"[127.0.0.1]:{ssh.port} {other.public}\n")
    key, url = ("--ssh-key", str(ssh.key.private)), ssh.url(stage.origin.bare)
    done = stage.once(*key, "--ssh-known-hosts", str(tmp_path / "hosts"), repository=url)
    refused(stage, done, "the server's host key is not among the known hosts (--ssh-known-hosts)")
    hosts = ("--ssh-known-hosts", str(ssh.known_hosts))
    done = stage.once("--ssh-key", str(other.private), *hosts, repository=url)
    refused(stage, done, "Permission denied (publickey")


@pytest.mark.parametrize("way", ["folder", "http", "ssh"])
def test_a_repository_that_is_not_there_is_said(way: str, stage: Stage, request: pytest.FixtureRequest) -> None:
    if way == "folder":
        done = stage.once(repository=str(stage.origin.bare.parent / "none.git"))
    elif way == "http":
        http: GitOverHttp = request.getfixturevalue("http")
        done = stage.once(*WITH_TOKEN, repository=http.url("none.git"), env=TOKEN_ENV)
    else:
        ssh: GitOverSsh = request.getfixturevalue("ssh")
        done = stage.once(*ssh.options, repository=ssh.url(stage.origin.bare.parent / "none.git"))
    refused(stage, done, "does not appear to be a git repository", "not found")


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a folder away")
def test_a_folder_of_another_user_is_refused_with_the_way_out(stage: Stage) -> None:
    stage.merge({"a": "v2"})
    os.chown(stage.origin.bare, 65534, 65534)
    refused(stage, stage.once(), "the folder belongs to another user; run the agent as that user, or follow it over")


@pytest.mark.parametrize(
    ("repository", "options", "message"),
    [
        (f"https://robot:{GIT_TOKEN}@git.example.com/shop.git", (), "a user or token in the URL"),
        (f"ssh://robot:{GIT_TOKEN}@git.example.com/shop.git", (), "a password in the URL"),
        ("http://git.example.com/shop.git", WITH_TOKEN, "a token is not sent without TLS"),
        ("git@git.example.com:shop.git", WITH_TOKEN, "is for http and https, and this is ssh"),
        ("ftp://git.example.com/shop.git", (), "expected a folder, git@HOST:PATH, or a URL"),
        ("--upload-pack=id", (), "No such option"),
    ],
    ids=lambda value: value if isinstance(value, str) and value.startswith("a ") else "",
)
def test_a_repository_that_cannot_be_meant_is_refused_before_anything_is_sent(
    stage: Stage, repository: str, options: tuple[str, ...], message: str
) -> None:
    done = stage.once(*options, repository=repository, env=TOKEN_ENV)
    assert (done.code, message in done.stderr, GIT_TOKEN in done.stderr) == (1, True, False), done.stderr
    assert not stage.state().exists()

"""Of a large repository, only the files below `--path` are fetched, and they are fetched together with the commit."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from reconciler.core.model import Credential
from reconciler.git import GitError, TooLarge, repository
from reconciler.sync.revision import read_revision
from tests.sync.origin import Origin, git, new_origin
from tests.sync.servers import GIT_TOKEN, USER, GitOverHttp, GitOverSsh
from tests.sync_attacks.forge import FOLDER, MANIFEST, Entry, Follower, follow, new_forge

MIB = 1024 * 1024
LARGE = 3 * MIB


@pytest.fixture
def origin(tmp_path: Path) -> Origin:
    """Return a repository with a manifest, and a file of 3 MiB beside the folder that is followed."""
    origin = new_origin(tmp_path)
    (origin.mine / "models").mkdir()
    (origin.mine / "models" / "weights.bin").write_bytes(os.urandom(LARGE))
    change(origin, 1)
    return origin


def change(origin: Origin, number: int) -> str:
    commit = origin.commit({"aliases/a.yaml": MANIFEST.decode() + f"# {number}\n"})
    origin.push()
    return commit


def configure(origin: Origin, name: str, value: str) -> None:
    git(origin.bare, "config", f"uploadpack.{name}", value)


def fetched(state: Path) -> int:
    """Return the bytes in the mirror's packs."""
    return sum(path.stat().st_size for path in state.glob("mirror.git/objects/pack/*.pack"))


def packed_files(state: Path) -> int:
    """Return the number of files in the mirror, of any commit."""
    shown = git(state / "mirror.git", "cat-file", "--batch-all-objects", "--batch-check=%(objecttype)")
    return shown.split().count("blob")


def assert_readable_without_network(follower: Follower, server_gone: Callable[[], object]) -> None:
    commit = follower.fetch()
    server_gone()
    assert read_revision(follower.repository, commit, follower.settings).sets


def over_http(server: GitOverHttp, state: Path, tmp_path: Path) -> Follower:
    (tmp_path / "token").write_text(GIT_TOKEN)
    access = {"username": USER, "token": Credential(file=str(tmp_path / "token"))}
    return follow(server.url(), state, path="aliases", access=access)


def over_ssh(server: GitOverSsh, origin: Origin, state: Path) -> Follower:
    access = {"ssh_key": server.key.private, "known_hosts": server.known_hosts}
    return follow(server.url(origin.bare), state, path="aliases", access=access)


def test_from_a_folder_only_the_files_below_the_path_are_fetched(origin: Origin, tmp_path: Path) -> None:
    state = tmp_path / "state"
    follower = follow(str(origin.bare), state, path="aliases")
    assert_readable_without_network(follower, lambda: shutil.rmtree(origin.bare))
    assert (fetched(state) < 4096, packed_files(state)) == (True, 1)


def test_over_http_only_the_files_below_the_path_are_fetched(origin: Origin, tmp_path: Path) -> None:
    server, state = GitOverHttp(origin.bare.parent), tmp_path / "state"
    try:
        assert_readable_without_network(over_http(server, state, tmp_path), server.down)
    finally:
        server.down()
    assert (fetched(state) < 4096, packed_files(state)) == (True, 1)


def test_over_ssh_only_the_files_below_the_path_are_fetched(origin: Origin, ssh: GitOverSsh, tmp_path: Path) -> None:
    configure(origin, "allowAnySHA1InWant", "true")
    state = tmp_path / "state"
    assert_readable_without_network(over_ssh(ssh, origin, state), lambda: shutil.rmtree(origin.bare))
    assert (fetched(state) < 4096, packed_files(state)) == (True, 1)


def test_a_server_that_sends_no_single_files_sends_all_of_them_and_each_once(
    origin: Origin, ssh: GitOverSsh, tmp_path: Path
) -> None:
    """As behind an sshd that does not pass on GIT_PROTOCOL."""
    state = tmp_path / "state"
    follower = over_ssh(ssh, origin, state)
    for number in range(2, 5):
        commit = change(origin, number)
        assert follower.revision().commit.id == commit
    assert LARGE < fetched(state) < 2 * LARGE
    again = over_ssh(ssh, origin, tmp_path / "other")
    assert_readable_without_network(again, lambda: shutil.rmtree(origin.bare))


def test_a_server_without_support_sends_everything(origin: Origin, tmp_path: Path) -> None:
    configure(origin, "allowFilter", "false")
    state = tmp_path / "state"
    follower = follow(str(origin.bare), state, path="aliases")
    assert_readable_without_network(follower, lambda: shutil.rmtree(origin.bare))
    assert fetched(state) > LARGE


def test_without_a_path_the_files_of_one_commit_are_fetched_and_of_no_earlier_one(
    origin: Origin, tmp_path: Path
) -> None:
    (origin.mine / "models" / "weights.bin").write_bytes(b"small")
    change(origin, 2)
    state = tmp_path / "state"
    assert follow(str(origin.bare), state).revision().sets
    assert (fetched(state) < 4096, packed_files(state)) == (True, 2)


def test_the_limit_holds_for_the_files_too(origin: Origin, tmp_path: Path) -> None:
    follower = follow(str(origin.bare), tmp_path / "state", max_fetch_mib=1)
    with pytest.raises(TooLarge, match=r"more than the limit of 1 MiB \(--max-fetch-mib\)"):
        follower.fetch()
    assert follow(str(origin.bare), tmp_path / "other", path="aliases", max_fetch_mib=1).revision().sets


def test_a_file_that_the_mirror_lost_is_fetched_again(origin: Origin, tmp_path: Path) -> None:
    state = tmp_path / "state"
    follower = follow(str(origin.bare), state, path="aliases")
    follower.revision()
    smallest = min(state.glob("mirror.git/objects/pack/*.pack"), key=lambda path: path.stat().st_size)
    for path in smallest.parent.glob(f"{smallest.stem}.*"):
        path.unlink()
    with pytest.raises(GitError, match=r"the mirror lacks a file of \w+: aliases/a\.yaml"):
        read_revision(follower.repository, follower.repository.commit(origin.head), follower.settings)
    assert follower.revision().sets


@pytest.mark.parametrize("suffix", ["pack", "idx"])
@pytest.mark.parametrize("kept", [0, 0.5])
def test_a_damaged_pack_of_files_is_repaired(origin: Origin, tmp_path: Path, suffix: str, kept: float) -> None:
    state = tmp_path / "state"
    follower = follow(str(origin.bare), state, path="aliases")
    revision = follower.revision()
    smallest = min(state.glob("mirror.git/objects/pack/*.pack"), key=lambda path: path.stat().st_size)
    damaged = smallest.with_suffix(f".{suffix}")
    damaged.chmod(0o600)
    os.truncate(damaged, int(damaged.stat().st_size * kept))
    with pytest.raises(GitError):
        follower.revision()
    assert follower.repository.repair()
    assert follower.revision().commit == revision.commit


def test_a_connection_that_is_lost_before_the_files_came_leaves_what_was_kept(origin: Origin, tmp_path: Path) -> None:
    server, requests = GitOverHttp(origin.bare.parent), list[str]()

    def lose_the_third_connection(path: str) -> None:
        requests.append(path)
        if len([path for path in requests if "info/refs" in path]) == 3:
            raise ConnectionAbortedError

    try:
        follower = over_http(server, tmp_path / "state", tmp_path)
        first = follower.fetch()
        follower.repository.keep("in-force", first.id)
        last = change(origin, 2)
        server.before = lose_the_third_connection
        with pytest.raises(GitError):
            follower.fetch()
        assert len(requests) > 3, "the commit came"
        assert not follower.repository.repair(), "what did not come yet is no damage"
        assert read_revision(follower.repository, first, follower.settings).sets
        server.before = lambda path: None
        assert follower.revision().commit.id == last
    finally:
        server.down()


def test_packs_are_combined_and_what_is_kept_stays_readable(
    origin: Origin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(repository, "MAX_PACKS", 3)
    state = tmp_path / "state"
    follower = follow(str(origin.bare), state, path="aliases")
    first = follower.fetch()
    follower.repository.keep("applied", first.id)
    for number in range(2, 7):
        last = change(origin, number)
        follower.fetch()
        assert len(list(state.glob("mirror.git/objects/pack/*.pack"))) <= 3 + 1
    assert read_revision(follower.repository, first, follower.settings).sets
    assert (packed_files(state) <= 6, fetched(state) < 16_384) == (True, True)
    assert not follower.repository.rewritten(last, first.id)
    assert not follower.repository.repair(), "a partial mirror is not a damaged one"


def test_a_file_that_the_server_does_not_have_is_an_error_and_fetched_from_nowhere_else(tmp_path: Path) -> None:
    forge = new_forge(tmp_path / "remote.git")
    other = new_forge(tmp_path / "other.git")
    elsewhere = other.file("a.yaml")
    forge.commit(Entry(FOLDER, b"aliases", forge.tree(elsewhere)), forge.file(".lfsconfig", b"[lfs]\nurl = x\n"))
    follower = follow(str(forge.folder), tmp_path / "state", path="aliases")
    for _ in range(2):
        with pytest.raises(GitError):
            follower.revision()

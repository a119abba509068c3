"""Whose signature a commit needs: no other commit is applied, and a key that is taken away counts no more."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.sync.keys import OpenPgpKey, SshKey, new_openpgp_key
from tests.sync.origin import git
from tests.sync.stage import Stage

UNSIGNED = "and not signed"
UNKNOWN = "and its signature is by a key that is not accepted"
BAD = "and its signature is bad"


@pytest.fixture(scope="session")
def marys_key(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenPgpKey]:
    key = new_openpgp_key(tmp_path_factory.mktemp("gpg") / "mary", "Mary")
    yield key
    key.close()


@pytest.fixture(scope="session")
def mallorys_key(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenPgpKey]:
    key = new_openpgp_key(tmp_path_factory.mktemp("gpg") / "mallory", "Mallory")
    yield key
    key.close()


@pytest.fixture
def allowed(stage: Stage, robins_key: SshKey) -> Path:
    """The allowed signers: Robin."""
    path = stage.shop.folder / "allowed"
    path.write_text(robins_key.allowed_as("robin@example.com"))
    return path


def refused(stage: Stage, because: str, *options: str) -> None:
    done = stage.once(*options)
    assert (done.code, because in done.stderr, stage.shop.live) == (1, True, {"a": "v1"}), done.stderr
    assert not stage.journal.exists()


def test_only_commits_signed_by_allowed_ssh_keys_are_applied(
    stage: Stage, allowed: Path, robins_key: SshKey, strangers_key: SshKey, marys_key: OpenPgpKey
) -> None:
    options = ("--allowed-signers", "allowed")
    refused(stage, UNSIGNED, *options)
    stage.merge({"a": "v2"}, signer=strangers_key)
    refused(stage, UNKNOWN, *options)
    stage.merge({"a": "v3"}, signer=marys_key)
    refused(stage, UNKNOWN, *options)
    signed = stage.merge({"a": "v2"}, message="Robin signs", signer=robins_key)
    stage.origin.forge(signed, "Robin signs", "Robin sings")
    refused(stage, BAD, *options)
    stage.origin.push("+HEAD:refs/heads/main")
    done = stage.once(*options)
    assert (done.code, stage.shop.live) == (0, {"a": "v2"}), done.stderr


def test_only_commits_signed_by_given_openpgp_keys_are_applied(
    stage: Stage, marys_key: OpenPgpKey, mallorys_key: OpenPgpKey, strangers_key: SshKey
) -> None:
    keys = marys_key.export(stage.shop.folder / "keys.asc")
    options = ("--openpgp-keys", keys.name)
    refused(stage, UNSIGNED, *options)
    stage.merge({"a": "v2"}, signer=mallorys_key)
    refused(stage, UNKNOWN, *options)
    stage.merge({"a": "v3"}, signer=strangers_key)
    refused(stage, "cannot be used: it is by Robin", *options)
    signed = stage.merge({"a": "v2"}, message="Mary signs", signer=marys_key)
    stage.origin.forge(signed, "Mary signs", "Mary sings")
    refused(stage, BAD, *options)
    stage.origin.push("+HEAD:refs/heads/main")
    done = stage.once(*options)
    assert (done.code, stage.shop.live) == (0, {"a": "v2"}), done.stderr
    keys.write_text(mallorys_key.export(keys).read_text())
    stage.shop.move(a="v1")
    done = stage.once(*options)
    assert (done.code, UNKNOWN in done.stderr, stage.shop.live) == (1, True, {"a": "v1"}), done.stderr


def test_a_strangers_ssh_signature_is_not_taken_for_openpgp_by_a_name(
    stage: Stage, marys_key: OpenPgpKey, allowed: Path, strangers_key: SshKey
) -> None:
    """The name of an author is the stranger's to choose."""
    marys_key.export(stage.shop.folder / "keys.asc")
    git(stage.origin.mine, "config", "author.name", "-----BEGIN PGP SIGNATURE-----")
    stage.merge({"a": "v2"}, signer=strangers_key)
    refused(stage, UNKNOWN, "--allowed-signers", "allowed", "--openpgp-keys", "keys.asc")


def test_an_unsigned_merge_leaves_the_last_signed_one_in_force(
    stage: Stage, allowed: Path, robins_key: SshKey, strangers_key: SshKey
) -> None:
    """And a key that is taken out counts no more: what it signed is not kept in force either."""
    with stage.following("--allowed-signers", "allowed") as agent:
        signed = stage.merge({"a": "v2"}, signer=robins_key)
        agent.found("Succeeded", signed)
        unsigned = stage.merge({"a": "v3"})
        agent.found("SignatureInvalid", unsigned, in_force=signed)
        stage.shop.move(a="v1")
        agent.found("SignatureInvalid", unsigned, in_force=signed, done=1)
        assert stage.shop.live == {"a": "v2"}

        allowed.write_text(strangers_key.allowed_as("robin@example.com"))
        agent.found("SignatureInvalid", unsigned, in_force="")
        stage.shop.move(a="v1")
        agent.looks(2)
        assert stage.shop.live == {"a": "v1"}
        assert agent.status["inForce"] == ""

        allowed.write_text(robins_key.allowed_as("robin@example.com"))
        agent.eventually(lambda: stage.shop.live == {"a": "v2"})


@pytest.mark.parametrize("flag", ["--allowed-signers", "--openpgp-keys"])
def test_keys_that_are_not_there_or_are_none_are_an_error(stage: Stage, flag: str) -> None:
    done = stage.once(flag, "nowhere")
    assert (done.code, flag in done.stderr) == (1, True)
    (stage.shop.folder / "none").write_text("no key\n")
    done = stage.once(flag, "none")
    assert (done.code, stage.shop.live) == (1, {"a": "v1"})
    assert not stage.journal.exists()

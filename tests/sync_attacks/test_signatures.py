"""Getting a commit applied that nobody signed who may."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from reconciler.core.errors import InvalidInput
from reconciler.git import Signers
from reconciler.sync.revision import SignatureRejected
from tests.sync_attacks.forge import WHO, Follower, Forge, follow, new_forge


class Keys:
    """Two SSH keys: `ours` may sign, `theirs` may not."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("ours", "theirs"):
            command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(folder / name)]
            subprocess.run(command, check=True)

    def allow(self, options: str = 'namespaces="git"') -> Signers:
        file = self.folder / "allowed"
        file.write_text(f"we@example.com {options} {(self.folder / 'ours.pub').read_text()}", encoding="utf-8")
        return Signers(allowed_signers=file)

    def sign(self, text: bytes, key: str = "ours", namespace: str = "git") -> bytes:
        command = ["ssh-keygen", "-q", "-Y", "sign", "-n", namespace, "-f", str(self.folder / key)]
        signature = subprocess.run(command, input=text, check=True, capture_output=True).stdout
        return b"gpgsig " + signature.rstrip(b"\n").replace(b"\n", b"\n ") + b"\n"


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return Keys(tmp_path)


@pytest.fixture
def forge(tmp_path: Path) -> Forge:
    return new_forge(tmp_path / "remote.git")


@pytest.fixture
def follower(forge: Forge, keys: Keys, tmp_path: Path) -> Follower:
    return follow(str(forge.folder), tmp_path / "state", signers=keys.allow())


def text(forge: Forge, author: bytes = WHO) -> bytes:
    """What is signed of the commit that `Forge.commit` makes of the same."""
    tree = forge.tree(forge.file("a.yaml")).encode()
    return b"tree " + tree + b"\nauthor " + author + b"\ncommitter " + author + b"\n\nchange\n"


def test_a_commit_signed_by_one_of_ours_is_used(forge: Forge, keys: Keys, follower: Follower) -> None:
    forge.commit(forge.file("a.yaml"), headers=keys.sign(text(forge)))
    assert follower.revision().provenance.signature == "good, by we@example.com"


@pytest.mark.parametrize("key", ["theirs", "ours"])
def test_a_signature_of_another_key_or_for_another_use_does_not_count(
    forge: Forge, keys: Keys, follower: Follower, key: str
) -> None:
    forge.commit(forge.file("a.yaml"), headers=keys.sign(text(forge), key, "git" if key == "theirs" else "file"))
    with pytest.raises(SignatureRejected):
        follower.revision()


def test_the_signature_of_another_commit_does_not_count(forge: Forge, keys: Keys, follower: Follower) -> None:
    forge.commit(forge.file("a.yaml"), headers=keys.sign(text(forge)), message=b"another\n")
    with pytest.raises(SignatureRejected, match="signature is bad"):
        follower.revision()


def test_an_unsigned_commit_on_top_of_a_signed_one_does_not_count(forge: Forge, keys: Keys, follower: Follower) -> None:
    signed = forge.commit(forge.file("a.yaml"), headers=keys.sign(text(forge)))
    forge.commit(forge.file("a.yaml"), parents=[signed])
    with pytest.raises(SignatureRejected, match="not signed"):
        follower.revision()


@pytest.mark.parametrize("first", ["ours", "theirs"])
def test_of_two_signatures_neither_covers_for_the_other(
    forge: Forge, keys: Keys, follower: Follower, first: str
) -> None:
    signatures = {"ours": keys.sign(text(forge)), "theirs": keys.sign(b"something else", "theirs")}
    order = [signatures.pop(first), *signatures.values()]
    forge.commit(forge.file("a.yaml", b"kind: Evil\n"), headers=b"".join(order))
    with pytest.raises(SignatureRejected):
        follower.revision()


def test_a_signed_tag_does_not_speak_for_its_commit(forge: Forge, keys: Keys, tmp_path: Path) -> None:
    commit = forge.commit(forge.file("a.yaml"))
    tag = f"object {commit}\ntype commit\ntag v1\ntagger ".encode() + WHO + b"\n\nsigned\n"
    signature = keys.sign(tag).removeprefix(b"gpgsig ").replace(b"\n ", b"\n")
    forge.point(forge.object("tag", tag + signature), "refs/tags/v1")
    with pytest.raises(SignatureRejected, match="not signed"):
        follow(str(forge.folder), tmp_path / "state", ref="v1", signers=keys.allow()).revision()


def test_a_replace_ref_swaps_nothing(forge: Forge, keys: Keys, follower: Follower) -> None:
    unsigned = forge.commit(forge.file("a.yaml", b"kind: Evil\n"))
    follower.fetch()
    signed = forge.commit(forge.file("a.yaml"), headers=keys.sign(text(forge)))
    follower.fetch()
    mirror = Forge(follower.settings.state / "mirror.git")
    for oid, other in ((unsigned, signed), (signed, unsigned)):
        mirror.point(other, f"refs/replace/{oid}")
        forge.point(other, f"refs/replace/{oid}")
    assert [alias_set.name for alias_set in follower.revision().sets] == ["search"]
    forge.point(unsigned)
    with pytest.raises(SignatureRejected, match="not signed"):
        follower.revision()


def test_a_key_of_one_kind_is_not_judged_by_the_rules_of_the_other(forge: Forge, keys: Keys, tmp_path: Path) -> None:
    """An OpenPGP key counts by being in the keyring; an SSH signature must not pass for OpenPGP's by what it says."""
    signers = Signers(keys.allow().allowed_signers, _keyring(tmp_path))
    author = b"-----BEGIN PGP SIGNATURE----- <e@e> 1700000000 +0000"
    forge.commit(forge.file("a.yaml"), author=author, headers=keys.sign(text(forge, author), "theirs"))
    with pytest.raises(SignatureRejected):
        follow(str(forge.folder), tmp_path / "state", signers=signers).revision()


def test_without_keys_there_is_nobody_whose_signature_counts(forge: Forge, keys: Keys, tmp_path: Path) -> None:
    (tmp_path / "allowed").write_bytes(b"")
    forge.commit(forge.file("a.yaml"), headers=keys.sign(text(forge)))
    follower = follow(str(forge.folder), tmp_path / "state", signers=Signers(allowed_signers=tmp_path / "allowed"))
    with pytest.raises(SignatureRejected):
        follower.revision()
    (tmp_path / "empty.asc").write_bytes(b"")
    nobody = Signers(keyring=tmp_path / "empty.asc")
    with pytest.raises((SignatureRejected, InvalidInput)):
        nobody.verify(follower.repository, follower.fetch().id)


def test_a_key_that_is_no_longer_valid_does_not_count(forge: Forge, keys: Keys, tmp_path: Path) -> None:
    signers = keys.allow('namespaces="git",valid-before="20200101"')
    forge.commit(forge.file("a.yaml"), headers=keys.sign(text(forge)))
    with pytest.raises(SignatureRejected):
        follow(str(forge.folder), tmp_path / "state", signers=signers).revision()


def _keyring(folder: Path) -> Path:
    home = folder / "gnupg"
    home.mkdir(mode=0o700)
    gpg = ["gpg", "--homedir", str(home), "--batch", "--quiet", "--passphrase", ""]
    subprocess.run([*gpg, "--quick-generate-key", "we@example.com", "ed25519", "sign"], check=True, capture_output=True)
    keyring = folder / "keyring.gpg"
    keyring.write_bytes(subprocess.run([*gpg, "--export"], check=True, capture_output=True).stdout)
    subprocess.run(["gpgconf", "--homedir", str(home), "--kill", "all"], check=False)
    return keyring

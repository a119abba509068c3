"""A commit made to use up memory, disk or time."""

from __future__ import annotations

import os
import resource
import time
from pathlib import Path

import pytest

from reconciler.core.errors import InvalidInput
from reconciler.git import GitError, TooLarge, command
from reconciler.git.command import Git
from reconciler.sync import tree
from tests.sync_attacks.forge import FILE, FOLDER, MANIFEST, Entry, Forge, follow, new_forge

MIB = 1024 * 1024


@pytest.fixture
def forge(tmp_path: Path) -> Forge:
    return new_forge(tmp_path / "remote.git")


def bytes_below(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("files", [1, 20], ids=["one large file", "many that are not large"])
def test_a_fetch_writes_no_more_than_it_may_and_leaves_nothing(forge: Forge, tmp_path: Path, files: int) -> None:
    forge.commit(forge.file("a.yaml"), *[forge.file(f"z{n}", os.urandom(4 * MIB // files)) for n in range(files)])
    follower = follow(str(forge.folder), tmp_path / "state", max_fetch_mib=2)
    with pytest.raises(TooLarge, match=r"would write more than the limit of 2 MiB \(--max-fetch-mib\)"):
        follower.fetch()
    assert bytes_below(tmp_path / "state") < MIB


def test_the_mirror_does_not_grow_for_ever_and_keeps_what_was_applied(forge: Forge, tmp_path: Path) -> None:
    follower = follow(str(forge.folder), tmp_path / "state", max_fetch_mib=1)
    parent: list[str] = []
    for _ in range(8):
        parent = [forge.commit(forge.file("a.yaml"), forge.file("z", os.urandom(900_000)), parents=parent)]
        assert follower.revision().commit.id == parent[0]
        if not follower.repository.kept("applied"):
            follower.repository.keep("applied", parent[0])
        assert bytes_below(tmp_path / "state") < 5 * MIB
    applied = follower.repository.kept("applied")
    assert applied is not None
    [*_, large] = follower.repository.tree(applied.id).values()
    assert [len(content) for content in follower.repository.contents([large], 1)] == [900_000]


def test_what_a_killed_git_left_behind_stops_nothing(forge: Forge, tmp_path: Path) -> None:
    forge.commit(forge.file("a.yaml"))
    follower = follow(str(forge.folder), tmp_path / "state")
    mirror = tmp_path / "state" / "mirror.git"
    for name in ("shallow.lock", "refs/aliasctl/fetched.lock", "objects/pack/tmp_pack_x"):
        (mirror / name).parent.mkdir(parents=True, exist_ok=True)
        (mirror / name).write_bytes(b"left")
    follower.repository.prepare()
    assert follower.revision().sets
    assert not [path for path in mirror.rglob("*") if path.name.endswith(".lock") or path.name.startswith("tmp_")]


def test_git_may_not_take_all_memory(forge: Forge, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "MEMORY_MIB", 100)
    forge.commit(forge.file("a.yaml"), message=b"s" * 80 * MIB)
    with pytest.raises(TooLarge, match="git needs more than 100 MiB of memory"):
        follow(str(forge.folder), tmp_path / "state").revision()


def test_a_large_file_that_nobody_asks_for_is_not_held_in_memory(forge: Forge, tmp_path: Path) -> None:
    forge.commit(forge.file("a.yaml"), forge.file("z", b"\0" * 150 * MIB))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert follow(str(forge.folder), tmp_path / "state", max_fetch_mib=1).revision().sets
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50 * 1024


def nested(forge: Forge, leaf: Entry) -> Entry:
    """Twelve levels of ten folders each, which are one and the same: 10^12 places in thirteen objects."""
    for _ in range(12):
        leaf = Entry(FOLDER, b"d", forge.tree(*[Entry(leaf.mode, b"d%d" % n, leaf.oid) for n in range(10)]))
    return leaf


def test_a_tree_bomb_is_not_listed(forge: Forge, tmp_path: Path) -> None:
    forge.commit(forge.file("a.yaml"), nested(forge, forge.file("x")))
    with pytest.raises(TooLarge, match="more than 10,000 files in the repository; give a folder with --path"):
        follow(str(forge.folder), tmp_path / "state").revision()


def test_a_tree_bomb_without_any_file_ends_in_time_and_is_listed_once(
    forge: Forge, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forge.commit(forge.file("a.yaml"), nested(forge, Entry(FOLDER, b"d", forge.tree())))
    follower = follow(str(forge.folder), tmp_path / "state")
    assert Git.run.__kwdefaults__
    monkeypatch.setitem(Git.run.__kwdefaults__, "seconds", 8.0)
    commit = follower.fetch()
    monkeypatch.setitem(Git.run.__kwdefaults__, "seconds", 1.0)
    with pytest.raises(GitError, match="did not end within 8 s"):
        follower.repository.tree(commit.id)


def test_a_hundred_thousand_files_are_too_many(forge: Forge, tmp_path: Path) -> None:
    blob = forge.blob(b"x")
    forge.commit(*[Entry(FILE, b"%06d" % n, blob) for n in range(100_000)], forge.file("a.yaml"))
    with pytest.raises(TooLarge, match="more than 10,000 files"):
        follow(str(forge.folder), tmp_path / "state").revision()


def test_one_manifest_and_all_of_them_have_a_largest_size(forge: Forge, tmp_path: Path) -> None:
    forge.commit(forge.file("a.yaml", b"#" * 17 * MIB), forge.file("b.yaml"))
    follower = follow(str(forge.folder), tmp_path / "state")
    with pytest.raises(InvalidInput, match=r"a\.yaml: larger than 16 MiB"):
        follower.revision()
    blob = forge.blob(b"a: [" + b"a," * (MIB // 2) + b"]")
    forge.commit(*[Entry(FILE, b"%d.yaml" % n, blob) for n in range(tree.MAX_TOTAL_MIB)])
    with pytest.raises(InvalidInput, match=r"the manifests have more than 4 MiB together; give a folder with --path"):
        follower.revision()


@pytest.mark.parametrize(
    "content",
    [
        b"# AliasSet\na: &a [x]\n"
        + b"".join(b"%c: &%c [%s]\n" % (c, c, b",".join([b"*%c" % (c - 1)] * 9)) for c in range(98, 120)),
        b"# AliasSet\n" + b"[" * 1_000_000,
        b"# AliasSet\n" + b"- " * 10_000,
        b"a: " + b"9" * 100_000 + b"\nkind: AliasSet\n",
        b"\xff\xfe\0",
        b'kind: AliasSet\nx: "\\ud800"\n',
    ],
    ids=["anchors", "brackets", "dashes", "digits", "binary", "surrogate"],
)
def test_yaml_made_to_hurt_is_a_mistake_in_the_commit(forge: Forge, tmp_path: Path, content: bytes) -> None:
    forge.commit(forge.file("a.yaml"), forge.file("b.yaml", content))
    started = time.monotonic()
    with pytest.raises(InvalidInput, match=r"b\.yaml"):
        follow(str(forge.folder), tmp_path / "state").revision()
    assert time.monotonic() - started < 60


def test_query_files_that_compress_well_do_not_fill_the_disk(forge: Forge, tmp_path: Path) -> None:
    gate = b"gates: {canary: {minOverlap: 0.5, queriesFile: q%d}}\n  aliases:"
    sets = [
        MANIFEST.replace(b"search", b"s%d" % n).replace(b"products", b"p%d" % n).replace(b"aliases:", gate % n)
        for n in range(8)
    ]
    queries = [forge.file(f"q{n}", b'{"vector": [1]}\n' + b" " * (15 * MIB + n)) for n in range(8)]
    forge.commit(forge.file("a.yaml", b"---\n".join(sets)), *queries)
    with pytest.raises(InvalidInput, match="queries have more than 64 MiB together"):
        follow(str(forge.folder), tmp_path / "state").revision()
    assert bytes_below(tmp_path / "state" / "files") < 65 * MIB


def test_a_thousand_documents_are_nothing_special(forge: Forge, tmp_path: Path) -> None:
    sets = [MANIFEST.replace(b"search", b"s%d" % n).replace(b"products", b"p%d" % n) for n in range(1000)]
    forge.commit(forge.file("a.yaml", b"---\n".join(sets)))
    assert len(follow(str(forge.folder), tmp_path / "state").revision().sets) == 1000

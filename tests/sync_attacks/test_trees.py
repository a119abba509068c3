"""A commit made to read, write or run what is none of its business."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from reconciler.core.errors import AliasctlError, InvalidInput
from reconciler.git import GitError
from tests.sync_attacks.forge import (
    CONNECTION,
    FILE,
    FOLDER,
    LINK,
    MANIFEST,
    SUBMODULE,
    Entry,
    Forge,
    follow,
    new_forge,
)

EVIL = MANIFEST.replace(b"products_v1", b"evil")


@pytest.fixture
def forge(tmp_path: Path) -> Forge:
    return new_forge(tmp_path / "remote.git")


@pytest.mark.parametrize(
    "target",
    ["/etc/passwd", "../../../../etc/passwd", "..", "/", ".git/config", "a\n.yaml", b"\xff", "missing.yaml", "", "p"],
    ids=repr,
)
@pytest.mark.parametrize("path", ["", "p"])
def test_a_link_that_leads_to_no_file_of_the_folder_is_refused(
    forge: Forge, tmp_path: Path, target: str, path: str
) -> None:
    entries = (forge.link("link.yaml", target), forge.file("own.yaml"))
    forge.commit(*entries) if not path else forge.commit(forge.folder_of("p", *entries), forge.file("a.yaml", EVIL))
    with pytest.raises(InvalidInput, match=r"link\.yaml: a symbolic link that leads to no file"):
        follow(str(forge.folder), tmp_path / "state", path=path).revision()


def test_a_link_does_not_lead_out_of_the_folder_to_another_file_of_the_commit(forge: Forge, tmp_path: Path) -> None:
    forge.commit(forge.folder_of("p", forge.link("a.yaml", "../q/a.yaml")), forge.folder_of("q", forge.file("a.yaml")))
    with pytest.raises(InvalidInput, match="leads to no file of this folder"):
        follow(str(forge.folder), tmp_path / "state", path="p").revision()


@pytest.mark.parametrize("links", [1, 2, 3])
def test_links_in_a_circle_end(forge: Forge, tmp_path: Path, links: int) -> None:
    circle = [forge.link(f"l{n}.yaml", f"l{(n + 1) % links}.yaml") for n in range(links)]
    forge.commit(forge.file("a.yaml"), *circle)
    with pytest.raises(InvalidInput, match="leads to no file"):
        follow(str(forge.folder), tmp_path / "state").revision()


def test_links_are_followed_as_far_as_linux_does(forge: Forge, tmp_path: Path) -> None:
    links = [forge.link(f"l{n:03}.yaml", f"l{n + 1:03}.yaml") for n in range(60)]
    forge.commit(*links, forge.file("l060.yaml"), forge.file("a.yaml"))
    with pytest.raises(InvalidInput, match=r"l000\.yaml: a symbolic link"):
        follow(str(forge.folder), tmp_path / "state").revision()


@pytest.mark.parametrize("target", ["nowhere", "/etc/passwd", "../../x", "README", "links", "../README"])
def test_a_link_that_is_no_manifest_is_ignored(forge: Forge, tmp_path: Path, target: str) -> None:
    files = (forge.file("a.yaml"), forge.file("README"), forge.link("links", target))
    forge.commit(forge.folder_of("p", *files), forge.file("README"))
    assert len(follow(str(forge.folder), tmp_path / "state", path="p").revision().sets) == 1


@pytest.mark.parametrize("target", ["q", "../q", "."])
def test_a_link_to_a_folder_is_refused_because_its_manifests_would_be_missed(
    forge: Forge, tmp_path: Path, target: str
) -> None:
    folder = forge.folder_of("q", forge.file("b.yaml"))
    forge.commit(forge.folder_of("p", forge.file("a.yaml"), forge.link("links", target), folder), folder)
    with pytest.raises(InvalidInput, match="p/links: a symbolic link to a folder is not followed"):
        follow(str(forge.folder), tmp_path / "state", path="p").revision()


BAD_NAMES: dict[str, Callable[[Forge], Entry]] = {
    "climbs": lambda forge: Entry(FOLDER, b"..", forge.tree(forge.file("x.yaml"))),
    "climbs in one piece": lambda forge: forge.file("../x.yaml"),
    "absolute": lambda forge: forge.file("/etc/x.yaml"),
    "dot": lambda forge: Entry(FOLDER, b".", forge.tree(forge.file("x.yaml"))),
    "twice": lambda forge: forge.file("a.yaml", EVIL),
    "twice as link": lambda forge: Entry(LINK, b"a.yaml", forge.blob(b"b.yaml")),
}


@pytest.mark.parametrize("entry", BAD_NAMES.values(), ids=BAD_NAMES)
@pytest.mark.parametrize("path", ["", "p"])
def test_a_tree_that_git_would_not_make_is_refused(
    forge: Forge, tmp_path: Path, entry: Callable[[Forge], Entry], path: str
) -> None:
    entries = (forge.file("a.yaml"), entry(forge))
    forge.commit(*entries) if not path else forge.commit(forge.folder_of("p", *entries))
    with pytest.raises(GitError, match="is malformed"):
        follow(str(forge.folder), tmp_path / "state", path=path).revision()


def test_what_a_checkout_would_run_is_not_run(forge: Forge, tmp_path: Path) -> None:
    trap = tmp_path / "sprung"
    modules = f'[submodule "x"]\npath=sub\nurl=ext::sh -c touch% {trap}\nupdate=!touch {trap}\n'.encode()
    hook = f"#!/bin/sh\ntouch {trap}\n".encode()
    config = f'[core]\nfsmonitor=touch {trap}\nsshCommand=touch {trap}\n[filter "x"]\nsmudge=touch {trap}\n'.encode()
    dot_git = forge.folder_of(
        ".git",
        forge.file("config", config),
        forge.folder_of("hooks", Entry(b"100755", b"post-checkout", forge.blob(hook))),
    )
    forge.commit(
        dot_git,
        forge.file(".gitattributes", b"* filter=x diff=x\n"),
        forge.file(".gitmodules", modules),
        forge.file("a.yaml"),
        Entry(SUBMODULE, b"sub", "1" * 40),
    )
    follower = follow(str(forge.folder), tmp_path / "state")
    assert [alias_set.name for alias_set in follower.revision().sets] == ["search"]
    assert not trap.exists()
    assert {path.name for path in (tmp_path / "state").iterdir()} == {"mirror.git"}


@pytest.mark.parametrize("name", ["/etc/passwd", "../../etc/passwd", "../secret", "a\\0b", "link"])
def test_a_queries_file_outside_of_the_folder_is_not_opened(forge: Forge, tmp_path: Path, name: str) -> None:
    gate = f'gates: {{canary: {{minOverlap: 0.5, queriesFile: "{name}"}}}}\n  aliases:'.encode()
    manifest = forge.file("a.yaml", MANIFEST.replace(b"aliases:", gate))
    forge.commit(forge.file("secret", b"s3cr3t"), forge.folder_of("p", manifest))
    with pytest.raises(InvalidInput) as refused:
        follow(str(forge.folder), tmp_path / "state", path="p").revision()
    assert "root:" not in str(refused.value)
    assert "s3cr3t" not in str(refused.value)
    assert not (tmp_path / "state" / "files").exists()


def test_a_wrong_queries_file_is_not_repeated_in_the_message(forge: Forge, tmp_path: Path) -> None:
    gate = b"gates: {canary: {minOverlap: 0.5, queriesFile: q}}\n  aliases:"
    forge.commit(forge.file("a.yaml", MANIFEST.replace(b"aliases:", gate)), forge.file("q", b"\x1b[31ms3cr3t\n"))
    with pytest.raises(InvalidInput, match=r"q:1: not JSON") as refused:
        follow(str(forge.folder), tmp_path / "state").revision()
    assert "s3cr3t" not in str(refused.value)


@pytest.mark.parametrize("named", ["uri: https://evil.example.com:1", 'uri: "http://127.0.0.1:1", token: {env: HOME}'])
def test_a_connection_in_the_repository_takes_nobodys_place(forge: Forge, tmp_path: Path, named: str) -> None:
    theirs = CONNECTION.partition("spec:")[0] + f"spec: {{{named}}}\n"
    forge.commit(forge.file("a.yaml"), forge.file("c.yaml", theirs.encode()))
    revision = follow(str(forge.folder), tmp_path / "state").revision()
    [connection] = [alias_set.connection for alias_set in revision.sets]
    assert connection is not None
    assert (connection.uri, connection.token and connection.token.env) == ("http://127.0.0.1:1", "OUR_TOKEN")
    assert [str(remark) for remark in revision.remarks] == [
        "c.yaml:3:18: this MilvusConnection is not used: the agent's own come from --connections"
    ]


@pytest.mark.parametrize(
    "changed",
    [
        MANIFEST.replace(b"{name: prod}", b"{name: other}"),
        MANIFEST.replace(b"{name: search}", b"{name: search, namespace: team}"),
        MANIFEST.replace(
            b"  aliases:", b"  verify: {endpoints: [{name: other}], propagation: {timeout: 3s}}\n  aliases:"
        ),
    ],
    ids=["another name", "another namespace", "an endpoint"],
)
def test_a_set_reaches_no_connection_but_the_agents(forge: Forge, tmp_path: Path, changed: bytes) -> None:
    theirs = CONNECTION.replace("name: prod", "name: other").encode()
    in_team = CONNECTION.replace("name: prod", "name: prod, namespace: team").encode()
    forge.commit(forge.file("a.yaml", changed), forge.file("b.yaml", theirs), forge.file("c.yaml", in_team))
    with pytest.raises(InvalidInput, match="is not among the manifests"):
        follow(str(forge.folder), tmp_path / "state").revision()


@pytest.mark.parametrize(
    ("author", "headers", "message"),
    [
        (b"E\x1b[31mve\r <e@e> 17 +0000", b"", b"subject\x1b]0;owned\x07\r\xe2\x80\xae\n"),
        (b"E\xe9ve\xff <\x9b@e> 17 +0000", b"encoding ISO-8859-1\n", b"\x85\x9b31m\n"),
        (b"E\0ve <e@e> 17 +0000", b"", b"a\0b\0c\n"),
        (b"", b"", b"\n\n\n"),
        (b"E" * 100_000 + b" <e> 9999999999999999999999 +9999", b"", b"s" * 100_000),
    ],
    ids=["escapes", "another encoding", "NUL", "nothing", "too much"],
)
def test_what_a_commit_says_of_itself_is_fit_for_a_terminal(
    forge: Forge, tmp_path: Path, author: bytes, headers: bytes, message: bytes
) -> None:
    oid = forge.commit(forge.file("a.yaml"), author=author, headers=headers, message=message)
    commit = follow(str(forge.folder), tmp_path / "state").fetch()
    assert commit.id == oid
    for text in (commit.author, commit.time, commit.subject):
        assert text.isprintable()
        assert len(text) <= 1000


@pytest.mark.parametrize(
    "ref", ["--upload-pack=touch x", "-x", "a b", "refs/../x", "a\nb", "a..b", "x^{tree}", "a:b", "*"]
)
def test_a_ref_is_a_name_and_no_option(forge: Forge, tmp_path: Path, ref: str) -> None:
    forge.commit(forge.file("a.yaml"))
    with pytest.raises(AliasctlError):
        follow(str(forge.folder), tmp_path / "state", ref=ref).fetch()
    assert not (tmp_path / "x").exists()
    assert not Path("x").exists()


def test_a_ref_that_names_no_commit_is_refused(forge: Forge, tmp_path: Path) -> None:
    forge.commit(forge.file("a.yaml"))
    forge.point(forge.blob(MANIFEST))
    with pytest.raises(GitError):
        follow(str(forge.folder), tmp_path / "state").revision()


@pytest.mark.parametrize("mode", [b"100664", b"100755", FILE, b"100000"])
def test_only_files_count_as_manifests(forge: Forge, tmp_path: Path, mode: bytes) -> None:
    forge.commit(Entry(mode, b"a.yaml", forge.blob(MANIFEST)), Entry(SUBMODULE, b"b.yaml", forge.blob(EVIL)))
    revision = follow(str(forge.folder), tmp_path / "state").revision()
    assert [alias.collection for alias_set in revision.sets for alias in alias_set.aliases] == ["products_v1"]
    assert [path.name for path in (tmp_path / "state").iterdir()] == ["mirror.git"]

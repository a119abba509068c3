"""`validate` says what the agent will say of a folder once it is committed, by the same rules."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from reconciler.core.errors import InvalidInput
from reconciler.git import repository
from reconciler.sync import tree, work_tree
from tests.cli.command import run
from tests.sync.origin import Origin, git
from tests.sync_attacks.forge import CONNECTION, MANIFEST, follow

TEXT = MANIFEST.decode()
GATE = 'gates: {{canary: {{minOverlap: 0.5, queriesFile: "{}"}}}}\n  aliases:'
QUERY = '{"vector": [1]}\n'
POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"
Change = Callable[[Path], object]


def with_queries(name: str) -> str:
    return TEXT.replace("aliases:", GATE.format(name))


def write(name: str, text: str) -> Change:
    def change(top: Path) -> None:
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_text(text)

    return change


def link(name: str, target: str) -> Change:
    def change(top: Path) -> None:
        (top / name).symlink_to(target)

    return change


def both(*changes: Change) -> Change:
    return lambda top: [change(top) for change in changes]


@pytest.fixture
def top(origin: Origin) -> Path:
    """Return a work tree with a manifest in `aliases`, and another one beside it."""
    write("aliases/a.yaml", TEXT)(origin.mine)
    write("others/b.yaml", TEXT.replace("search", "other").replace("products", "more"))(origin.mine)
    return origin.mine


def refused_by_the_agent(origin: Origin, state: Path) -> list[str]:
    """Commit everything, and return what the agent says of it."""
    git(origin.mine, "add", "--all")
    git(origin.mine, "commit", "--quiet", "--message", "Change")
    origin.push()
    with pytest.raises(InvalidInput) as refused:
        follow(str(origin.bare), state, path="aliases").revision()
    return [str(problem) for problem in refused.value.problems]


def predicted(top: Path, *options: str) -> tuple[int, list[str]]:
    done = run("validate", "-f", "aliases", *options, cwd=top)
    return done.code, [line for line in done.stderr.splitlines() if "sync" in line]


@pytest.mark.parametrize(
    ("change", "count"),
    [
        (link("aliases/more", "../others"), 1),
        (link("aliases/b.yaml", "../others/b.yaml"), 1),
        (both(write("../c.yaml", "kind: Other\n"), link("aliases/c.yaml", "../../c.yaml")), 1),
        (link("aliases/gone.yaml", "nowhere.yaml"), 1),
        (link("aliases/again.yaml", "a.yaml"), 1),
        (both(write("q.jsonl", QUERY), write("aliases/a.yaml", with_queries("../q.jsonl"))), 1),
        (both(*(link(f"aliases/{name}.yaml", f"{name}x.yaml") for name in "de")), 2),
    ],
    ids=["folder", "out of the folder", "out of the tree", "nowhere", "twice", "queries", "two"],
)
def test_what_the_agent_refuses_is_predicted_in_its_words(
    top: Path, origin: Origin, tmp_path: Path, change: Change, count: int
) -> None:
    change(top)
    code, warnings = predicted(top)
    (tmp_path / "connections.yaml").write_text(CONNECTION)
    strict = run("validate", "--strict", "-f", "aliases", "-f", "../connections.yaml", cwd=top)
    words = refused_by_the_agent(origin, tmp_path / "state")
    assert (code, len(words)) == (0, count)
    expected = [word.replace(": ", ": {}: aliasctl sync refuses this: ", 1) for word in words]
    assert warnings == [line.format("warning") for line in expected]
    assert strict.code == 1
    assert [line for line in strict.stderr.splitlines() if "sync" in line] == [
        line.format("error") for line in expected
    ]


@pytest.mark.parametrize(
    "change",
    [
        link("aliases/README", "../others"),
        both(write("aliases/.gitignore", "build\n"), write("aliases/build/x", ""), link("aliases/to", "build")),
        both(write("aliases/q.jsonl", QUERY), write("aliases/a.yaml", with_queries("q.jsonl"))),
        write("aliases/.hidden/x.yaml", "kind: AliasSet\n"),
    ],
    ids=["link to a file", "link to what Git ignores", "queries", "hidden"],
)
def test_what_the_agent_takes_is_no_warning(top: Path, origin: Origin, tmp_path: Path, change: Change) -> None:
    (top / "others" / "b.yaml").rename(top / "others.txt")
    (top / "others").rmdir()
    (top / "others").write_text("no folder\n")
    change(top)
    assert predicted(top) == (0, [])
    git(top, "add", "--all")
    git(top, "commit", "--quiet", "--message", "Change")
    origin.push()
    assert follow(str(origin.bare), tmp_path / "state", path="aliases").revision().sets


def test_limits_are_those_of_the_agent(
    top: Path, origin: Origin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def warnings() -> list[str]:
        return [str(problem) for problem in work_tree.refused_by_sync(str(top / "aliases"), ())]

    assert warnings() == []
    with monkeypatch.context() as patched:
        patched.setattr(tree, "MAX_TOTAL_MIB", 0)
        [message] = warnings()
        assert "aliasctl sync refuses this: the manifests have more than 0 MiB together" in message
        assert refused_by_the_agent(origin, tmp_path / "state")[0] in message.replace(str(top) + "/", "").replace(
            "aliasctl sync refuses this: ", ""
        )
    monkeypatch.setattr(repository, "MAX_ENTRIES", 0)
    monkeypatch.setattr(work_tree, "MAX_ENTRIES", 0)
    assert "there are more than 0 files in aliases; give a folder with --path" in warnings()[0]


def test_files_in_git_lfs_are_predicted_although_they_are_there(top: Path) -> None:
    write(".gitattributes", "*.yaml filter=lfs\n")(top)
    warning = "aliases/a.yaml: warning: aliasctl sync refuses this: Git LFS keeps this file, so the commit has only a"
    code, [line] = predicted(top)
    assert (code, line.startswith(warning)) == (0, True), line
    strict = run("validate", "--strict", "-f", "aliases", cwd=top)
    assert [line.partition(": error: ")[2].split()[0] for line in strict.stderr.splitlines()] == [
        "MilvusConnection",
        "aliasctl",
    ], "all errors at once"
    both(write(".gitattributes", "*.jsonl filter=lfs\n"), write("aliases/q.jsonl", QUERY))(top)
    write("aliases/a.yaml", with_queries("q.jsonl"))(top)
    code, [line] = predicted(top)
    assert "aliasctl sync refuses this: the query vectors file" in line or "cannot be read: Git LFS keeps" in line


def test_sets_that_are_in_no_commit_are_named(top: Path, origin: Origin, tmp_path: Path) -> None:
    write("aliases/ignored.yaml", TEXT.replace("search", "ignored").replace("products", "p1"))(top)
    write(".gitignore", "ignored.yaml\n")(top)
    sub = tmp_path / "sub"
    sub.mkdir()
    git(sub, "init", "--quiet", "--initial-branch=main")
    write("s.yaml", TEXT.replace("search", "sub").replace("products", "p2"))(sub)
    git(sub, "add", "--all")
    git(sub, "commit", "--quiet", "--message", "Sub")
    git(top, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(sub), "aliases/sub")
    assert predicted(top) == (
        0,
        [
            'aliases/ignored.yaml:3:18: warning: aliasctl sync does not see AliasSet "ignored": Git ignores this file',
            'aliases/sub/s.yaml:3:18: warning: aliasctl sync does not see AliasSet "sub": '
            "aliases/sub is a Git submodule, which is not followed",
        ],
    )


def test_files_that_are_left_out_here_are_read_there(top: Path) -> None:
    write("aliases/charts/x.yaml", "kind: AliasSet\nname: {{ .Values.x }}\n")(top)
    code, [line] = predicted(top, "--exclude", "charts")
    assert (code, line) == (
        0,
        "aliases/charts/x.yaml:1:1: warning: aliasctl sync refuses this: "
        '"apiVersion" is missing; it is aliasctl.dev/v1alpha1',
    )


def test_nothing_is_predicted_of_a_folder_that_git_ignores(top: Path) -> None:
    """As of one that a pipeline renders manifests into."""
    write(".gitignore", "aliases\n")(top)
    link("aliases/more", "../others")(top)
    assert predicted(top) == (0, [])


def test_nothing_is_predicted_outside_of_git(tmp_path: Path) -> None:
    write("aliases/a.yaml", TEXT)(tmp_path)
    write("others/b.yaml", TEXT.replace("search", "other").replace("products", "more"))(tmp_path)
    link("aliases/more", "../others")(tmp_path)
    assert not any((parent / ".git").exists() for parent in tmp_path.parents)
    assert predicted(tmp_path) == (0, [])

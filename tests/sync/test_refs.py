"""What is followed: a branch that is rewritten or vanishes, tags, commits, and names that mean two things."""

from __future__ import annotations

import pytest

from reconciler.git.repository import DEPTH
from tests.sync.origin import git
from tests.sync.stage import FILE, Stage

REWRITTEN = "the history was rewritten"


def long_history(stage: Stage) -> str:
    """Put more commits on top of what the clone is at than the agent fetches; the last one is pushed to main."""
    head, tree = stage.origin.head, git(stage.origin.mine, "rev-parse", "HEAD^{tree}")
    for number in range(DEPTH + 8):
        head = git(stage.origin.mine, "commit-tree", tree, "-p", head, "-m", f"Commit {number}")
    stage.origin.push(f"{head}:refs/heads/main")
    return head


@pytest.mark.parametrize("long", [False, True], ids=["all of it fetched", "more than is fetched"])
def test_a_force_push_is_followed_and_said(stage: Stage, long: bool) -> None:
    first = long_history(stage) if long else stage.origin.head
    stage.origin.back_to(first)
    stage.merge({"a": "v2"})
    with stage.following() as agent:
        agent.found("Succeeded", stage.origin.head)
        stage.origin.back_to(first)
        forced = stage.origin.commit({FILE: stage.manifest({"a": "v3"})}, "Another history")
        stage.origin.push("+HEAD:refs/heads/main")
        agent.found("Succeeded", forced, done=1)
        assert stage.shop.live == {"a": "v3"}
        told = agent.event(REWRITTEN)
        assert told["now"] == forced[:12]


def test_many_commits_at_once_are_no_rewritten_history(stage: Stage) -> None:
    with stage.following() as agent:
        agent.found("Succeeded", stage.origin.head)
        agent.found("Succeeded", long_history(stage))
        assert not [record for record in agent.log if REWRITTEN in record["event"]]


def test_a_branch_that_vanishes_changes_nothing_until_it_is_back(stage: Stage) -> None:
    with stage.following() as agent:
        good = stage.merge({"a": "v2"})
        agent.found("Succeeded", good)
        stage.origin.vanish()
        gone = agent.found("RefNotFound")
        assert gone["detail"] == "the repository has no branch or tag main"
        stage.shop.move(a="v1")
        agent.looks(2)
        assert stage.shop.live == {"a": "v1"}
        stage.origin.push()
        agent.found("Succeeded", good, since=agent.log.index(gone), done=1)
        assert stage.shop.live == {"a": "v2"}


@pytest.mark.parametrize("kind", ["tag", "annotated tag", "full ref", "commit", "HEAD"])
def test_what_is_not_a_branch_can_be_followed_too(stage: Stage, kind: str) -> None:
    commit = stage.origin.commit({FILE: stage.manifest({"a": "v2"})})
    if kind == "commit":
        stage.merge({"a": "v3"})
        ref = commit
    elif kind == "HEAD":
        stage.origin.push("HEAD:refs/heads/release")
        git(stage.origin.bare, "symbolic-ref", "HEAD", "refs/heads/release")
        ref = "HEAD"
    else:
        options = ("--annotate", "--message", "Release") if kind == "annotated tag" else ()
        git(stage.origin.mine, "tag", *options, "release/1")
        stage.origin.push("release/1")
        ref = "refs/tags/release/1" if kind == "full ref" else "release/1"
    done = stage.once("--ref", ref)
    assert (done.code, stage.shop.live) == (0, {"a": "v2"}), done.stderr
    run = stage.shop.run("history", "--format", "json").document["runs"][0]
    assert (run["provenance"]["commit"], run["provenance"]["ref"]) == (commit, ref)


def test_a_branch_and_a_tag_of_one_name_are_refused_with_the_way_out(stage: Stage) -> None:
    stage.merge({"a": "v2"})
    stage.origin.push("HEAD~1:refs/tags/main")
    done = stage.once()
    assert (done.code, stage.shop.live) == (1, {"a": "v1"})
    assert "main is a branch and a tag; say --ref refs/heads/main or refs/tags/main" in done.stderr
    assert stage.once("--ref", "refs/heads/main").code == 0
    assert stage.shop.live == {"a": "v2"}


@pytest.mark.parametrize(
    ("ref", "message"),
    [
        ("nowhere", "the repository has no branch or tag nowhere"),
        ("1" * 12, "a commit is given by its whole ID: run git rev-parse 111111111111 in a clone"),
        ("0" * 39 + "1", "the server does not have the ref"),
        ("ma*n", "--ref ma*n: not a valid name of a branch, tag or commit"),
        ("a..b", "--ref a..b: not a valid name"),
    ],
)
def test_a_ref_that_is_not_there_is_said(stage: Stage, ref: str, message: str) -> None:
    done = stage.once("--ref", ref)
    assert (done.code, message in done.stderr, stage.shop.live) == (1, True, {"a": "v1"}), done.stderr


@pytest.mark.parametrize("path", [".", "./aliases", "./aliases/.", "aliases/./", "", "./"])
def test_a_path_may_be_written_in_any_usual_way(stage: Stage, path: str) -> None:
    stage.merge({"a": "v2"})
    done = stage.once("--path", path)
    assert (done.code, stage.shop.live) == (0, {"a": "v2"}), done.stderr


@pytest.mark.parametrize(("path", "name"), [("search/aliases", "search"), ("", "search")])
def test_manifests_in_a_submodule_are_missing_with_the_reason(stage: Stage, path: str, name: str) -> None:
    git(stage.origin.mine, "rm", "--quiet", FILE)
    git(stage.origin.mine, "update-index", "--add", "--cacheinfo", f"160000,{stage.origin.head},search")
    git(stage.origin.mine, "commit", "--quiet", "--message", "Move the manifests to a submodule")
    stage.origin.push()
    done = stage.once("--path", path)
    assert (done.code, stage.shop.live) == (1, {"a": "v1"})
    assert f"there is no manifest here in this commit; {name} is a Git submodule, which is not followed" in done.stderr

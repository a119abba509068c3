"""What only GitHub and GitLab have: comments, artifacts of strangers, the package registry."""

from __future__ import annotations

import re

import pytest

from tests.cli.shop import Shop
from tests.pipelines.forge import PINNED
from tests.pipelines.github import FORK_ID, ID, Artifact, GitHub
from tests.pipelines.gitlab import GitLab
from tests.pipelines.repository import Repository
from tests.pipelines.test_flow import propose

MARKER = "<!-- aliasctl:plan -->"


@pytest.fixture(params=["github", "gitlab"])
def forge(request: pytest.FixtureRequest, repository: Repository) -> GitHub | GitLab:
    made: GitHub | GitLab = request.getfixturevalue(request.param)
    return made


def test_a_request_has_one_comment_that_follows_its_commits(forge: GitHub | GitLab) -> None:
    forge.review(propose(forge.repository, collection="v2"))
    assert forge.shown.startswith(MARKER)
    assert "v2" in forge.shown
    forge.repository.switch("move")
    forge.review(propose(forge.repository, collection="v3"))
    assert "v3" in forge.shown
    assert "v2" not in forge.shown


def test_the_comment_is_found_behind_a_hundred_others_and_a_strangers_with_the_marker_is_left_alone(
    forge: GitHub | GitLab,
) -> None:
    strangers = f"{MARKER}\nAll is well, merge it!"
    forge.api.say("stranger", strangers)
    for number in range(120):
        forge.api.say("robin", f"remark {number}")
    forge.review(propose(forge.repository))
    forge.review("move")
    assert "v2" in forge.shown
    comments = forge.api.comments if isinstance(forge, GitHub) else forge.api.notes
    assert (comments[0]["body"], len(comments)) == (strangers, 122)


def test_a_plan_that_fails_replaces_the_one_that_is_shown(forge: GitHub | GitLab) -> None:
    forge.review(propose(forge.repository))
    forge.repository.switch("move")
    forge.repository.write("aliases/wrong.yaml", "apiVersion: aliasctl.dev/v1alpha1\nkind: AliasSets\n")
    forge.repository.commit("A slip")
    failed = forge.review("move")
    assert failed.code == 1
    assert "aliases/wrong.yaml:2:7: error: " in failed.log
    assert ("\n::error file=aliases/wrong.yaml,line=2,col=7::" in failed.log) is isinstance(forge, GitHub)
    assert forge.shown.startswith(MARKER)
    assert "There is no plan for this commit" in forge.shown


def test_github_shows_the_plan_and_the_report_in_the_summary_and_keeps_the_report(github: GitHub) -> None:
    assert "v2" in github.review(propose(github.repository)).summary
    applied = github.merged(github.repository.merge("move"))
    assert "products" in applied.summary
    assert github.api.artifacts[-1].name == "aliasctl-report-1"


def test_a_merge_queue_has_its_check_and_keeps_no_plan_that_nobody_reviewed(github: GitHub) -> None:
    ran = github.queued(github.repository.merged_with_main(propose(github.repository)))
    assert (ran.code, "v2" in ran.summary) == (0, True), ran.log
    assert (github.api.artifacts, github.api.comments) == ([], [])


def test_on_github_an_artifact_of_a_fork_or_an_expired_one_is_no_reviewed_plan(github: GitHub, shop: Shop) -> None:
    github.review(propose(github.repository))
    (kept,) = github.api.artifacts
    kept.expired = True
    github.api.artifacts.append(Artifact(kept.name, kept.file, kept.content, FORK_ID, "main"))
    head = github.repository.merge("move", "squash")
    assert (github.merged(head).code, shop.live) == (4, {"products": "v1"})
    github.api.artifacts.append(Artifact(kept.name, kept.file, kept.content, ID, "move"))
    assert (github.merged(head).code, shop.live) == (0, {"products": "v2"})


def test_on_github_only_an_export_that_was_made_on_main_counts(github: GitHub) -> None:
    github.drift("main")
    github.api.artifacts[0].head_branch = "some-branch"
    assert github.review_from_outside(propose(github.repository)).code == 1
    github.api.artifacts[0].head_branch = "main"
    assert github.review_from_outside("move").code == 0


def test_gitlab_needs_no_token_but_its_own_when_nobody_wants_notes(gitlab: GitLab, shop: Shop) -> None:
    del gitlab.secrets["GITLAB_NOTE_TOKEN"]
    reviewed = gitlab.review(propose(gitlab.repository))
    assert (reviewed.code, gitlab.api.notes) == (0, []), reviewed.log
    assert "v2" in reviewed.summary
    assert gitlab.merged(gitlab.repository.merge("move")).code == 0
    assert shop.live == {"products": "v2"}


def test_the_pipelines_as_they_are_shipped_install_nothing_and_say_what_to_fill_in(
    forge: GitHub | GitLab, shop: Shop
) -> None:
    forge.review(propose(forge.repository))
    head = forge.repository.merge("move")
    forge.filled_in.clear()
    for ran in (forge.review("move"), forge.review_from_outside("move"), forge.merged(head), forge.drift("main")):
        assert ran.code == 1
        assert "error" in ran.log
        assert (
            "which could become somebody else's code: fill in git+https://…@ and the 40 digits of a commit" in ran.log
        )
        assert "would run: " not in ran.log
    assert shop.live == {"products": "v1"}
    forge.filled_in["ALIASCTL"] = PINNED
    applied = forge.merged(head)
    assert (applied.code, shop.live) == (0, {"products": "v2"}), applied.log
    assert re.search(rf"would run: pipx? install {re.escape(PINNED)}\n", applied.log)

"""A change on its way from a branch to production, through each of the shipped pipelines, as their YAML has it."""

from __future__ import annotations

import pytest

from tests.cli.shop import Shop, alias_set, manifest
from tests.pipelines.conftest import ON_A_REAL_SERVER, Pipeline
from tests.pipelines.forge import READ_TOKEN, WRITE_TOKEN, Ran, run_script, runner_environment
from tests.pipelines.repository import Repository
from tests.pipelines.shell import Shell


def propose(repository: Repository, branch: str = "move", collection: str = "v2") -> str:
    """A branch that moves `products`."""
    repository.switch(branch)
    repository.want({"products": collection})
    repository.commit(f"products moves to {collection}")
    repository.push()
    return branch


def tokens_seen(ran: Ran) -> set[str]:
    values = {value for environment in ran.environments for value in environment.values()}
    return values & {READ_TOKEN, WRITE_TOKEN}


@pytest.mark.parametrize(
    ("pipeline", "how"),
    [
        ("github", "squash"),
        ("gitlab", "merge"),
        ("shell", "rebase"),
        pytest.param("shell", "squash", marks=pytest.mark.milvus),
    ],
    indirect=["pipeline"],
)
def test_what_was_reviewed_is_applied_on_merge_however_it_is_merged(pipeline: Pipeline, shop: Shop, how: str) -> None:
    repository = pipeline.repository
    reviewed = pipeline.review(propose(repository))
    assert (reviewed.code, shop.live) == (0, {"products": "v1"}), reviewed.log
    assert "v1 → v2" in reviewed.log
    applied = pipeline.merged(repository.merge("move", how))
    assert (applied.code, shop.live) == (0, {"products": "v2"}), applied.log
    assert pipeline.drift("main").code == 0


def test_the_plan_sees_only_the_token_that_reads_and_the_apply_only_the_one_that_writes(pipeline: Pipeline) -> None:
    branch = propose(pipeline.repository)
    milvus_tokens = [
        {environment.get("MILVUS_TOKEN") for environment in ran.environments} - {None}
        for ran in (pipeline.review(branch), pipeline.merged(pipeline.repository.merge(branch)), pipeline.drift("main"))
    ]
    assert milvus_tokens == [{READ_TOKEN}, {WRITE_TOKEN}, {READ_TOKEN}]


@pytest.mark.parametrize("pipeline", ["github", "gitlab", ON_A_REAL_SERVER], indirect=True)
def test_when_production_moved_after_the_review_nothing_is_written_until_a_new_plan_was_made(
    pipeline: Pipeline, shop: Shop
) -> None:
    pipeline.review(propose(pipeline.repository))
    head = pipeline.repository.merge("move", "squash")
    shop.move(products="v3")
    refused = pipeline.merged(head)
    assert (refused.code, shop.live) == (4, {"products": "v3"}), refused.log
    assert "nothing was written: the reviewed plan no longer fits; see above for the differences" in refused.log
    assert "v3 → v2" in refused.log, "what a new plan would say"
    assert pipeline.plan_again(head).code == 0
    applied = pipeline.merged(head)
    assert (applied.code, shop.live) == (0, {"products": "v2"}), applied.log


def test_when_main_changed_the_manifests_after_the_review_no_plan_belongs_to_the_merge(
    pipeline: Pipeline, shop: Shop
) -> None:
    repository = pipeline.repository
    pipeline.review(propose(repository))
    repository.switch("main")
    repository.want({"ads": "v1"}, file="aliases/ads.yaml")
    repository.commit("An alias for ads")
    repository.push()
    head = repository.merge("move", "squash")
    refused = pipeline.merged(head)
    assert (refused.code, shop.live) == (4, {"products": "v1"}), refused.log
    assert "there is no reviewed plan for the manifests of this commit" in refused.log
    assert pipeline.plan_again(head).code == 0
    assert pipeline.merged(head).code == 0
    assert shop.live == {"ads": "v1", "products": "v2"}


def test_a_merge_without_a_reviewed_plan_is_refused_unless_there_is_nothing_to_do(
    pipeline: Pipeline, shop: Shop
) -> None:
    unreviewed = pipeline.merged(pipeline.repository.merge(propose(pipeline.repository)))
    assert (unreviewed.code, shop.live) == (4, {"products": "v1"}), unreviewed.log
    shop.move(products="v2")
    assert pipeline.merged("main").code == 0


def test_an_apply_that_is_run_again_has_nothing_to_do(pipeline: Pipeline, shop: Shop) -> None:
    pipeline.review(propose(pipeline.repository))
    head = pipeline.repository.merge("move")
    assert [pipeline.merged(head).code, pipeline.merged(head).code] == [0, 0]
    assert shop.live == {"products": "v2"}


def test_a_plan_that_a_limit_refuses_fails_the_review_and_is_not_kept_for_the_merge(shell: Shell, shop: Shop) -> None:
    shop.point(ads="v1")
    shell.repository.switch("drop")
    shell.repository.want({"products": "v1", "ads": None}, limits={"maxDrops": 0})
    shell.repository.commit("Drop ads")
    refused = shell.review("drop")
    assert refused.code == 3, refused.log
    assert "--max-drops" in refused.log
    assert shell.merged(shell.repository.merge("drop")).code == 4
    assert shop.live == {"ads": "v1", "products": "v1"}


def test_drift_is_found_by_the_schedule_and_says_what_to_do(pipeline: Pipeline, shop: Shop) -> None:
    assert pipeline.drift("main").code == 0
    shop.move(products="v3")
    found = pipeline.drift("main")
    assert found.code == 2, found.log
    assert "v3 → v1" in found.log
    assert "the live aliases do not match HEAD. To restore them: " in found.log


def test_drift_of_a_protected_alias_is_found_too(shell: Shell, shop: Shop) -> None:
    shell.repository.want({"products": {"collection": "v1", "protect": True}})
    shell.repository.commit("Protect products")
    shell.repository.push()
    shop.move(products="v3")
    assert shell.drift("main").code == 3


def test_the_export_covers_every_database_that_the_manifests_name(shell: Shell, shop: Shop) -> None:
    shell.repository.write("aliases/other.yaml", manifest(alias_set({"other": "v1"}, name="other", database="default")))
    shell.repository.commit("A second database")
    shell.repository.push()
    shell.drift("main")
    exported = (shell.plans / "export.yaml").read_text()
    assert all(f"database: {name}\n" in exported for name in (shop.database, "default"))


def test_manifests_that_are_not_committed_have_no_key(shell: Shell) -> None:
    workspace = shell.repository.checkout("main", shell.folder / "dirty")
    (workspace / "aliases" / "new.yaml").write_text("{}")
    code, log = run_script("ci/aliasctl-ci key", workspace, runner_environment(shell.folder), "sh", "-e")
    assert (code, log) == (
        1,
        "error: aliases differs from HEAD: a plan of it would belong to no commit; commit it first\n",
    )


def test_a_request_from_outside_is_planned_against_the_export_and_sees_no_token(pipeline: Pipeline, shop: Shop) -> None:
    pipeline.drift("main")
    planned = pipeline.review_from_outside(propose(pipeline.repository))
    assert planned.code == 0, planned.log
    assert "v2" in planned.summary
    assert tokens_seen(planned) == set()


def test_a_plan_from_outside_does_not_count_as_reviewed(pipeline: Pipeline, shop: Shop) -> None:
    pipeline.drift("main")
    pipeline.review_from_outside(propose(pipeline.repository))
    refused = pipeline.merged(pipeline.repository.merge("move"))
    assert (refused.code, shop.live) == (4, {"products": "v1"}), refused.log


def test_without_an_export_a_request_from_outside_has_no_plan_and_says_so(pipeline: Pipeline) -> None:
    failed = pipeline.review_from_outside(propose(pipeline.repository))
    assert failed.code == 1
    assert "export.yaml: error: no such file or folder" in failed.log
    assert "There is no plan for this commit" in failed.summary


@pytest.mark.parametrize("pipeline", ["shell"], indirect=True)
def test_a_gate_that_fails_is_shown_at_the_review_and_not_only_at_the_merge(pipeline: Pipeline, shop: Shop) -> None:
    branch = propose(pipeline.repository)
    pipeline.repository.want({"products": "v2"}, gates={"rows": {"min": 1000}})
    pipeline.repository.commit("With a gate that counts")
    pipeline.repository.push()
    reviewed = pipeline.review(branch)
    assert reviewed.code == 3, reviewed.log
    assert "need ≥ 1,000" in reviewed.log
    assert shop.live == {"products": "v1"}

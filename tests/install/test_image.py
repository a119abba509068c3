"""The image: what the Dockerfile says, and what its own steps install. No container engine is needed."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from reconciler.version import __version__
from tests.install.built import ROOT, Object, container, only
from tests.install.tools import RUN_TIMEOUT, hadolint, output

dockerfile_parse = pytest.importorskip("dockerfile_parse", reason="dockerfile-parse is not installed")


@dataclass(frozen=True)
class Instruction:
    name: str
    value: str


def stages() -> list[list[Instruction]]:
    """The Dockerfile's instructions, stage by stage."""
    parser = dockerfile_parse.DockerfileParser(path=str(ROOT), cache_content=True)
    found: list[list[Instruction]] = []
    for step in parser.structure:
        if step["instruction"] == "FROM":
            found.append([])
        if step["instruction"] != "COMMENT":
            found[-1].append(Instruction(step["instruction"], step["value"]))
    return found


def values(stage: list[Instruction], name: str) -> list[str]:
    return [item.value for item in stage if item.name == name]


def copied_from_here(stage: list[Instruction]) -> list[str]:
    return [source for value in values(stage, "COPY") if "--from" not in value for source in value.split()[:-1]]


def test_the_linter_has_nothing_to_say() -> None:
    assert output(hadolint(), "--no-color", ROOT / "Dockerfile") == ""


def test_both_stages_have_the_same_exact_base() -> None:
    """The virtual environment of the first one runs on the Python of the last one."""
    bases = {values(stage, "FROM")[0].split()[0] for stage in stages()}
    assert len(bases) == 1
    assert re.fullmatch(r"python:3\.\d+\.\d+-slim-[a-z]+@sha256:[0-9a-f]{64}", bases.pop())


def test_the_last_stage_is_the_operator_as_nobody_and_needs_no_shell(installed: list[Object]) -> None:
    last = stages()[-1]
    assert values(last, "RUN") == []
    (entry,) = values(last, "ENTRYPOINT")
    assert json.loads(entry) == ["aliasctl", "operator"]
    pod = only(installed, "Deployment")["spec"]["template"]["spec"]["securityContext"]
    assert values(last, "USER") == [f"{pod['runAsUser']}:{pod['runAsGroup']}"]
    assert values(last, "EXPOSE") == [str(container(installed)["ports"][0]["containerPort"])]


def test_the_engine_is_sent_only_what_is_copied() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    sent = [line.removeprefix("!") for line in lines if line.startswith("!")]
    assert "*" in lines
    assert sorted(sent) == sorted(copied_from_here(stages()[0]))


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The virtual environment that the first stage's steps make, with the image's folders moved into one of ours."""
    root = tmp_path_factory.mktemp("image")
    build = stages()[0]
    (workdir,) = values(build, "WORKDIR")
    source = moved(workdir, root)
    Path(source).mkdir(parents=True)
    for name in copied_from_here(build):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, Path(source) / name)
    for step in values(build, "RUN"):
        python = f'PATH="{Path(sys.executable).parent}:$PATH"'
        command = ["sh", "-ec", f"{python}; {moved(step, root)}"]
        ran = subprocess.run(command, cwd=source, capture_output=True, text=True, timeout=RUN_TIMEOUT)
        assert ran.returncode == 0, f"{step}\n{ran.stdout}\n{ran.stderr}"
    (kept,) = {value.split()[1] for value in values(stages()[-1], "COPY")}
    return Path(moved(kept, root))


def moved(text: str, root: Path) -> str:
    """The text with the absolute paths of the first stage under `root`."""
    return re.sub(r"(?<![\w.])/(?=(src|dist|opt)\b)", f"{root}/", text)


def test_its_steps_install_the_command(image: Path) -> None:
    assert f"aliasctl     {__version__}" in output(image / "bin" / "aliasctl", "version")
    assert "--all-namespaces" in output(image / "bin" / "aliasctl", "operator", "--help")


def test_only_what_the_operator_needs_is_in_it(image: Path) -> None:
    script = "from importlib.metadata import distributions as d; print(*(one.name for one in d()))"
    held = {canonicalize_name(name) for name in output(image / "bin" / "python", "-c", script).split()}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = {extra: names(desired) for extra, desired in project["optional-dependencies"].items()}
    assert extras["operator"] | names(project["dependencies"]) <= held
    others = set().union(*extras.values()) - extras["operator"] - {canonicalize_name(project["name"])}
    assert not others & held
    assert "pip" not in held


def names(requirements: list[str]) -> set[str]:
    return {canonicalize_name(Requirement(requirement).name) for requirement in requirements}

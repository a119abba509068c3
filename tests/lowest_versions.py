"""Prints pip constraints that pin every direct dependency of pyproject.toml to the oldest version it allows."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
extras = [requirement for extra in project["optional-dependencies"].values() for requirement in extra]
for requirement in [*project["dependencies"], *extras]:
    if bound := re.fullmatch(r"([\w.-]+)>=([\w.]+)", requirement):
        print(f"{bound[1]}=={bound[2]}")

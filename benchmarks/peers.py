"""octoDNS and Terraform, planning changes of the same shape from files."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

from benchmarks import shapes
from benchmarks.measure import Entrant
from benchmarks.results import Who

OCTODNS_CONFIG = """\
providers:
  desired:
    class: octodns.provider.yaml.YamlProvider
    directory: {folder}/desired
    enforce_order: false
    escaped_semicolons: false
  live:
    class: octodns.provider.yaml.YamlProvider
    directory: {folder}/live
    enforce_order: false
    escaped_semicolons: false
    update_pcent_threshold: 1.0
    delete_pcent_threshold: 1.0
zones:
  {zone}:
    sources: [desired]
    targets: [live]
"""


def octodns(venv: Path, folder: Path, live: shapes.Pointing, desired: shapes.Pointing) -> Entrant:
    """octoDNS, from its own virtual environment; it neither orders nor refuses anything."""
    shapes.write_zone(folder / "live", live)
    shapes.write_zone(folder / "desired", desired)
    config = folder / "config.yaml"
    config.write_text(OCTODNS_CONFIG.format(folder=folder, zone=shapes.ZONE))
    command = [str(venv / "bin" / "octodns-sync"), "--config-file", str(config)]
    return Entrant(Who.OCTODNS, command, folder)


def terraform(folder: Path, live: shapes.Pointing, desired: shapes.Pointing) -> Entrant | None:
    """Terraform with its state in a file beside it; None if it is not on the PATH."""
    program = shutil.which("terraform")
    if not program:
        return None
    shapes.write_terraform(folder, live)
    for arguments in (["init"], ["apply", "-auto-approve"]):
        subprocess.run([program, *arguments, "-input=false"], cwd=folder, check=True, capture_output=True)  # noqa: S603
    shapes.write_terraform(folder, desired)
    return Entrant(Who.TERRAFORM, [program, "plan", "-input=false", "-no-color"], folder)


def octodns_version(venv: Path) -> str:
    code = "from importlib.metadata import version; print(version('octodns'))"
    return _printed(str(venv / "bin" / "python"), "-c", code)


def terraform_version() -> str:
    version: str = json.loads(_printed("terraform", "version", "-json"))["terraform_version"]
    return version


def _printed(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()  # noqa: S603

"""`python -m tests.reliability`: run the suites that try to break it, at full length, and write what they found."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click

from benchmarks.machine import describe_machine, describe_versions
from benchmarks.server import milvus_server
from tests.reliability.page import Results, page, save
from tests.reliability.tally import collect

ROOT = Path(__file__).parents[2]
DATA = Path(__file__).parent / "results.json"
PAGE = ROOT / "docs" / "reliability.md"
ASIDE = ROOT / ".cache" / "soak"
"""Where the results of an incomplete run are written."""
NO_TESTS = 5
"""pytest's exit code where nothing was to be run."""
existing = click.Path(exists=True, file_okay=False, path_type=Path)


@click.command()
@click.option("--milvus", default=ROOT / ".venv-milvus", type=existing, help="Virtual environment of Milvus 2.3.5.")
@click.option("--only", multiple=True, help="Run only this test file or folder. Can be repeated.")
def main(milvus: Path, only: tuple[str, ...]) -> None:
    """Run the fault tests and write docs/reliability.md; with --only, write to .cache/soak/."""
    date, started = time.strftime("%Y-%m-%d", time.gmtime()), time.monotonic()
    with tempfile.TemporaryDirectory(prefix="aliasctl-soak-") as scratch:
        tallies = Path(scratch) / "tallies"
        tallies.mkdir()
        settings = {
            "SOAK": "1",
            "RELIABILITY_TALLIES": str(tallies),
            "MILVUS_PYTHON": str(milvus.absolute() / "bin" / "python"),
            "REQUIRE_MILVUS": "1",
            "REQUIRE_MILVUS_PYTHON": "1",
        }
        with milvus_server(milvus.absolute(), Path(scratch) / "milvus") as uri:
            two_at_a_time = ("--numprocesses", "2", "--dist", "loadfile")  # mostly they wait for the server
            shared = _run("reliability and not own_server", (*two_at_a_time, *only), settings | {"MILVUS_URI": uri})
        own = _run("reliability and own_server", only, settings)  # a machine has room for one server at a time
        results = Results(
            date=date,
            machine=describe_machine() | describe_versions(),
            seconds=round(time.monotonic() - started),
            tallies=collect(tallies),
        )
    _write(results, complete=not only)
    ends = {shared, own}
    sys.exit(NO_TESTS if ends == {NO_TESTS} else max(ends - {NO_TESTS}))


def _run(marked: str, arguments: tuple[str, ...], settings: dict[str, str]) -> int:
    """Run the suites that are marked so; pytest's exit code."""
    command = [sys.executable, "-m", "pytest", "-m", marked, "-p", "no:cacheprovider", *arguments]
    return subprocess.run(command, env={**os.environ, **settings}, cwd=ROOT, check=False).returncode


def _write(results: Results, *, complete: bool) -> None:
    if complete:
        data, text = DATA, PAGE
    else:
        ASIDE.mkdir(parents=True, exist_ok=True)
        data, text = ASIDE / "results.json", ASIDE / "reliability.md"
    save(results, data)
    text.write_text(page(results), encoding="utf-8")
    click.echo(f"written: {data} and {text}")


if __name__ == "__main__":
    main()

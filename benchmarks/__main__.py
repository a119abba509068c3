"""`python -m benchmarks`: measure, and write the results and the page."""

from __future__ import annotations

import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

import click

from benchmarks import offline
from benchmarks.bench import QUICK, Bench, Sizes
from benchmarks.goals import verdicts
from benchmarks.hostile import hostile
from benchmarks.journal import journal
from benchmarks.live import live
from benchmarks.machine import describe_machine, describe_versions
from benchmarks.page import page
from benchmarks.results import Key, Results, save

ROOT = Path(__file__).parents[1]
ASIDE = ROOT / ".cache" / "bench"
"""Where the results of an incomplete run are written."""
OFFLINE = {
    Key.START_UP: offline.start_up,
    Key.OFFLINE_SMALL: offline.small,
    Key.OFFLINE_MEDIUM: offline.medium,
    Key.OFFLINE_LARGE: offline.large,
    Key.JOURNAL: journal,
    Key.HOSTILE: hostile,
}
existing = click.Path(file_okay=False, path_type=Path)


@click.command()
@click.option(
    "--only", multiple=True, type=click.Choice([*map(str, Key)]), help="Run only this scenario. Can be repeated."
)
@click.option("--rounds", default=5, show_default=True, type=click.IntRange(1), help="Rounds of the fast scenarios.")
@click.option("--quick", is_flag=True, help="Use small sizes, to test the benchmark itself.")
@click.option("--octodns", default=ROOT / ".venv-octodns", type=existing, help="Virtual environment of octoDNS.")
@click.option("--milvus", default=ROOT / ".venv-milvus", type=existing, help="Virtual environment of Milvus 2.3.5.")
@click.option("--into", type=existing, help="Folder for results.json and performance.md.")
def main(only: tuple[str, ...], rounds: int, quick: bool, octodns: Path, milvus: Path, into: Path | None) -> None:
    """Compare the cost of aliasctl with other programs.

    A complete run writes benchmarks/results.json and docs/performance.md. Any other run writes to .cache/bench/.
    """
    keys = [Key(name) for name in only] or [*Key]
    started, machine = time.strftime("%Y-%m-%d", time.gmtime()), describe_machine()
    with tempfile.TemporaryDirectory(prefix="aliasctl-bench-") as folder:
        bench = Bench(
            bin=Path(sys.executable).parent,
            folder=Path(folder),
            rounds=rounds,
            sizes=QUICK if quick else Sizes(),
            octodns=octodns.absolute(),
            milvus=milvus.absolute(),
        )
        for key, scenario in OFFLINE.items():
            if key in keys:
                scenario(bench)
        live(bench, keys)
    bench.missing |= {key: "it was left out" for key in Key if key not in keys}
    results = Results(
        date=started,
        rounds=rounds,
        machine=machine,
        versions=describe_versions() | bench.versions,
        scenarios=tuple(bench.scenarios[key] for key in Key if key in bench.scenarios),
        missing=bench.missing,
    )
    _write(results, complete=not only and not quick, into=into)


def _write(results: Results, *, complete: bool, into: Path | None) -> None:
    if complete and into is None:
        data, text = ROOT / "benchmarks" / "results.json", ROOT / "docs" / "performance.md"
    else:
        into = into or ASIDE
        into.mkdir(parents=True, exist_ok=True)
        data, text = into / "results.json", into / "performance.md"
    save(results, [asdict(item) for item in verdicts(results)], data)
    text.write_text(page(results), encoding="utf-8")
    for verdict in verdicts(results):
        click.echo(f"{verdict.verdict:<14}{verdict.what}: {verdict.measured or '-'} (goal: {verdict.desired})")
    click.echo(f"written: {data} and {text}")


if __name__ == "__main__":
    main()

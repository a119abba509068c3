"""The scenarios that need no server."""

from __future__ import annotations

from pathlib import Path

from benchmarks import peers, shapes
from benchmarks.bench import Bench
from benchmarks.measure import Entrant
from benchmarks.results import Key, Who

NOWHERE = "http://milvus.example.com:19530"
START_UP_ALIASES = 10
LOAD = "import sys, yaml; [list(yaml.load_all(open(path, 'rb'), yaml.CSafeLoader)) for path in sys.argv[1:]]"


def start_up(bench: Bench) -> None:
    manifest = shapes.write_manifest(bench.folder / "ten.yaml", shapes.dealt(START_UP_ALIASES, 4), NOWHERE)
    entrants = [
        bench.ours(Who.VALIDATE, "validate", "-f", manifest),
        bench.ours(Who.HELP, "--help"),
        bench.python(Who.IMPORTS, "-c", "import click, yaml"),
        bench.python(Who.NOTHING, "-c", ""),
    ]
    title = f"Start-up: `validate` of {START_UP_ALIASES} aliases, and `--help`"
    bench.contest(Key.START_UP, title, entrants, rounds=2 * bench.rounds)


def small(bench: Bench) -> None:
    aliases = bench.sizes.small
    live, desired, entrants = _offline(bench, aliases)
    entrants += with_octodns(bench, live, desired)
    if terraform := peers.terraform(bench.folder / f"terraform-{aliases}", live, desired):
        entrants.append(terraform)
        bench.versions["Terraform"] = peers.terraform_version()
    else:
        bench.missing["Terraform"] = "it was not on the PATH"
    entrants.append(bench.python(Who.LOADING, "-c", LOAD, *_files(bench, aliases)))
    bench.contest(Key.OFFLINE_SMALL, _title(aliases), entrants, rounds=bench.rounds)


def medium(bench: Bench) -> None:
    aliases = bench.sizes.medium
    live, desired, entrants = _offline(bench, aliases)
    entrants += with_octodns(bench, live, desired)
    entrants.append(bench.python(Who.LOADING, "-c", LOAD, *_files(bench, aliases)))
    bench.contest(Key.OFFLINE_MEDIUM, _title(aliases), entrants, rounds=bench.rounds)


def large(bench: Bench) -> None:
    aliases = bench.sizes.large
    _, _, entrants = _offline(bench, aliases)
    _, _, smaller = _offline(bench, aliases // 10, Who.SMALLER_PLAN)
    entrants += [*smaller, bench.python(Who.LOADING, "-c", LOAD, *_files(bench, aliases))]
    bench.contest(Key.OFFLINE_LARGE, _title(aliases), entrants, rounds=bench.few)


def with_octodns(bench: Bench, live: shapes.Pointing, desired: shapes.Pointing) -> list[Entrant]:
    """octoDNS planning the same changes, if it is installed."""
    if not bench.octodns.exists():
        bench.missing["octoDNS"] = "it was not installed"
        return []
    bench.versions["octoDNS"] = peers.octodns_version(bench.octodns)
    return [peers.octodns(bench.octodns, bench.folder / f"octodns-{len(live)}", live, desired)]


def _offline(bench: Bench, aliases: int, who: Who = Who.PLAN) -> tuple[shapes.Pointing, shapes.Pointing, list[Entrant]]:
    live = shapes.dealt(aliases, max(2, aliases * bench.sizes.shared // bench.sizes.medium))
    desired = shapes.moved(live, aliases // 10)
    export, manifest = _files(bench, aliases)
    shapes.write_manifest(export, live, NOWHERE)
    shapes.write_manifest(manifest, desired, NOWHERE)
    return live, desired, [bench.ours(who, "plan", "-f", manifest, "--against", export)]


def _files(bench: Bench, aliases: int) -> tuple[Path, Path]:
    return bench.folder / f"live-{aliases}.yaml", bench.folder / f"wanted-{aliases}.yaml"


def _title(aliases: int) -> str:
    return f"Offline plan, {aliases:,} aliases, a tenth changed"

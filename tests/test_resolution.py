"""The published resolution: the file follows the aliases of a run, in the wave in which they move, and back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from reconciler.catalog.memory import MemoryServer
from reconciler.core.gates import Gates
from reconciler.core.model import Alias, AliasSet, OnFailure, Verify
from reconciler.core.report import Report
from reconciler.core.run_events import RunEvent, SoakProbed, SoakStarted
from reconciler.gates.contract import ContractGate
from reconciler.journal import Journal, Origins
from reconciler.reconcile import apply_plan, make_plan
from reconciler.resolution import NamedRuns, Publication, PublishedFile
from tests.builders import LOCAL, alias_set, vector_schema
from tests.faults.memory import Recorder

CONTRACT = Gates(ContractGate(properties={"embedding_model": "m2"}))


def shop() -> Recorder:
    made = MemoryServer()
    made.create_database("default")
    for number in (1, 2):
        schema = replace(vector_schema(), properties={"embedding_model": f"m{number}", "ttl": "60"})
        made.create_collection(f"v{number}", schema=schema)
        made.insert(f"v{number}", [{"id": 1, "vector": (0.0, 0.0, 0.0, 1.0)}])
    for alias in ("a", "b"):
        made.connect(LOCAL, "default").create_alias(alias, "v1")
    return Recorder(made)


def desired(collection: str = "v2", *, soak: float | None = None, on_failure: OnFailure = OnFailure.STOP) -> AliasSet:
    aliases = (Alias("a", collection, gates=CONTRACT), Alias("b", collection, wave=1, gates=CONTRACT))
    return alias_set({}, *aliases, verify=Verify(soak=soak), on_failure=on_failure)


class Run:
    """A run that publishes, and what was published at each event."""

    def __init__(self, folder: Path, recorder: Recorder, wanted: AliasSet, *, manifests: bool = True) -> None:
        self.file = folder / "resolution.json"
        self.journal = NamedRuns(Journal(folder / "journal.db"))
        self.seen: list[tuple[RunEvent, dict[str, str]]] = []
        with recorder.catalogs() as opened:
            plan = make_plan([wanted], catalogs=opened, journal=self.journal)
            sets = [wanted] if manifests else None
            self.publication = Publication(PublishedFile(self.file), plan, opened, self.journal, sets=sets)
            self.publication.begin()
            self.report: Report = apply_plan(
                plan,
                catalogs=opened,
                journal=self.journal,
                origins=Origins.of_this_process(),
                on_event=self._take,
            )
            self.publication.flush()

    def _take(self, event: RunEvent) -> None:
        self.publication.take(event)
        self.seen.append((event, self.resolved))

    @property
    def entries(self) -> dict[str, Any]:
        return {entry["alias"]: entry for entry in json.loads(self.file.read_text())["aliases"]}

    @property
    def resolved(self) -> dict[str, str]:
        return {alias: entry["collection"] for alias, entry in self.entries.items()} if self.file.exists() else {}


def test_it_follows_each_wave_before_the_soak_and_says_by_which_run_and_since_when(tmp_path: Path) -> None:
    run = Run(tmp_path, shop(), desired(soak=0.3))
    assert run.seen[0][1] == {"a": "v1", "b": "v1"}
    soaks = [resolved for event, resolved in run.seen if isinstance(event, SoakStarted)]
    assert soaks == [{"a": "v2", "b": "v1"}, {"a": "v2", "b": "v2"}]
    [moved, *_] = run.report.results
    assert run.entries["a"] == {
        "alias": "a",
        "address": LOCAL.address,
        "database": "default",
        "collection": "v2",
        "properties": {"embedding_model": "m2"},
        "since": run.entries["a"]["since"],
        "run": run.report.run,
    }
    assert (moved.started or "") <= run.entries["a"]["since"] <= (moved.ended or "")


def test_it_follows_a_revert(tmp_path: Path) -> None:
    recorder = shop()
    recorder.after = lambda method, alias: recorder.server.release("v2")
    wanted = alias_set({}, Alias("a", "v2", gates=CONTRACT), verify=Verify(soak=0.3), on_failure=OnFailure.REVERT)
    run = Run(tmp_path, recorder, wanted)
    assert {"a": "v2"} in [resolved for event, resolved in run.seen if isinstance(event, SoakProbed)]
    assert (run.resolved, run.entries["a"]["properties"]) == ({"a": "v1"}, {"embedding_model": "m1"})


def test_a_run_without_changes_publishes_and_keeps_what_is_known(tmp_path: Path) -> None:
    recorder = shop()
    first = Run(tmp_path, recorder, desired())
    published = first.file.read_bytes()
    recorder.before = lambda method, name: pytest.fail(f"read {name}") if method == "schema" else None
    assert Run(tmp_path, recorder, desired()).file.read_bytes() == published
    first.file.unlink()
    recorder.before = lambda method, name: None
    again = Run(tmp_path, recorder, desired())
    assert again.file.read_bytes() == published


def test_a_plan_without_manifests_changes_only_what_it_moves_and_manifests_are_the_whole_file(tmp_path: Path) -> None:
    recorder = shop()
    Run(tmp_path, recorder, desired("v1"))
    assert Run(tmp_path, recorder, alias_set({"a": "v2"}), manifests=False).resolved == {"a": "v2", "b": "v1"}
    assert Run(tmp_path, recorder, alias_set({"a": "v2"})).resolved == {"a": "v2"}


def test_a_property_that_a_collection_lacks_is_left_out_and_the_rest_is_kept(tmp_path: Path) -> None:
    recorder = shop()
    wanted = alias_set({}, Alias("a", "v1", gates=Gates(ContractGate(properties={"absent": "x"}))))
    Run(tmp_path, recorder, alias_set({"a": "v2"}))
    moved = Run(tmp_path, recorder, alias_set({"a": "v1"}))
    again = Run(tmp_path, recorder, wanted)
    assert (again.entries["a"]["properties"], again.entries["a"]["run"]) == ({}, moved.report.run)


def test_a_dropped_alias_is_not_published(tmp_path: Path) -> None:
    assert Run(tmp_path, shop(), alias_set({"a": None, "b": "v1"})).resolved == {"b": "v1"}


def published_to(file: Path) -> Publication:
    """What is left of a run that publishes there; the run is complete."""
    recorder, runs = shop(), NamedRuns(Journal(file.parent / "journal.db"))
    with recorder.catalogs() as opened:
        plan = make_plan([desired()], catalogs=opened)
        publication = Publication(PublishedFile(file), plan, opened, runs, sets=[desired()])
        publication.begin()
        assert apply_plan(plan, catalogs=opened, on_event=publication.take).exit_code == 0
        publication.flush()
    return publication


def test_a_file_that_cannot_be_written_stops_nothing_and_is_reported(tmp_path: Path) -> None:
    file = tmp_path / "absent" / "file.json"
    assert published_to(file).problem == f"cannot write {file}: No such file or directory"


@pytest.mark.parametrize("content", ["not ours", '{"kind": "Plan", "formatVersion": 2}', "[]"])
def test_a_file_of_another_kind_is_left_alone(tmp_path: Path, content: str) -> None:
    file = tmp_path / "resolution.json"
    file.write_text(content)
    assert "not a published resolution" in published_to(file).problem
    assert file.read_text() == content

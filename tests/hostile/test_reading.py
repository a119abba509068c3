"""Whatever is in a file: our own errors come out of reading it and no others, soon, and shown they harm no terminal."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from reconciler.cli.output import Output
from reconciler.core.errors import AliasctlError, InvalidInput
from reconciler.core.gates import ContentError
from reconciler.core.model import Target
from reconciler.core.plan import Plan
from reconciler.core.text import printable
from reconciler.documents.plan_file import load_plan, plan_document
from reconciler.documents.report_file import load_report
from reconciler.gates.query_vectors import read_queries
from reconciler.journal import Journal, PastRun, Selection
from reconciler.manifest import Overrides, check, read, resolve
from reconciler.manifest.editing import edited
from reconciler.manifest.export import live_from_export
from reconciler.manifest.objects import read_alias_set, read_connection
from reconciler.reconcile import make_plan
from reconciler.render.documents import history_document
from reconciler.render.formats import FORMATS
from reconciler.render.history import alias_lines, history_lines, run_lines
from reconciler.render.results import plan_result
from reconciler.rollback import changes_in, locations_of, newest_changes, plan_rollback
from tests import journals
from tests.builders import alias_set, catalogs
from tests.hostile import documents
from tests.hostile.mutations import bounded, mangled, mutated, texts
from tests.reliability.tally import Tally

OpenSuite = Callable[[str, str], Tally]
LONGEST_MESSAGE = 5_000
"""Characters; a message is for a person."""
MANIFESTS = list(yaml.safe_load_all(documents.MANIFEST))
tried = settings(max_examples=300, suppress_health_check=list(HealthCheck))


@contextmanager
def only_our_errors(capsys: pytest.CaptureFixture[str]) -> Iterator[None]:
    """Fails for any error but ours, for what does not end, and for an error that cannot be shown at a terminal."""
    with bounded():
        try:
            yield
        except AliasctlError as error:
            Output().error(error)
            for line in capsys.readouterr().err.splitlines():
                assert printable(line) == line
                assert len(line) < LONGEST_MESSAGE


def manifest_texts() -> st.SearchStrategy[bytes]:
    text = documents.MANIFEST.encode()
    dumped = mutated(MANIFESTS).filter(lambda changed: isinstance(changed, list)).map(_yaml)
    return mangled(text) | dumped | dumped.flatmap(mangled)


def _yaml(changed: list[Any]) -> bytes:
    return yaml.safe_dump_all(changed, allow_unicode=True).encode("utf-8", "surrogatepass")


@pytest.mark.parametrize("name", ["m.yaml", "m.json"])
def test_manifests(name: str, tally: OpenSuite, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Read, hold against each other, and settle, as every command does; then edit, as `set` does."""
    suite = tally("Hostile manifests", "no server")
    file = tmp_path / name
    (tmp_path / "queries.jsonl").write_bytes(documents.QUERIES)
    content = manifest_texts() if name == "m.yaml" else texts(MANIFESTS[2])

    @tried
    @given(content)
    @example(documents.MANIFEST.encode())
    def holds(data: bytes) -> None:
        file.write_bytes(data)
        with suite.case(faults=1), only_our_errors(capsys):
            manifests = read([file])
            check(manifests)
            with suppress(InvalidInput):
                edited(data.decode("utf-8-sig"), str(file), {("shop/search", "search_products"): "v9"})
            resolve(manifests, Overrides(), Overrides())

    holds()


def test_manifests_on_standard_input(capsys: pytest.CaptureFixture[str]) -> None:
    @settings(tried, max_examples=100)
    @given(st.binary(max_size=100) | st.text(max_size=100).map(lambda text: text.encode("utf-8", "surrogatepass")))
    def holds(data: bytes) -> None:
        with only_our_errors(capsys):
            read(["-"], stdin=io.BytesIO(data))

    holds()


def test_custom_resources(tally: OpenSuite, capsys: pytest.CaptureFixture[str]) -> None:
    """What an API server without our schema would let through."""
    suite = tally("Hostile custom resources", "no server")
    of_the_operator = json.loads(json.dumps(MANIFESTS[2]))
    del of_the_operator["spec"]["gates"]["canary"]["queriesFile"]

    @tried
    @given(st.sampled_from([of_the_operator, MANIFESTS[1]]).flatmap(mutated))
    def holds(body: Any) -> None:
        with suite.case(faults=1), only_our_errors(capsys):
            if isinstance(body, dict):
                (read_connection if body.get("kind") == "MilvusConnection" else read_alias_set)(body)

    holds()


@pytest.mark.parametrize("where", ["gates", "limits", "verify"])
def test_a_field_of_any_length_is_told_in_a_short_sentence(where: str, capsys: pytest.CaptureFixture[str]) -> None:
    body = json.loads(json.dumps(MANIFESTS[2]))
    body["spec"][where]["x" * 10_000] = {}
    with only_our_errors(capsys):
        read_alias_set(body)
        pytest.fail("it was taken")


def test_exports(tally: OpenSuite, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    suite = tally("Hostile exports", "no server")
    file = tmp_path / "live.yaml"
    dumped = mutated(list(yaml.safe_load_all(documents.EXPORT))).filter(lambda item: isinstance(item, list)).map(_yaml)

    @tried
    @given(mangled(documents.EXPORT.encode()) | dumped)
    def holds(data: bytes) -> None:
        file.write_bytes(data)
        with suite.case(faults=1), only_our_errors(capsys):
            exported = resolve(read([file]), Overrides(), Overrides())
            live_from_export(exported, [Target("localhost:19530", "default")])

    holds()


def test_queries(tally: OpenSuite, tmp_path: Path) -> None:
    suite = tally("Hostile query files", "no server")
    file = tmp_path / "q.jsonl"

    @tried
    @given(mangled(documents.QUERIES) | st.binary(max_size=100))
    def holds(data: bytes) -> None:
        file.write_bytes(data)
        with suite.case(faults=1), bounded(), suppress(ContentError):
            read_queries(file)

    holds()


@pytest.mark.parametrize("name", ["a\0b", "\ud800", "x" * 300, "/dev/zero", "/dev/stdin", "/"])
def test_a_file_of_queries_that_no_file_can_be(name: str) -> None:
    with bounded(), pytest.raises((ContentError, OSError)):
        read_queries(Path(name))


def shown(plan: Plan) -> None:
    """In every format that plans have."""
    result = plan_result(plan, saved=True)
    for line in result.lines():
        assert printable(line.plain) == line.plain
    json.loads(json.dumps(plan_document(plan), allow_nan=False))
    for output_format in FORMATS.values():
        if output_format.renders(views=True, records=False, tables=False, problems=False):
            output_format.render(result)


def test_plan_files(tally: OpenSuite, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    suite = tally("Hostile plan files", "no server")
    file = tmp_path / "plan.json"

    @tried
    @given(texts(documents.plan()))
    def holds(data: bytes) -> None:
        file.write_bytes(data)
        with suite.case(faults=1), only_our_errors(capsys):
            shown(load_plan(file))

    holds()


def test_reports(tally: OpenSuite, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Read, and undone as `rollback REPORT` does."""
    suite = tally("Hostile reports", "in-memory Milvus")
    file = tmp_path / "report.json"

    @tried
    @given(texts(documents.applied(tmp_path / "journal.db")))
    def holds(data: bytes) -> None:
        file.write_bytes(data)
        with suite.case(faults=1), only_our_errors(capsys), catalogs(documents.milvus()) as opened:
            shown(plan_rollback(changes_in(load_report(file), "report.json"), opened))

    holds()


def told(path: Path) -> None:
    """All that is made of a journal: `history` in every form, `status --unreferenced`, `rollback`, each apply."""
    journal = Journal(path)
    journal.decisions()
    journal.departures()
    for text in journal.texts():
        json.loads(text)
    for alias in (None, "b"):
        runs: list[PastRun] = list(journal.newest(Selection(alias=alias)))
        for lines in (history_lines(runs), alias_lines(runs, "b"), *(run_lines(run, alias) for run in runs)):
            assert all(printable(line.plain) == line.plain for line in lines)
        json.dumps(history_document(journal, runs, alias), allow_nan=False)
    locations_of(journal.newest_by_database("b"), "b", lambda _: True)
    for run in journal.runs():
        with suppress(InvalidInput):  # a forged ID may be the beginning of another
            journal.find(run.id)
    if made := newest_changes(journal.newest(Selection(changed=True))):
        with catalogs(documents.milvus()) as opened:
            shown(plan_rollback(made, opened))


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    path = tmp_path / "journal.db"
    documents.applied(path)
    return path


def begin(path: Path) -> None:
    """What the next apply does: its run is recorded, or refused."""
    with catalogs(documents.milvus()) as opened:
        plan = make_plan([alias_set({"b": "v2"})], catalogs=opened)
    Journal(path).begin(plan, documents.ORIGINS)


def test_text_journals(tally: OpenSuite, journal: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Imported: bytes changed anywhere, lines forged, put into another order, repeated, or torn."""
    suite = tally("Hostile journals", "in-memory Milvus")
    written = journals.documents(journal)

    def joined(lines: list[Any]) -> bytes:
        return b"".join(json.dumps(line, separators=(",", ":")).encode() + b"\n" for line in lines)

    forged = mutated(written, most=5).filter(lambda item: isinstance(item, list)).map(joined)

    @settings(tried, max_examples=200)
    @given(forged | mangled(joined(written)) | forged.flatmap(mangled))
    def holds(data: bytes) -> None:
        journal.write_bytes(data)
        with suite.case(faults=1), only_our_errors(capsys):
            told(journal)

    holds()


@pytest.mark.filterwarnings("ignore:Generating overly large repr")
def test_journals(tally: OpenSuite, journal: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Databases with bytes changed anywhere, or cut off."""
    suite = tally("Hostile journals", "in-memory Milvus")
    plain = journal.read_bytes()

    @settings(tried, max_examples=300)
    @given(mangled(plain))
    def holds(data: bytes) -> None:
        journal.write_bytes(data)
        for left in journal.parent.glob(f"{journal.name}-*"):
            left.unlink(missing_ok=True)  # SQLite removes it where a connection is closed late
        for use in (told, begin):
            with suite.case(faults=1), only_our_errors(capsys):
                use(journal)

    holds()


HEAD = {"kind": "Journal", "formatVersion": 2, "run": "20261123-230102-4f2a9c", "time": "2026-11-23T23:01:02.000Z"}


@pytest.mark.parametrize(
    ("event", "change"),
    [
        ("runStarted", {"pid": 10**30}),
        ("runStarted", {"pid": -1}),
        ("runStarted", {"time": "0001-01-01T00:00:00"}),
        ("runStarted", {"source": [1]}),
        ("runStarted", {"run": "\x1b[2J"}),
        ("runStarted", {"formatVersion": int("9" * 4000)}),
        ("runEnded", {"time": "soon"}),
        ("runEnded", {"time": "2026-11-23T23:01:02"}),
        ("runEnded", {"exitCode": float("inf")}),
        ("runEnded", {"summary": {"done": 10**400}}),
        ("result", {"message": 5}),
        ("result", {"alias": "\ud800"}),
        ("result", {"skippedGates": [1]}),
        ("result", {"started": "soon", "ended": "later"}),
        ("result", {"gates": [{"gate": 1, "result": "pass", "detail": 2, "figures": {}}]}),
    ],
)
def test_a_forged_entry_spoils_no_more_than_itself(
    journal: Path, event: str, change: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    """Each of these once ended `history`, and with it `rollback` and every `apply`, in an internal error."""
    entries = journals.documents(journal)
    forged = next(entry for entry in entries if entry["event"] == event)
    others = [{**entry, **HEAD, **change} if entry is forged else {**entry, **HEAD} for entry in entries]
    journals.write(journal, [*entries, *others])
    with only_our_errors(capsys):
        told(journal)
    before, *_ = Journal(journal).runs()
    assert before.id == entries[0]["run"]
    assert len(before.steps) == 4


def test_a_version_of_thousands_of_digits_is_one_bad_line(
    journal: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    text = b"".join(json.dumps(entry).encode() + b"\n" for entry in journals.documents(journal))
    bad = b'{"kind":"Journal","formatVersion":' + b"9" * 5000 + b',"event":"runStarted","run":"r",}\n'
    journal.write_bytes(text + bad)
    with only_our_errors(capsys):
        told(journal)
    assert "left out 1 damaged line" in caplog.text

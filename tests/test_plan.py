"""Saved plans: what is written down, what is refused on the way back, and when a plan is stale."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from msgspec.structs import replace

from reconciler.catalog import Catalogs
from reconciler.catalog.memory import Flavour, MemoryCatalog, MemoryServer
from reconciler.core.errors import InvalidInput, StalePlan
from reconciler.core.gates import Gates, OnUnknown
from reconciler.core.model import Alias, AliasSet, Connection, Credential, OnFailure, Origin, Source, Tls, Verify
from reconciler.core.options import Options
from reconciler.core.plan import Plan
from reconciler.documents.plan_file import PLAN, checksum, load_plan, plan_document
from reconciler.documents.report_file import REPORT, report_document
from reconciler.execute.saved_plan import ensure_fresh, ensure_reviewed
from reconciler.gates.loaded import LoadedGate
from reconciler.reconcile import apply_plan, make_plan
from tests.builders import LOCAL, alias_set, catalogs, live, server

EVERYTHING = Connection(
    name="prod",
    uri="https://milvus.example.com:19530",
    address="milvus.example.com:19530",
    token=Credential(env="MILVUS_TOKEN"),
    tls=Tls(ca=Credential(file="/etc/ca.pem"), server_name="milvus"),
    timeout=2.5,
    concurrency=3,
)


def rich_plan() -> Plan:
    """A plan with one of everything that a plan file can hold."""
    made = server("c1", "c2", aliases={"a": "c1", "gone": "c1", "s_x": "c1", "p": "c1"})
    made.release("c1")
    desired = alias_set(
        {"new": "c2", "gone": None, "missing": "nope", "p": "c2"},
        Alias("a", "c2", wave=3, gates=Gates(LoadedGate(replicas=1), on_unknown=OnUnknown.PASS)),
        connection=EVERYTHING,
        include=("s_*",),
        protect=("p",),
    )
    suspended = alias_set({"z": "c1"}, name="asleep", connection=EVERYTHING, suspend=True)
    placed = replace(desired, source=Source("shop.yaml", 4, 1))
    return make_plan([placed, suspended], catalogs=catalogs(made))


def saved(plan: Plan, folder: Path) -> Path:
    path = folder / "plan.json"
    path.write_text(json.dumps(plan_document(plan)))
    return path


def edited(plan: Plan, folder: Path, edit: Callable[[Any], object]) -> Path:
    document = plan_document(plan)
    edit(document)
    document["checksum"] = checksum(document)  # a forger would; the other checks must hold by themselves
    path = folder / "plan.json"
    path.write_text(json.dumps(document))
    return path


def test_a_plan_survives_its_file(tmp_path: Path) -> None:
    plan = rich_plan()
    document = plan_document(plan)
    Draft202012Validator(PLAN.schema(), format_checker=Draft202012Validator.FORMAT_CHECKER).validate(document)
    loaded = load_plan(saved(plan, tmp_path))
    assert {target.connection.origin for target in loaded.targets} == {Origin.PLAN_FILE}
    as_planned = [
        replace(target, connection=replace(target.connection, origin=Origin.MANIFEST)) for target in loaded.targets
    ]
    assert replace(loaded, targets=tuple(as_planned)) == plan


def test_a_report_is_valid_and_tells_of_each_step() -> None:
    made = server("c1", "c2", aliases={"a": "c1"})
    with catalogs(made) as opened:
        report = apply_plan(make_plan([alias_set({"a": "c2", "b": "nope"})], catalogs=opened), catalogs=opened)
    document = report_document(report)
    Draft202012Validator(REPORT.schema(), format_checker=Draft202012Validator.FORMAT_CHECKER).validate(document)
    assert [(step["alias"], step["outcome"]) for step in document["targets"][0]["steps"]] == [
        ("a", "done"),
        ("b", "blocked"),
    ]
    assert document["exitCode"] == 5


def first_step(document: Any) -> Any:
    return document["targets"][0]["steps"][0]


@pytest.mark.parametrize(
    "edit",
    [
        lambda document: first_step(document).update(to="c9"),
        lambda document: first_step(document).update(alias="other"),
        lambda document: first_step(document).update(wave=9),
        lambda document: document["targets"][0]["steps"].pop(),
        lambda document: document["targets"][0]["steps"].append(dict(first_step(document), set="unheard-of")),
        lambda document: document["targets"][0].update(address="elsewhere:19530"),
        lambda document: document["targets"][0].update(database="other"),
        lambda document: document["targets"][0]["connection"].update(uri="http://elsewhere:19530"),
        lambda document: document["targets"][0]["connection"].update(uri="nonsense"),
        lambda document: document.update(digest="sha256:" + "0" * 64),
    ],
)
def test_an_edited_plan_file_is_refused(edit: Callable[[Any], object], tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="the plan file was edited"):
        load_plan(edited(rich_plan(), tmp_path, edit))


@pytest.mark.parametrize("field", ["blocked", "gates"])
def test_what_a_reviewer_saw_cannot_be_edited_away(field: str, tmp_path: Path) -> None:
    document = plan_document(rich_plan())
    for step in document["targets"][0]["steps"]:
        step.pop("blocked", None) if field == "blocked" else step["gates"].clear()
    path = tmp_path / "plan.json"
    path.write_text(json.dumps(document))
    with pytest.raises(InvalidInput, match="the plan file was edited"):
        load_plan(path)


def test_an_action_that_its_step_does_not_have_is_refused(tmp_path: Path) -> None:
    """A step's words decide what is called; a file that shows another action would deceive its reader."""
    made = server("c1", aliases={"a": "c1"})
    plan = make_plan([alias_set({"a": None})], catalogs=catalogs(made))
    with pytest.raises(InvalidInput, match="the plan file was edited"):
        load_plan(edited(plan, tmp_path, lambda document: first_step(document).update(action="alter")))


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda document: document.update(kind="Report"), 'not a plan file: kind is "Report"'),
        (lambda document: document.update(formatVersion=1), r"plan format 1 is not the one .* reads \(2\); plan again"),
        (lambda document: document.update(formatVersion=3), r"plan format 3 is not the one .* reads \(2\); plan again"),
        (lambda document: document.update(formatVersion=[2]), r"plan format \[2\] is not the one"),
        (lambda document: document.pop("targets"), "not a valid plan file: .*targets"),
        (lambda document: first_step(document).update(wave="x"), "not a valid plan file: .*wave"),
        (lambda document: first_step(document).update(gateSpecification={"loaded": 5}), "not a valid plan file"),
        (lambda document: first_step(document).update(surprise=1), "not a valid plan file: .*surprise"),
    ],
)
def test_what_is_no_plan_is_refused(edit: Callable[[Any], object], message: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=message):
        load_plan(edited(rich_plan(), tmp_path, edit))


@pytest.mark.parametrize("content", [b"", b"\x00\xff", b"[]", b"{", b"[" * 100_000, b"kind: Plan"])
def test_what_is_no_json_object_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    path.write_bytes(content)
    with pytest.raises(InvalidInput, match="not a plan file"):
        load_plan(path)


def test_a_missing_or_huge_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="cannot be read"):
        load_plan(tmp_path / "missing.json")
    huge = tmp_path / "huge.json"
    with huge.open("wb") as file:
        file.truncate(100 * 1024 * 1024)
    with pytest.raises(InvalidInput, match="larger than 64 MiB"):
        load_plan(huge)


def fresh(plan: Plan, made: MemoryServer) -> None:
    with catalogs(made) as opened:
        ensure_fresh(plan, catalogs=opened)


def move_and_create() -> tuple[MemoryServer, Plan]:
    made = server("c1", "c2", "c3", aliases={"a": "c1", "gone": "c1"}, flavour=Flavour.MILVUS_2_3)
    return made, make_plan([alias_set({"a": "c2", "new": "c2", "gone": None})], catalogs=catalogs(made))


def test_other_changes_and_a_half_applied_plan_are_not_stale() -> None:
    made, plan = move_and_create()
    catalog = made.connect(LOCAL, "default")
    catalog.create_alias("unrelated", "c1")
    catalog.alter_alias("a", "c2")
    catalog.drop_alias("gone")
    fresh(plan, made)
    with catalogs(made) as opened:
        assert apply_plan(plan, catalogs=opened).exit_code == 0
    assert live(made) == {"a": "c2", "new": "c2", "unrelated": "c1"}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda c: c.alter_alias("a", "c3"), 'alias "a" is at "c3" now; the plan saw it at "c1"'),
        (lambda c: c.drop_alias("a"), 'alias "a" is absent now; the plan saw it at "c1"'),
        (lambda c: c.create_alias("new", "c3"), 'alias "new" is at "c3" now; the plan saw it absent'),
        (lambda c: c.alter_alias("gone", "c3"), 'alias "gone" is at "c3" now; the plan saw it at "c1"'),
    ],
)
def test_an_alias_that_is_neither_here_nor_there_is_stale(change: Callable[[Any], object], reason: str) -> None:
    made, plan = move_and_create()
    change(made.connect(LOCAL, "default"))
    with pytest.raises(StalePlan, match=reason):
        fresh(plan, made)


def test_aliases_that_others_moved_together_are_named_in_one_sentence() -> None:
    made = server("c1", "c2", "c3", aliases={"a": "c1", "b": "c1"})
    plan = make_plan([alias_set({"a": "c2", "b": "c2"})], catalogs=catalogs(made))
    for alias in ("a", "b"):
        made.connect(LOCAL, "default").alter_alias(alias, "c3")
    with pytest.raises(StalePlan) as refused:
        fresh(plan, made)
    _, *reasons = (problem.message for problem in refused.value.problems)
    assert reasons == ['aliases "a", "b" are at "c3" now; the plan saw them at "c1"']


def test_another_collection_behind_the_same_name_is_stale() -> None:
    made, plan = move_and_create()
    made.drop_collection("c2")
    made.create_collection("c2")
    with pytest.raises(StalePlan, match=r'collection "c2" is another one now \(id .*\): desired by a, new$'):
        fresh(plan, made)
    again = make_plan([alias_set({"a": "c2", "new": "c2", "gone": None})], catalogs=catalogs(made))
    assert again.digest == plan.digest, "ids are not in the digest"
    with pytest.raises(StalePlan, match=r'"c2" in localhost:19530 / default is another .*: desired by a, new$'):
        ensure_reviewed(again, plan)


def test_a_reviewed_plan_must_be_the_same_work() -> None:
    made, plan = move_and_create()
    ensure_reviewed(make_plan([alias_set({"a": "c2", "new": "c2", "gone": None})], catalogs=catalogs(made)), plan)
    with pytest.raises(StalePlan, match=r'alias "a": reviewed: c1 → c2; now: c1 → c3$'):
        ensure_reviewed(make_plan([alias_set({"a": "c3", "new": "c2", "gone": None})], catalogs=catalogs(made)), plan)


def stale_because(before: Sequence[AliasSet], after: Sequence[AliasSet], options: Options = Options()) -> list[str]:
    """Return the differences that refuse the plan of `after`, if that of `before` was reviewed."""
    made = server("c1", "c2", "c3", aliases={"a": "c1", "b": "c1", "gone": "c1"}, flavour=Flavour.MILVUS_2_3)
    made.create_database("other")
    made.create_collection("c2", "other")
    reviewed = make_plan(before, catalogs=catalogs(made))
    with pytest.raises(StalePlan) as refused:
        ensure_reviewed(make_plan(after, options, catalogs=catalogs(made)), reviewed)
    headline, *reasons = (problem.message for problem in refused.value.problems)
    assert headline.startswith("the reviewed plan is stale")
    assert "sha256" not in str(refused.value)
    return reasons


def test_a_stale_review_names_each_alias_and_what_differs() -> None:
    before = [alias_set({"a": "c2", "new": "c2", "gone": None})]
    assert stale_because(before, [alias_set({"a": "c1", "b": "c2", "new": "c3"})]) == [
        'alias "a": reviewed: c1 → c2; now: no change',
        'alias "b": not in the reviewed plan; now: c1 → c2',
        'alias "gone": reviewed: drop, at c1; now: no change',
        'alias "new": reviewed: create at c2; now: create at c3',
    ]


def test_a_stale_review_names_the_aliases_of_one_difference_together() -> None:
    assert stale_because([alias_set({"a": "c2", "b": "c2"})], [alias_set({"a": "c3", "b": "c3"})]) == [
        'aliases "a", "b": reviewed: c1 → c2; now: c1 → c3'
    ]


def test_a_stale_review_names_what_else_is_done_otherwise() -> None:
    before = [alias_set({}, Alias("a", "c2", gates=Gates(LoadedGate())), Alias("b", "c2"))]
    after = [alias_set({}, Alias("a", "c2", gates=Gates(LoadedGate(replicas=2))), Alias("b", "c2", wave=1))]
    assert stale_because(before, after) == [
        'alias "a" (c1 → c2): its gates changed',
        'alias "b" (c1 → c2): wave 0 in the review, 1 now',
    ]
    assert stale_because(before, before, Options(skip_gates=[("loaded", "a")])) == [
        'alias "a" (c1 → c2): skipped gates: none in the review, loaded now'
    ]
    assert stale_because(
        [alias_set({"a": "c2"})], [alias_set({"a": "c2"}, verify=Verify(soak=60.0), on_failure=OnFailure.REVERT)]
    ) == ['set "shop": verify changed', 'set "shop": onFailure: Stop in the review, Revert now']
    assert stale_because([alias_set({"a": "c2"})], [alias_set({"a": "c2"}, name="search")]) == [
        'alias "a" (c1 → c2): set "shop" in the review, "search" now'
    ]
    assert stale_because([alias_set({"a": "c2"})], [alias_set({"a": "c2"}, database="other")]) == [
        "localhost:19530 / default: in the reviewed plan, and not planned now",
        "localhost:19530 / other: planned now, and not in the reviewed plan",
    ]


def test_what_the_review_saw_as_blocked_or_refused_is_not_done_after_it() -> None:
    made = server("c1", "c2", aliases={"a": "c1", "p": "c1"})
    made.release("c2")
    sets = [alias_set({"a": "c2"}, Alias("p", "c2", protect=True))]
    reviewed = make_plan(sets, catalogs=catalogs(made))
    made.load("c2")
    allowed = make_plan(sets, Options(allow_protected=["p"]), catalogs=catalogs(made))
    assert allowed.digest == reviewed.digest
    with pytest.raises(StalePlan, match="blocked when the plan was reviewed, and not now: a, p; plan and review again"):
        ensure_reviewed(allowed, reviewed)

    drop = [alias_set({"a": None, "p": "c1"})]
    refused = make_plan(drop, Options(max_drops=0), catalogs=catalogs(made))
    with pytest.raises(StalePlan, match='the reviewed plan was refused: set "shop" would drop 1 alias'):
        ensure_reviewed(make_plan(drop, catalogs=catalogs(made)), refused)


def test_a_fresh_plan_says_whether_anything_is_left_to_do() -> None:
    made, plan = move_and_create()
    with catalogs(made) as opened:
        assert ensure_fresh(plan, catalogs=opened)
        apply_plan(plan, catalogs=opened)
        assert not ensure_fresh(plan, catalogs=opened)


def test_a_replaced_collection_is_found_in_each_database() -> None:
    made, _ = move_and_create()
    made.create_database("other")
    for name in ("c1", "c2"):
        made.create_collection(name, "other")
    sets = [alias_set({"x": "c2"}, name="one"), alias_set({"x": "c2"}, name="two", database="other")]
    reviewed = make_plan(sets, catalogs=catalogs(made))
    ensure_reviewed(make_plan(sets, catalogs=catalogs(made)), reviewed)
    made.drop_collection("c2")
    made.create_collection("c2")
    with pytest.raises(StalePlan, match='collection "c2" in localhost:19530 / default is another one now'):
        ensure_reviewed(make_plan(sets, catalogs=catalogs(made)), reviewed)


def test_a_target_that_became_an_alias_is_stale() -> None:
    """Milvus Lite would resolve it, and the alias would end at a third collection."""
    made = server("c1", "c2", "c9", aliases={"a": "c1"}, flavour=Flavour.LITE)
    plan = make_plan([alias_set({"a": "c2"})], catalogs=catalogs(made))
    made.drop_collection("c2")
    made.connect(LOCAL, "default").create_alias("c2", "c9")
    with pytest.raises(StalePlan, match='"c2" is an alias now; the plan saw a collection'):
        fresh(plan, made)


def test_a_saved_plan_asks_nothing_of_servers_that_only_suspended_sets_name() -> None:
    made, _ = move_and_create()
    gone = replace(LOCAL, name="gone", uri="http://gone:19530", address="gone:19530")
    plan = make_plan(
        [alias_set({"a": "c2"}), alias_set({"z": "c1"}, name="asleep", connection=gone, suspend=True)],
        catalogs=catalogs(made),
    )

    def connect(connection: Connection, database: str, *, create: bool = False) -> MemoryCatalog:
        assert connection.name != "gone"
        return made.connect(connection, database)

    with Catalogs(connect) as opened:
        assert ensure_fresh(plan, catalogs=opened)
        assert apply_plan(plan, catalogs=opened).exit_code == 0


def test_sets_of_one_database_with_different_credentials_are_refused_unless_one_is_suspended() -> None:
    made, _ = move_and_create()
    reader = replace(LOCAL, name="reader", token=Credential(env="READ_ONLY"))
    sets = [alias_set({"a": "c2"}), alias_set({"b": "c2"}, name="other", connection=reader)]
    with pytest.raises(InvalidInput, match='default, "reader" and "local"; use one for both'):
        make_plan(sets, catalogs=catalogs(made))
    active = make_plan([sets[0], replace(sets[1], suspend=True)], catalogs=catalogs(made))
    assert active.targets[0].connection == LOCAL


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (Options(only=["typo"]), "--only typo: no set lists or covers it"),
        (Options(only=["z"]), '--only z: its set "asleep" is suspended; add --include-suspended'),
        (Options(allow_protected=["typo"]), "--allow-protected typo: no set lists or covers it"),
    ],
)
def test_a_name_in_an_option_must_be_known(options: Options, why: str) -> None:
    made, _ = move_and_create()
    sets = [alias_set({"a": "c2"}), alias_set({"z": "c1"}, name="asleep", suspend=True)]
    with pytest.raises(InvalidInput, match=why):
        make_plan(sets, options, catalogs=catalogs(made))


def test_a_secret_written_into_a_plan_file_is_not_repeated(tmp_path: Path) -> None:
    def misplace(document: Any) -> None:
        document["targets"][0]["connection"]["token"] = "root:s3cr3t"  # noqa: S105 - what must not be seen

    with pytest.raises(InvalidInput) as refused:
        load_plan(edited(rich_plan(), tmp_path, misplace))
    assert "connection.token: invalid value (not shown, may be a secret)" in str(refused.value)
    assert "s3cr3t" not in str(refused.value)


@pytest.mark.parametrize("seconds", [float("inf"), float("nan"), 1e9, 0])
def test_a_plan_file_cannot_wait_for_ever(seconds: float, tmp_path: Path) -> None:
    def wait(document: Any) -> None:
        document["targets"][0]["connection"]["timeoutSeconds"] = seconds

    with pytest.raises(InvalidInput, match=r"not a (valid )?plan file"):
        load_plan(edited(rich_plan(), tmp_path, wait))


def test_where_a_set_is_written_does_not_count_in_a_comparison() -> None:
    here, there = (replace(alias_set({"a": "c1"}), source=Source(name)) for name in ("a.yaml", "b.yaml"))
    assert here == there
    assert not here.__ne__(there)
    assert not here.aliases[0].__ne__(there.aliases[0])

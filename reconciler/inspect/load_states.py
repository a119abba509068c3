"""Read whether the collections of aliases that are up to date are loaded, and which partitions are not.

It takes one call per distinct collection, and two more for each that is loaded.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from reconciler.catalog import Catalogs
from reconciler.catalog.port import Catalog
from reconciler.core.errors import CatalogError
from reconciler.core.gates import DEFAULT_GUARD
from reconciler.core.model import AliasSet, LoadState, Target
from reconciler.core.plan import Plan, TargetPlan


@dataclass(frozen=True, slots=True)
class Load:
    """The load state of a collection; `unloaded`: the partitions that are not loaded although the collection is."""

    state: LoadState
    unloaded: Sequence[str] = ()


LoadStates = Mapping[tuple[Target, str], Load | CatalogError]
"""The state of a collection, by database and name, or why it cannot be read."""


def read_load_states(sets: Sequence[AliasSet], plan: Plan, catalogs: Catalogs) -> LoadStates:
    """Return the load states of the collections of all listed aliases that do not change.

    Aliases whose gate `loaded` is off do not count: their collections need not be loaded. Nor does Milvus Lite, whose
    file does not remember what is loaded.

    Args:
        sets: the desired state.
        plan: `make_plan` of these sets.
        catalogs: open connections.

    Raises:
        CatalogError: a transient error.
    """
    desired = {alias_set.key: alias_set for alias_set in sets}
    found: dict[tuple[Target, str], Load | CatalogError] = {}
    for target in plan.targets:
        if names := sorted(set(_unchanged(desired, target))):
            catalog = catalogs.open(target.connection, target.target.database)
            if catalog.behaviour.is_lite:
                continue
            with ThreadPoolExecutor(catalog.concurrency, thread_name_prefix="read") as pool:
                states = pool.map(lambda name, catalog=catalog: _load(catalog, name), names)
                found |= zip([(target.target, name) for name in names], states, strict=True)
    return found


def _unchanged(desired: Mapping[str, AliasSet], target: TargetPlan) -> Iterator[str]:
    for set_plan in target.sets:
        changing = {step.alias for step in set_plan.steps}
        for alias in () if set_plan.suspended else desired[set_plan.set].aliases:
            if alias.collection and alias.name not in changing and alias.gates.has(DEFAULT_GUARD):
                yield alias.collection


def _load(catalog: Catalog, collection: str) -> Load | CatalogError:
    try:
        state = catalog.load_state(collection)
        partitions = catalog.partitions(collection) if state is LoadState.LOADED else {}
        return Load(state, [name for name, loaded in partitions.items() if not loaded])
    except CatalogError as error:
        if error.transient:
            raise
        return error

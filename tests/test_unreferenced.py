"""Collections that no alias points at: whoever serves is never among them, whatever happens meanwhile."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from reconciler.catalog.memory import Flavour, MemoryCatalog, MemoryServer
from reconciler.core.model import Collection, LoadState, Target
from reconciler.inspect.unreferenced import unreferenced
from tests.builders import LOCAL, server

TARGET = Target(LOCAL.address, "default")


def idle(catalog: MemoryCatalog) -> list[str]:
    return [item.collection for item in unreferenced(catalog, TARGET, "local", {})]


@pytest.fixture(params=Flavour)
def made(request: pytest.FixtureRequest) -> MemoryServer:
    """Production is at v2."""
    return server("v1", "v2", "v3", aliases={"production": "v2"}, flavour=request.param)


def moved_to(made: MemoryServer, collection: str) -> None:
    made.create_collection(collection)
    made.connect(LOCAL, "default").alter_alias("production", collection)


def test_what_is_loaded_and_has_no_alias_is_listed(made: MemoryServer) -> None:
    made.release("v3")
    assert idle(made.connect(LOCAL, "default")) == ["v1"]


class Busy(MemoryCatalog):
    """Somebody does something once, in the middle of a call of ours."""

    meanwhile: tuple[str, Callable[[], None]] | None = None

    def _happens(self, method: str) -> None:
        if self.meanwhile and self.meanwhile[0] == method:
            (_, act), self.meanwhile = self.meanwhile, None
            act()

    def alias_names(self) -> frozenset[str]:
        names = super().alias_names()
        self._happens("alias_names")
        return names

    def collections(self) -> dict[str, Collection]:
        found = super().collections()
        self._happens("collections")
        return found

    def resolve(self, alias: str) -> Collection | None:
        found = super().resolve(alias)
        self._happens("resolve")
        return found

    def load_state(self, collection: str) -> LoadState:
        self._happens("load_state")
        return super().load_state(collection)


@pytest.mark.parametrize("moment", ["alias_names", "collections", "resolve", "load_state"])
@pytest.mark.parametrize("collection", ["v1", "v4"], ids=["an idle one", "a new one"])
def test_what_production_moves_to_meanwhile_is_not(made: MemoryServer, moment: str, collection: str) -> None:
    catalog = Busy(made, "default")
    catalog.meanwhile = (moment, lambda: moved_to(made, collection))
    assert collection not in idle(catalog)
    assert catalog.meanwhile is None


def test_what_is_dropped_meanwhile_is_not_listed() -> None:
    made = server("v1", "v2", aliases={"production": "v2"})
    catalog = Busy(made, "default")
    catalog.meanwhile = ("resolve", lambda: made.drop_collection("v1"))
    assert idle(catalog) == []

"""Random operations on Milvus Lite and on the fake at once: whatever one answers, so does the other."""

from __future__ import annotations

import shutil
import tempfile
from contextlib import ExitStack
from pathlib import Path
from uuid import uuid4

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from reconciler.catalog import Catalogs
from reconciler.catalog.memory import Flavour
from reconciler.core.errors import ExitCode
from reconciler.core.model import AliasSet
from reconciler.core.report import Outcome
from reconciler.reconcile import apply_plan, make_plan
from tests.builders import alias_set
from tests.servers import Backend, lite_backend, memory_backend

ALIASES = st.sampled_from(["a1", "a2", "s_1", "s_2"])
COLLECTIONS = st.sampled_from(["c1", "c2", "c3"])

_stack = ExitStack()
_lite: list[Backend] = []


def setup_module() -> None:
    folder = Path(tempfile.mkdtemp())
    _stack.callback(shutil.rmtree, folder, ignore_errors=True)
    _lite.append(_stack.enter_context(lite_backend(folder)))


def teardown_module() -> None:
    _lite.clear()
    _stack.close()


class SideBySide(RuleBasedStateMachine):
    """The fake is the model; Milvus Lite is the real thing. People and plans act on both in the same way."""

    @initialize()
    def new_database(self) -> None:
        self.database = f"d{uuid4().hex[:12]}"
        self.backends = (_lite[0], memory_backend(Flavour.LITE))
        for backend in self.backends:
            backend.admin.create_database(self.database)
            for name in ("c1", "c2"):
                backend.admin.create_collection(name, self.database)
        self.catalogs = [backend.connect(backend.connection, self.database) for backend in self.backends]

    def both(self, act: str, *arguments: str) -> None:
        """A write through the port, with the same end on both: done, or the same error."""
        ends = []
        for catalog in self.catalogs:
            try:
                getattr(catalog, act)(*arguments)
                ends.append("done")
            except Exception as error:  # noqa: BLE001 - whatever it is, it must be the same
                ends.append(type(error).__name__)
        assert ends[0] == ends[1], f"{act}{arguments}: Milvus Lite {ends[0]}, the fake {ends[1]}"

    @rule(alias=ALIASES, collection=COLLECTIONS)
    def create(self, alias: str, collection: str) -> None:
        self.both("create_alias", alias, collection)

    @rule(alias=ALIASES, collection=COLLECTIONS)
    def alter(self, alias: str, collection: str) -> None:
        self.both("alter_alias", alias, collection)

    @rule(alias=ALIASES)
    def drop(self, alias: str) -> None:
        self.both("drop_alias", alias)

    @rule(collection=COLLECTIONS)
    def create_collection(self, collection: str) -> None:
        if collection not in self.catalogs[1].collections():
            for backend in self.backends:
                backend.admin.create_collection(collection, self.database)

    @rule(collection=COLLECTIONS)
    def drop_collection(self, collection: str) -> None:
        for backend in self.backends:
            backend.admin.drop_collection(collection, self.database)

    @rule(collection=COLLECTIONS)
    def rename(self, collection: str) -> None:
        names = self.catalogs[1].collections()
        if collection in names and "renamed" not in names:
            for backend in self.backends:
                backend.admin.rename_collection(collection, "renamed", self.database)

    @rule(aliases=st.dictionaries(ALIASES, COLLECTIONS | st.none(), max_size=3), pruning=st.booleans())
    def apply(self, aliases: dict[str, str | None], pruning: bool) -> None:
        ends: list[tuple[ExitCode, list[tuple[str, Outcome]]]] = []
        for backend in self.backends:
            desired = self.spec_hash(backend, aliases, pruning)
            with Catalogs(backend.connect) as catalogs:
                plan = make_plan([desired], catalogs=catalogs)
                report = apply_plan(plan, catalogs=catalogs)
                again = make_plan([desired], catalogs=catalogs)
                assert again.runnable == () or plan.refusals, "what could be done is done"
            ends.append((report.exit_code, [(result.step.alias, result.outcome) for result in report.results]))
        assert ends[0] == ends[1]

    def spec_hash(self, backend: Backend, aliases: dict[str, str | None], pruning: bool) -> AliasSet:
        include = ("s_*",) if pruning else ()
        return alias_set(aliases, connection=backend.connection, database=self.database, include=include)

    @invariant()
    def same_catalog(self) -> None:
        if not hasattr(self, "catalogs"):
            return
        seen = []
        for catalog in self.catalogs:
            aliases = {name: catalog.resolve(name) for name in sorted(catalog.alias_names())}
            seen.append(({name: found and found.name for name, found in aliases.items()}, set(catalog.collections())))
        assert seen[0] == seen[1]

    def teardown(self) -> None:
        for catalog in getattr(self, "catalogs", ()):
            catalog.close()


SideBySide.TestCase.settings = settings(max_examples=25, stateful_step_count=15, deadline=None)
TestSideBySide = SideBySide.TestCase

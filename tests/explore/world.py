"""A Milvus in memory where calls fail, get lost, come late, others move aliases, and the process dies."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from threading import Event
from typing import NamedTuple, NoReturn, TypeVar

from reconciler.catalog import Catalogs
from reconciler.catalog.memory import Flavour, MemoryCatalog, MemoryServer
from reconciler.core.errors import (
    CallTimedOut,
    CatalogError,
    ConnectionFailed,
    JournalError,
    NotLoaded,
    PermissionDenied,
    RateLimited,
)
from reconciler.core.model import Alias, Collection, Connection, PrimaryKey, Row
from reconciler.core.plan import Plan
from reconciler.core.report import Report
from reconciler.journal.entries import Entry, step_of
from tests.builders import LOCAL
from tests.explore.ledger import MemoryLedger
from tests.explore.one_thread import Clock
from tests.explore.schedule import Choices, Option

COLLECTIONS = ("old", "new", "other", "older")
DATABASE = "default"
ONE_AT_A_TIME = Connection(LOCAL.name, LOCAL.uri, LOCAL.address, concurrency=1)
ANOTHER_RUN = "another run"
"""Stands beside the places of an alias that another run moved."""
ORDINARY = Option("as usual")

Answer = TypeVar("Answer")


class Died(BaseException):
    """The process was killed."""


class Faults(NamedTuple):
    """What may go wrong in a case.

    Args:
        places: where others move aliases; None to drop them.
        reads: whether reads fail.
        writes: what happens to writes: `answer lost`, `late`, `refused`, `rate limited`.
        dies: whether the process dies, at any moment that matters.
        disk: whether the journal cannot be written, at any entry.
        stop: whether a signal asks the run to stop, before any write.
        readers: whether reads of data through an alias fail, or find the collection not loaded.
        stuck: for how many alters readers may stay at the old collection.
        another_run: whether another run may begin and end between any two calls.
    """

    places: tuple[str | None, ...] = ("other",)
    reads: bool = True
    writes: tuple[str, ...] = ("answer lost", "late", "refused")
    dies: bool = False
    disk: bool = False
    stop: bool = False
    readers: bool = False
    stuck: tuple[int, ...] = ()
    another_run: bool = False


class Late(NamedTuple):
    """A call that was sent and may still take effect."""

    alias: str
    method: str
    collection: str | None
    run: int


@dataclass(frozen=True)
class State:
    """What one run leaves for the next: the server, the journal, and what the promises need to know of the past.

    Args:
        aliases: where each alias is.
        late: calls that may still take effect.
        entries: of the journal.
        runs: number of runs so far.
        by_others: aliases, each with a place where someone else put it.
        rejected: aliases, each with a collection that a run decided to move it back from.
        unverified: aliases that runs moved to their desired collection, and did not watch there for the soak.
        stuck: aliases whose readers stay at the old collection for so many more alters.
    """

    aliases: tuple[tuple[str, str], ...]
    late: tuple[Late, ...] = ()
    entries: tuple[Entry, ...] = ()
    runs: int = 0
    by_others: frozenset[tuple[str, str | None]] = frozenset()
    rejected: frozenset[tuple[str, str | None]] = frozenset()
    unverified: frozenset[str] = frozenset()
    stuck: tuple[tuple[str, int, int | None], ...] = ()

    def key(self, *, with_history: bool) -> Hashable:
        """Return what distinguishes this state from others, for later runs and for the promises.

        `with_history`: whether a later run may look at what earlier ones did, and not only at what follows from it.
        """
        late = tuple(item[:3] for item in self.late)
        known = MemoryLedger(list(self.entries)).summary(with_history=with_history)
        return (self.aliases, late, known, self.by_others, self.rejected, self.unverified, self.stuck)


@dataclass
class View:
    """What one run knows of an alias, and what it does not.

    Args:
        ends: the two ends of the run's step; None before the plan is made.
        last: where the last answer said that the alias is.
        third: where it was seen at neither end.
        sent: number of calls sent that change it.
        effects: number of those that took effect.
        unanswered: whether one of them was not answered.
        blind: whether anything happened to the alias since the last answer.
        moved: when a run moved the alias last, in seconds since the start of this one.
        stale: whether another collection than that of the alias answered the last read of data.
    """

    ends: tuple[str | None, str | None] | None = None
    last: str | None = None
    third: tuple[str | None, ...] = ()
    sent: int = 0
    effects: int = 0
    unanswered: bool = False
    blind: bool = False
    moved: float = 0.0
    stale: bool = False


@dataclass
class World:
    """One execution of one run: everything that it reads, writes and records goes through here.

    Args:
        start: the state in which the run finds the world.
        choices: what happens.
        faults: what may happen.
        judge: the promises; called as things happen.
        entries: what is desired, by alias.
        soak: how long moved aliases are to be watched, in seconds.
        another_run: plans and applies what the other run desires, with a journal.
    """

    start: State
    choices: Choices
    faults: Faults
    judge: Judge
    clock: Clock = field(default_factory=Clock)
    entries: Mapping[str, Alias] = field(default_factory=dict)
    soak: float | None = None
    another_run: Callable[[Catalogs, MemoryLedger], None] = lambda catalogs, ledger: None
    flavour: Flavour = Flavour.MILVUS_2_6
    stop: Event = field(default_factory=Event)
    broken: list[str] = field(default_factory=list)
    views: dict[str, View] = field(default_factory=dict)
    plan: Plan | None = None
    report: Report | None = None

    def __post_init__(self) -> None:
        self.server = MemoryServer(self.flavour)
        for key, name in enumerate(COLLECTIONS):
            self.server.create_collection(name, rows=[{"id": key, "vector": (float(key), 0.0, 0.0, 1.0)}])
        self.admin = MemoryCatalog(self.server, DATABASE)
        with self.server.opened(DATABASE) as self._db:
            self._names = {found.id: name for name, found in self._db.collections.items()}
        for alias, collection in self.start.aliases:
            self.admin.create_alias(alias, collection)
            self.views[alias] = View()
        for name, alters, served in self.start.stuck:
            self.server.stick_readers(name, alters=alters)
            self._db.stuck[name].collection = served
        self.unverified = set(self.start.unverified)
        self.late = list(self.start.late)
        self.by_others = set(self.start.by_others)
        self.rejected = set(self.start.rejected)
        self.number = self.start.runs + 1
        self.ledger = MemoryLedger(list(self.start.entries), f"run{self.number}", self._before_entries)
        self._answers: Hashable = 0
        self._others = 0
        self._dead: BaseException | None = None

    def catalogs(self) -> Catalogs:
        return Catalogs(lambda connection, database, create=False: Watched(self, database))

    def planned(self, plan: Plan) -> Plan:
        """Note the plan: from here on its steps have two ends."""
        self.plan = plan
        for step in (*plan.steps, *plan.earlier_moves):
            self.view(step.alias).ends = (step.current, step.desired)
        return plan

    def view(self, alias: str) -> View:
        return self.views.setdefault(alias, View())

    def at(self, alias: str) -> str | None:
        """Return where an alias is."""
        return self._names.get(self._db.aliases.get(alias, 0))

    def state(self) -> State:
        """Return the state that the run leaves."""
        return State(
            tuple(sorted((alias, place) for alias in self._aliases() if (place := self.at(alias)))),
            tuple(self.late),
            tuple(self.ledger.entries),
            self.number,
            frozenset(self.by_others),
            frozenset(self.rejected),
            frozenset(self.unverified),
            self._stuck(),
        )

    def _stuck(self) -> tuple[tuple[str, int, int | None], ...]:
        return tuple((alias, item.alters, item.collection) for alias, item in sorted(self._db.stuck.items()))

    def read(self, method: str, aliases: Iterable[str], answer: Callable[[], Answer]) -> Answer:
        """Answer a read of aliases, after whatever happens to them before."""
        self._insist_on_life()
        place = f"{method} {' '.join(aliases)}"
        while True:
            options = [ORDINARY, *(option for alias in aliases for option in self._events(alias))]
            options += [*self._runs(), *([Option("the read fails", 1)] if self.faults.reads else [])]
            option = self._choose(place, options)
            if option.name == "the read fails":
                self._answer(method, tuple(aliases), "failed")
                raise ConnectionFailed("cut")
            if option is ORDINARY:
                break
            self._happen(option)
        found = answer()
        self._answer(method, tuple(aliases), found)
        return found

    def saw(self, alias: str, place: str | None) -> None:
        """Note where an answer said that an alias is."""
        view = self.view(alias)
        view.last, view.blind = place, False
        if view.ends and place not in view.ends and place not in view.third:
            view.third = (*view.third, place)

    def read_data(self, method: str, name: str, answer: Callable[[], Answer]) -> Answer:
        """Answer a read of data; through an alias it may fail."""
        self._insist_on_life()
        if name not in self.views:
            return answer()
        view = self.views[name]
        options = [ORDINARY, *([Option("the read fails", 1), Option("not loaded", 1)] if self.faults.readers else [])]
        option = self._choose(f"{method} {name}", options)
        if option is not ORDINARY:
            self._answer(method, name, option.name)
            raise ConnectionFailed("cut") if option.name == "the read fails" else NotLoaded("it is not loaded")
        found = answer()
        self._answer(method, name, repr(found))
        served = self._db.serving(name, "")
        view.stale = served is not self._db.find(name)
        if self.soak and self.clock.now >= view.moved + self.soak - 1e-6:
            self.unverified.discard(name)
        return found

    def write(self, method: str, alias: str, collection: str | None) -> None:
        """Let a call that changes an alias act, or not."""
        self._insist_on_life()
        view = self.view(alias)
        self.judge.before_write(self, method, alias, collection)
        view.sent += 1
        place = f"{method} {alias}"
        while True:
            events = [*self._events(alias), *self._signals(), *self._readers(method, alias), *self._runs()]
            option = self._choose(place, [ORDINARY, *events])
            if option is ORDINARY:
                break
            self._happen(option)
        fate = self._choose(f"{place} answer", [ORDINARY, *self._fates()]).name
        error: CatalogError | None = None
        if fate in (ORDINARY.name, "answer lost", "dies, and it acted"):
            error = self.act(Late(alias, method, collection, self.number))
        elif fate in ("late", "dies, and it may act"):
            self.late.append(Late(alias, method, collection, self.number))
        if fate.startswith("dies"):
            self.die()
        if fate in ("answer lost", "late"):
            view.unanswered = view.blind = True
            error = CallTimedOut("no answer")
        elif fate == "refused":
            error = PermissionDenied("no")
        elif fate == "rate limited":
            error = RateLimited("busy")
        self._answer(method, (alias, collection), error and (error.code, str(error)))
        if error:
            raise error
        view.last, view.blind = collection, False

    def die(self) -> NoReturn:
        self._dead = Died()
        raise self._dead

    def _insist_on_life(self) -> None:
        """Raise again what ended the execution: a dead process neither calls nor records."""
        if self._dead:
            raise self._dead

    def _choose(self, place: str, options: list[Option]) -> Option:
        if len(options) == 1:
            return options[0]
        try:
            return self.choices.choose(place, options, self._key())
        except BaseException as cut_off:
            self._dead = cut_off
            raise

    def _key(self) -> Hashable:
        """Return all that the rest of the execution depends on, with its promises."""
        hidden = tuple((alias, view.effects, view.blind, view.stale) for alias, view in sorted(self.views.items()))
        aliases = tuple((alias, self.at(alias)) for alias in self._aliases())
        late = tuple(self.late)
        past = (frozenset(self.by_others), frozenset(self.unverified), self._stuck(), self.stop.is_set())
        return (self._answers, aliases, late, hidden, past)

    def _answer(self, *answered: Hashable) -> None:
        """Remember an answer: what the program does next depends on all of them, and on nothing else."""
        self._answers = hash((self._answers, answered))

    def _aliases(self) -> list[str]:
        return sorted(self._db.aliases.keys() | self.views.keys())

    def _events(self, alias: str) -> Iterator[Option]:
        """Yield what can happen to an alias behind the back of the run."""
        for item in dict.fromkeys(self.late):
            if item.alias == alias:
                yield Option(f"late {item.method} of {alias} to {item.collection} of run {item.run}")
        for place in self.faults.places:
            if place != self.at(alias) and self.choices.budget:
                yield Option(f"someone moves {alias} to {place}", 1)

    def _signals(self) -> Iterator[Option]:
        if self.faults.stop and not self.stop.is_set():
            yield Option("a signal", 1)

    def _readers(self, method: str, alias: str) -> Iterator[Option]:
        if method == "alter" and alias not in self._db.stuck:
            for alters in self.faults.stuck:
                yield Option(f"readers of {alias} miss {alters} alters", 1)

    def _runs(self) -> Iterator[Option]:
        if self.faults.another_run:
            yield Option("another run", 1)

    def _let_run(self) -> None:
        """Let another run begin and end, without a fault."""
        before = {alias: self.at(alias) for alias in self._aliases()}
        self._others += 1
        with Catalogs(self.server.connect) as catalogs:
            self.another_run(catalogs, MemoryLedger(self.ledger.entries, f"{self.ledger.run}-{self._others}"))
        for alias in self._aliases():
            if self.at(alias) != before.get(alias):
                self.by_others |= {(alias, self.at(alias)), (alias, ANOTHER_RUN)}
                self.unverified.discard(alias)
                self.view(alias).blind = True
        self._answer("another run")  # what this run reads in the journal depends on it

    def _fates(self) -> Iterator[Option]:
        for name in self.faults.writes:
            yield Option(name, 1)
        if self.faults.dies:
            yield Option("dies, and it acted", 1)
            yield Option("dies, and it may act", 1)

    def _happen(self, option: Option) -> None:
        kind, *rest = option.name.split()
        if kind == "late":
            alias, run = rest[2], int(rest[-1])
            item = next(
                item for item in self.late if item.alias == alias and item.method == rest[0] and item.run == run
            )
            self.late.remove(item)
            self.act(item)
            if item.run != self.number:  # for this run, an earlier one is someone else
                self.by_others.add((item.alias, item.collection))
            self.view(alias).blind = True
        elif kind == "someone":
            alias, place = rest[1], None if rest[3] == "None" else rest[3]
            self.put(alias, place)
            self.by_others.add((alias, place))
            self.view(alias).blind = True
        elif kind == "another":
            self._let_run()
        elif kind == "readers":
            self.server.stick_readers(rest[1], alters=int(rest[3]))
        else:
            self.stop.set()

    def put(self, alias: str, place: str | None) -> None:
        """Move an alias as someone else does."""
        self.unverified.discard(alias)
        if place is None:
            self.admin.drop_alias(alias)
        elif self.at(alias) is None:
            self.admin.create_alias(alias, place)
        else:
            self.admin.alter_alias(alias, place)

    def act(self, call: Late) -> CatalogError | None:
        """Let a call of a run take effect; return the error that the server answers."""
        try:
            if call.method == "drop":
                self.admin.drop_alias(call.alias)
            elif call.method == "create":
                self.admin.create_alias(call.alias, call.collection or "")
            else:
                self.admin.alter_alias(call.alias, call.collection or "")
        except CatalogError as error:
            return error
        if call.alias in self.entries and call.collection == self.entries[call.alias].collection is not None:
            self.unverified.add(call.alias)
        else:
            self.unverified.discard(call.alias)
        if call.run == self.number:
            self.view(call.alias).effects += 1
            self.view(call.alias).moved = self.clock.now
        return None

    def _before_entries(self, event: str, added: Sequence[Entry]) -> None:
        """Let the process die, or the disk be full, before entries are recorded."""
        self._insist_on_life()
        options = [ORDINARY]
        if self.faults.dies and event != "intend":  # before a call is as before its intent
            options.append(Option("dies", 1))
        if self.faults.disk and event != "begin":
            options.append(Option("the disk is full", 1))
        aliases = [step.alias for entry in added if (step := step_of(entry))]
        option = self._choose(" ".join([event, *aliases]), options)
        if option.name == "dies":
            self.die()
        if option.name == "the disk is full":
            self._answer(event, "full")
            raise JournalError("the journal cannot be written: No space left on device")
        self.judge.before_entries(self, added)


def landed(state: State) -> State:
    """Return a state after all late calls have taken effect."""
    world = World(replace(state, late=()), Choices((), 0, {}), Faults(), Judge())
    for call in state.late:
        world.act(call)
        if call.run != state.runs:  # for the last run, an earlier one is someone else
            world.by_others.add((call.alias, call.collection))
    return replace(world.state(), runs=state.runs)


class Judge:
    """What promises are told as things happen; see `promises`."""

    def before_write(self, world: World, method: str, alias: str, collection: str | None) -> None:
        raise NotImplementedError

    def before_entries(self, world: World, added: Sequence[Entry]) -> None:
        raise NotImplementedError


class Watched(MemoryCatalog):
    """A catalog whose every read and write of an alias is a choice."""

    def __init__(self, world: World, database: str) -> None:
        super().__init__(world.server, database, concurrency=1, address=ONE_AT_A_TIME.address)
        self._world = world

    def resolve(self, alias: str) -> Collection | None:
        found = self._world.read("resolve", [alias], lambda: super(Watched, self).resolve(alias))
        self._world.saw(alias, found.name if found else None)
        return found

    def alias_names(self) -> frozenset[str]:
        names = self._world.read("list", [*self._world.views], super().alias_names)
        for alias, view in self._world.views.items():
            if view.ends and view.ends[1] is None:  # otherwise the run does not look for it
                view.last, view.blind = "somewhere" if alias in names else None, False
        return names

    def aliases_of(self, collection: str) -> frozenset[str] | None:
        aliases = [*self._world.views]
        names = self._world.read(f"list {collection}", aliases, lambda: super(Watched, self).aliases_of(collection))
        for alias in names or ():
            view = self._world.view(alias)
            if view.ends is None or view.ends == (
                view.last,
                collection,
            ):  # a run looks for others, and what it reverted
                self._world.saw(alias, collection)
        return names

    def sample_keys(self, collection: str, primary: str, limit: int) -> tuple[PrimaryKey, ...]:
        read = super().sample_keys
        return self._world.read_data("keys", collection, lambda: read(collection, primary, limit))

    def rows(
        self, collection: str, primary: str, keys: Sequence[PrimaryKey], fields: Sequence[str], *, strong: bool = True
    ) -> dict[PrimaryKey, Row]:
        read = super().rows
        return self._world.read_data("rows", collection, lambda: read(collection, primary, keys, fields))

    def create_alias(self, alias: str, collection: str) -> None:
        self._world.write("create", alias, collection)

    def alter_alias(self, alias: str, collection: str) -> None:
        self._world.write("alter", alias, collection)

    def drop_alias(self, alias: str) -> None:
        self._world.write("drop", alias, None)

"""A Milvus in memory, a journal, and runs that notify receivers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from msgspec.structs import replace

from reconciler.catalog.memory import MemoryServer
from reconciler.core.model import Alias, AliasSet, Connection, EventType, MessageFormat, Receiver, Verify
from reconciler.core.notifications import Notification
from reconciler.core.options import GatesToEvaluate, Options
from reconciler.core.plan import Plan
from reconciler.core.report import Report
from reconciler.journal import Journal, Origins
from reconciler.journal.outbox import Outbox
from reconciler.reconcile import apply_plan, make_plan
from tests.builders import LOCAL, alias_set, server
from tests.faults.memory import Recorder

AUDIT = Receiver(name="audit", uri="http://127.0.0.1:9/hook")


class Scene:
    """The aliases of a set are kept up to date as `aliasctl apply` does it, in one process."""

    def __init__(self, folder: Path, *receivers: Receiver, aliases: Mapping[str, str] | None = None) -> None:
        self.made: MemoryServer = server("v1", "v2", "v3", aliases=aliases or {"a": "v1", "b": "v1"})
        self.recorder = Recorder(self.made)
        self.journal = Journal(folder / "journal.db")
        self.connection: Connection = replace(LOCAL, notify=receivers or (AUDIT,))
        self.verify = Verify()

    def desired(self, aliases: Mapping[str, str | None], *more: Alias, **settings: object) -> AliasSet:
        return replace(alias_set(aliases, *more, connection=self.connection, verify=self.verify), **settings)

    def plan(self, *sets: AliasSet, only: Sequence[str] = ()) -> Plan:
        with self.recorder.catalogs() as opened:
            return make_plan(
                sets, Options(only=only), catalogs=opened, journal=self.journal, evaluate=GatesToEvaluate.ALL
            )

    def look(self, *sets: AliasSet) -> Plan:
        """Plan, and report what follows from that."""
        plan = self.plan(*sets)
        self.journal.notify(plan, Origins.of_this_process(), sets=sets)
        return plan

    def apply(self, *sets: AliasSet) -> Report:
        plan = self.look(*sets)
        with self.recorder.catalogs() as opened:
            return apply_plan(plan, catalogs=opened, journal=self.journal)

    def waiting(self, receiver: Receiver = AUDIT) -> list[Notification]:
        found = [item.content for item in Outbox(self.journal.path, LOCAL.address, receiver).waiting(100_000)]
        return [item for item in found if isinstance(item, Notification)]

    def drained(self, receiver: Receiver = AUDIT) -> list[tuple[str, str]]:
        """Return alias and type of what waits, and forget it."""
        outbox = Outbox(self.journal.path, LOCAL.address, receiver)
        found = outbox.waiting(100_000)
        if found:
            outbox.delivered(found)
            outbox.close()
        return [
            (item.content.alias, str(item.content.type)) for item in found if isinstance(item.content, Notification)
        ]


__all__ = ["AUDIT", "EventType", "MessageFormat", "Receiver", "Scene"]

"""What the receivers of notifications answered: the result of `aliasctl notify`."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from reconciler.core.record import ALWAYS, Count, Record


class ReceiverReport(Record, frozen=True):
    """What a receiver answered."""

    connection: Annotated[str, Meta(description="The MilvusConnection.")]
    receiver: str
    format: str
    ok: bool
    detail: Annotated[str, Meta(description="What came back, or what went wrong; text, never markup.")]
    delivered: Annotated[Count, Meta(description="Notifications that were delivered now."), ALWAYS] = 0
    waiting: Annotated[Count, Meta(description="Notifications that still wait."), ALWAYS] = 0

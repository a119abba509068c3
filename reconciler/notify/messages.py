"""What is sent to a receiver, by its format: the requests for notifications that wait."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from secrets import token_hex
from urllib.parse import quote

from msgspec import Struct

from reconciler.core import json_strict
from reconciler.core.grouping import quoted_names
from reconciler.core.model import EventType, MessageFormat, Receiver
from reconciler.core.notifications import Notification, StatusState
from reconciler.core.plan import describe_location
from reconciler.core.text import printable, shortened
from reconciler.documents.codec import encode
from reconciler.documents.timestamps import now
from reconciler.journal.outbox import Waiting

SOURCE = "https://aliasctl.dev/"
TYPE = "dev.aliasctl.alias."
MAX_SLACK = 2_900
"""Characters; Slack takes 3,000 in a block (its reference, "Section block")."""
MAX_DESCRIPTION = 140
"""Characters; GitHub refuses a longer description of a status (its reference, "Commit statuses")."""
SYMBOLS = {
    EventType.MOVED: "→",
    EventType.REVERTED: "↩",
    EventType.FAILED: "✗",
    EventType.BLOCKED: "!",
    EventType.DRIFTED: "≠",
    EventType.VERIFIED: "✓",
    EventType.RECOVERED: "✓",
    EventType.APPROVAL_REQUIRED: "?",
}
GITLAB_STATES = {"success": "success", "failure": "failed", "pending": "pending"}
SAMPLE = "a test of aliasctl notify, about no alias"
_JSON = {"Content-Type": "application/json"}
_STATUS_HEADERS: Mapping[MessageFormat, Mapping[str, str]] = {
    MessageFormat.GITHUB_STATUS: {**_JSON, "Accept": "application/vnd.github+json"},
    MessageFormat.GITLAB_STATUS: _JSON,
}
_TOKENS = {
    MessageFormat.GITHUB_STATUS: ("Authorization", "Bearer "),
    MessageFormat.GITLAB_STATUS: ("PRIVATE-TOKEN", ""),
}


class Message(Struct, frozen=True):
    """One request, and the notifications that are delivered with it.

    Args:
        body: empty for a GET.
        path: appended to the receiver's URI.
        headers: beside those of authentication.
        signed: whether the body is signed.
        token: the name of the header that has the token, and what stands before it; None for no token.
    """

    waiting: tuple[Waiting, ...]
    body: bytes
    path: str = ""
    headers: Mapping[str, str] = {}
    signed: bool = False
    token: tuple[str, str] | None = None


def messages(receiver: Receiver, waiting: Sequence[Waiting]) -> Iterator[Message]:
    """Yield the requests for notifications, in order. Those that are damaged come without a body, to be left out."""
    for kind, group in groupby(waiting, key=lambda item: type(item.content)):
        items = tuple(group)
        if kind is Notification and receiver.format is MessageFormat.CLOUD_EVENTS:
            yield from map(_cloud_event, items)
        elif kind is Notification and receiver.format is MessageFormat.SLACK:
            yield from _slack(items)
        elif kind is StatusState and receiver.format.is_status:
            yield from _statuses(receiver.format, items)
        else:  # damaged, or recorded when the receiver had another format
            yield Message(items, b"")


def sample(receiver: Receiver) -> Message:
    """Return a message about no alias; for the status of a commit, a read of the project."""
    if receiver.format.is_status:
        return Message((), b"", headers=_STATUS_HEADERS[receiver.format], token=_TOKENS[receiver.format])
    if receiver.format is MessageFormat.SLACK:
        return _slack_message((), SAMPLE)
    document = {"id": token_hex(16), "source": SOURCE, "type": "dev.aliasctl.test", "time": now()}
    return _cloud_event_message((), document, {"message": SAMPLE})


def _cloud_event(item: Waiting) -> Message:
    assert isinstance(item.content, Notification)  # noqa: S101 - see the caller
    event = item.content
    data = {name: value for name, value in encode(event).items() if name not in ("id", "type", "time")}
    document = {
        "id": event.id,
        "source": f"{SOURCE}{quote(event.target.address)}/{quote(event.target.database)}",
        "type": f"{TYPE}{event.type}",
        "subject": event.alias,
        "time": event.time,
        "sequence": f"{item.number:020d}",
    }
    return _cloud_event_message((item,), document, data)


def _cloud_event_message(
    waiting: tuple[Waiting, ...], attributes: Mapping[str, str], data: Mapping[str, object]
) -> Message:
    document = {"specversion": "1.0", **attributes, "datacontenttype": "application/json", "data": data}
    headers = {"Content-Type": "application/cloudevents+json; charset=utf-8"}
    return Message(waiting, json_strict.dumps(document).encode(), headers=headers, signed=True)


def _slack(waiting: Sequence[Waiting]) -> Iterator[Message]:
    """Yield one message for aliases to which the same happened, one after the other."""
    for _, group in groupby(waiting, key=_alike):
        items = tuple(group)
        yield _slack_message(
            items, sentence([item.content for item in items if isinstance(item.content, Notification)])
        )


def _slack_message(waiting: tuple[Waiting, ...], text: str) -> Message:
    """Return a message as plain text: names and messages of servers must not become links or mentions."""
    text = shortened(text, MAX_SLACK)
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    block = {"type": "section", "text": {"type": "plain_text", "text": text, "emoji": False}}
    body = json_strict.dumps({"text": escaped, "blocks": [block]}).encode()
    return Message(waiting, body, headers=_JSON)


def _alike(item: Waiting) -> tuple[object, ...]:
    event = item.content
    assert isinstance(event, Notification)  # noqa: S101 - see the caller
    return event.type, event.target, event.set, event.current, event.desired, event.message, event.run


def sentence(alike: Sequence[Notification]) -> str:
    """Return what happened to some aliases alike, in words, without markup."""
    first = alike[0]
    aliases = quoted_names([event.alias for event in alike])
    place = f"{first.connection} / {first.target.database}, set {first.set}"
    text = f"{SYMBOLS[first.type]} {first.type}: {aliases}{_ends(first)} ({place})"
    if first.message:
        text += f"\n{printable(first.message)}"
    if first.run:
        text += f"\nrun {first.run}"
    return text


def _ends(event: Notification) -> str:
    if event.current is None and event.desired is None:
        return ""
    if event.current is None or event.current == event.desired:
        return f" {describe_location(event.desired)}"
    return f" {event.current} → {event.desired or 'absent'}"


def _statuses(kind: MessageFormat, waiting: Sequence[Waiting]) -> Iterator[Message]:
    """Yield the newest status of each commit; earlier ones of the same commit say nothing any more."""
    for _, group in groupby(waiting, key=lambda item: _commit(item)):
        items = tuple(group)
        status = items[-1].content
        assert isinstance(status, StatusState)  # noqa: S101 - see the caller
        description = shortened(printable(" ".join(status.description.split())), MAX_DESCRIPTION)
        state = status.state if kind is MessageFormat.GITHUB_STATUS else GITLAB_STATES[status.state]
        body = json_strict.dumps({"state": state, "description": description, "context": "aliasctl"}).encode()
        path = f"/statuses/{quote(status.commit, safe='')}"
        yield Message(items, body, path, _STATUS_HEADERS[kind], token=_TOKENS[kind])


def _commit(item: Waiting) -> str:
    return item.content.commit if item.content else ""

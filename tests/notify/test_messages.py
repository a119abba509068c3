"""What is sent, by format: valid CloudEvents, text without markup, and the newest status of each commit."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec.structs import replace

from reconciler.core.model import EventType, MessageFormat, Receiver, Target
from reconciler.core.notifications import Notification, StatusState
from reconciler.journal.outbox import Waiting
from reconciler.notify.messages import MAX_DESCRIPTION, MAX_SLACK, messages, sample

EVENT = Notification(
    id="1",
    type=EventType.MOVED,
    time="2026-11-30T22:00:00.000Z",
    connection="main",
    target=Target("localhost:19530", "default"),
    set="shop",
    alias="a",
    current="v1",
    desired="v2",
    run="r1",
)
TYPES = {
    "specversion": "1.0",
    "id": str,
    "source": str,
    "type": str,
    "time": str,
    "datacontenttype": "application/json",
    "data": dict,
}


def receiver(form: MessageFormat) -> Receiver:
    return Receiver(name="r", uri="http://127.0.0.1:9/", format=form)


def sent(form: MessageFormat, *contents: Notification | StatusState | None) -> list[Any]:
    waiting = [Waiting(number, 0.0, content) for number, content in enumerate(contents, start=1)]
    return list(messages(receiver(form), waiting))


def documents(form: MessageFormat, *contents: Notification | StatusState | None) -> list[Any]:
    return [json.loads(message.body) for message in sent(form, *contents)]


def test_a_cloud_event_has_what_the_specification_requires() -> None:
    [message] = sent(MessageFormat.CLOUD_EVENTS, EVENT)
    document = json.loads(message.body)
    assert message.signed
    assert message.headers["Content-Type"].startswith("application/cloudevents+json")
    for name, expected in TYPES.items():
        assert isinstance(document[name], expected) if isinstance(expected, type) else document[name] == expected
    assert document["source"] == "https://aliasctl.dev/localhost%3A19530/default"
    assert document["data"]["from"], document["data"]["to"] == ("v1", "v2")
    assert not {"id", "type", "time"} & document["data"].keys()


def test_cloud_events_are_one_by_one_in_order() -> None:
    found = documents(MessageFormat.CLOUD_EVENTS, EVENT, replace(EVENT, id="2", type=EventType.VERIFIED))
    assert [(each["id"], each["type"]) for each in found] == [
        ("1", "dev.aliasctl.alias.moved"),
        ("2", "dev.aliasctl.alias.verified"),
    ]
    assert found[0]["sequence"] < found[1]["sequence"]


def test_slack_gets_one_message_for_aliases_to_which_the_same_happened() -> None:
    several = [replace(EVENT, alias=name) for name in "abcde"]
    other = replace(EVENT, alias="x", type=EventType.FAILED, message="cut")
    found = sent(MessageFormat.SLACK, *several, other)
    assert [len(message.waiting) for message in found] == [5, 1]
    text = json.loads(found[0].body)["blocks"][0]["text"]["text"]
    assert text == '→ moved: "a", "b", "c" and 2 more v1 → v2 (main / default, set shop)\nrun r1'


@pytest.mark.parametrize("hostile", ["<!channel>", "<https://evil|click>", "*x* _y_ `z`", "a\x1b[31m", "&lt;"])
def test_slack_gets_no_markup(hostile: str) -> None:
    [document] = documents(MessageFormat.SLACK, replace(EVENT, type=EventType.FAILED, message=hostile))
    [block] = document["blocks"]
    assert block["text"]["type"] == "plain_text"
    assert "<" not in document["text"]
    assert "\x1b" not in block["text"]["text"]


def test_a_long_message_is_shortened_for_slack() -> None:
    [document] = documents(MessageFormat.SLACK, replace(EVENT, message="x" * 10_000))
    assert len(document["blocks"][0]["text"]["text"]) <= MAX_SLACK


STATUS = StatusState("1", "2026-11-30T22:00:00.000Z", "c" * 40, "failure", "GateFailed: rows\n" + "x" * 300)


@pytest.mark.parametrize(
    ("form", "state", "header"),
    [
        (MessageFormat.GITHUB_STATUS, "failure", ("Authorization", "Bearer ")),
        (MessageFormat.GITLAB_STATUS, "failed", ("PRIVATE-TOKEN", "")),
    ],
)
def test_the_status_of_a_commit(form: MessageFormat, state: str, header: tuple[str, str]) -> None:
    [message] = sent(form, STATUS)
    document = json.loads(message.body)
    assert (message.path, message.token) == (f"/statuses/{'c' * 40}", header)
    assert (document["state"], document["context"]) == (state, "aliasctl")
    assert len(document["description"]) == MAX_DESCRIPTION
    assert document["description"].startswith("GateFailed: rows x")


def test_of_the_statuses_of_one_commit_only_the_newest_is_sent() -> None:
    found = sent(
        MessageFormat.GITHUB_STATUS,
        replace(STATUS, state="pending"),
        replace(STATUS, state="success"),
        replace(STATUS, commit="d" * 40, state="pending"),
    )
    assert [json.loads(message.body)["state"] for message in found] == ["success", "pending"]
    assert [len(message.waiting) for message in found] == [2, 1]


@pytest.mark.parametrize("form", list(MessageFormat))
def test_what_is_damaged_or_of_another_format_is_left_out(form: MessageFormat) -> None:
    other = EVENT if form.is_status else STATUS
    assert [message.body for message in sent(form, None, other)] == [b"", b""]


@pytest.mark.parametrize("form", list(MessageFormat))
def test_a_sample_is_about_no_alias(form: MessageFormat) -> None:
    message = sample(receiver(form))
    assert "alias." not in message.body.decode().replace("no alias", "")
    assert (message.body == b"") == form.is_status

"""A secondary cluster refuses every change: nothing was written, and the command says what to do."""

from __future__ import annotations

from typing import Any

import pytest

from tests.cli.shop import Shop
from tests.faults.relay import Call, Relay

REFUSALS = (
    "cluster is not primary, cannot do any DDL/DCL",
    "code: STREAMING_CODE_REPLICATE_VIOLATION, cause: non-replicate message cannot be received in secondary role",
)


class Secondary(Relay):
    """Passes reads on, and refuses what changes an alias."""

    def __init__(self, uri: str, reason: str) -> None:
        super().__init__(uri)
        self._reason = reason

    def befall(self, call: Call) -> Any:
        return call.reply(code=65535, reason=self._reason) if call.writes else call.pass_on()


@pytest.mark.parametrize("reason", REFUSALS)
def test_apply_ends_with_1_and_one_sentence(shop: Shop, reason: str) -> None:
    shop.point(a="v1", b="v1")
    secondary = Secondary(shop.uri, reason)
    try:
        shop.uri = secondary.uri
        shop.want({"a": "v2", "b": None, "c": "v1"})
        applied = shop.apply("--output", "json=report.json")
    finally:
        secondary.stop()
    assert (applied.code, shop.live) == (1, {"a": "v1", "b": "v1"})
    assert "is a secondary cluster, which refuses changes: this call wrote nothing; run this against the primary" in (
        applied.stdout
    )
    assert "may still take effect" not in applied.stdout
    [target] = shop.read("report.json")["targets"]
    assert {step.get("code") for step in target["steps"] if step["outcome"] == "failed"} == {"NotPrimary"}

"""Ask hooks whether an alias may move: one signed CloudEvent per question, and one JSON object as the answer.

The HTTP client is imported by the first question.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from time import time
from typing import TYPE_CHECKING
from urllib.parse import quote

import msgspec
from msgspec import Struct

from reconciler.core import json_strict
from reconciler.core.errors import IntegrationFailed
from reconciler.core.json_strict import whole_characters, without_none
from reconciler.core.model import Connection, Origin, Target
from reconciler.core.plan import Step

if TYPE_CHECKING:
    from reconciler.credentials import Secrets
    from reconciler.integrations.http import HttpClient, Response

SOURCE = "https://aliasctl.dev/"
MOVE_REQUESTED = "dev.aliasctl.move.requested"
TEST = "dev.aliasctl.test"
EXPECTED = 'expected {"allow": true or false, "reason": "…"}'


class Decision(Struct, frozen=True):
    """The answer of a hook; `reason` is for people: one printable line, perhaps empty."""

    allow: bool
    reason: str


class RunFacts(Struct, frozen=True):
    """What a hook is told of the run that asks; empty where it is not known, as while planning."""

    run: str = ""
    plan_digest: str = ""
    commit: str = ""


class Hooks:
    """The hooks of one database. Thread-safe.

    Args:
        connection: which hooks there are.
        target: the database.
        secrets: how Kubernetes Secrets are read; None if they cannot be.
        facts: of the run.
    """

    def __init__(
        self, connection: Connection, target: Target, secrets: Secrets | None = None, facts: RunFacts = RunFacts()
    ) -> None:
        self._hooks = {hook.name: hook for hook in connection.hooks}
        self._connection = connection
        self._target = target
        self._secrets = secrets
        self._facts = facts

    def ask(self, name: str, step: Step, halted: Callable[[], bool] = lambda: False) -> Decision:
        """Ask whether a step may be made.

        Args:
            name: of the hook.
            step: the step, with the results of the gates that were evaluated before.
            halted: whether to give up waiting.

        Raises:
            IntegrationFailed: there is no such hook, or it gives no decision.
        """
        client = self._client(name)
        response = _post(client, MOVE_REQUESTED, self._source, step.alias, self._data(step), halted)
        if not 200 <= response.status < 300:
            shown = f": {response.text}" if response.text else ""
            raise IntegrationFailed(f"{client.name} answers {response.status}{shown}")
        return _decision(response.body, client)

    def test(self, name: str) -> Response:
        """Send a hook an event that asks for no decision. Raises `IntegrationFailed`: no such hook, or no answer."""
        return _post(self._client(name), TEST, self._source, "", {}, lambda: False)

    def _client(self, name: str) -> HttpClient:
        from reconciler.integrations.http import HttpClient

        hook = self._hooks.get(name)
        if hook is None and self._connection.origin is Origin.FLAG:
            reason = "it is for the server of its MilvusConnection, and --uri names another one"
            raise IntegrationFailed(f'hook "{name}" is not asked: {reason}; skip the gate with --skip-gate')
        if hook is None:
            where = f'MilvusConnection "{self._connection.name}"'
            raise IntegrationFailed(f'{where} has no hook "{name}"; define it under spec.hooks')
        return HttpClient(hook, f'hook "{name}"', namespace=self._connection.namespace, secrets=self._secrets)

    @property
    def _source(self) -> str:
        address, database = (quote(whole_characters(part)) for part in (self._target.address, self._target.database))
        return f"{SOURCE}{address}/{database}"

    def _data(self, step: Step) -> dict[str, object]:
        facts = self._facts
        return without_none(
            address=self._target.address,
            database=self._target.database,
            set=step.set,
            alias=step.alias,
            action=step.action,
            wave=step.wave,
            fromId=step.current_id,
            toId=step.desired_id,
            gates=msgspec.to_builtins(step.gate_results),
            run=facts.run or None,
            planDigest=facts.plan_digest or None,
            commit=facts.commit or None,
        ) | {"from": step.current, "to": step.desired}


def _post(
    client: HttpClient,
    kind: str,
    source: str,
    subject: str,
    data: Mapping[str, object],
    halted: Callable[[], bool],
) -> Response:
    """Send a CloudEvent in structured mode, signed if the hook has a secret."""
    from secrets import token_hex

    from reconciler.integrations.signature import signature

    event = {
        "specversion": "1.0",
        "id": token_hex(16),
        "source": source,
        "type": kind,
        **({"subject": subject} if subject else {}),
        "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "datacontenttype": "application/json",
        "data": data,
    }
    body = json_strict.dumps(event).encode()
    headers = {"Content-Type": "application/cloudevents+json; charset=utf-8", "Accept": "application/json"}
    if client.secret:
        headers |= signature(client.secret, body, int(time()))
    return client.post(body, headers=headers, halted=halted)


def _decision(body: bytes, client: HttpClient) -> Decision:
    """Return the decision in an answer. Raises `IntegrationFailed`: there is none."""
    try:
        answer = json_strict.loads(body)
    except ValueError:  # whose text would show the answer as it is
        raise IntegrationFailed(f"{client.name} answers no JSON; {EXPECTED}") from None
    allow = answer.get("allow") if isinstance(answer, dict) else None
    reason = answer.get("reason", "") if isinstance(answer, dict) else None
    if not isinstance(allow, bool) or not isinstance(reason, str):
        raise IntegrationFailed(f"{client.name} answers no decision; {EXPECTED}")
    return Decision(allow, client.one_line(reason))

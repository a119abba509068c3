"""Send one message to a receiver."""

from __future__ import annotations

import re
import time
from urllib.parse import urlsplit

from msgspec import Struct

from reconciler.core.errors import IntegrationFailed, InvalidInput
from reconciler.core.model import HttpEndpoint, Receiver
from reconciler.credentials import Secrets, read_credential
from reconciler.integrations.http import HttpClient, Response
from reconciler.integrations.signature import signature
from reconciler.notify.messages import Message

HIDDEN = "(secret)"
SHORTEST_SECRET = 6
"""Characters of a part of a secret path that is not shown, wherever it appears."""
MAX_SECONDS = 60.0
"""Of one delivery, so that its claim of the outbox does not end before it."""
_NO_SECRETS = "name env or file in the MilvusConnection"
_URI = re.compile(r"[Hh][Tt][Tt][Pp][Ss]?://[A-Za-z0-9._\[\]:-]+(/[!\"$-~]*)?")


class Answer(Struct, frozen=True):
    """What a receiver answered: the status, and its text for people, without what is secret."""

    status: int
    text: str
    accepted: bool


def send(
    receiver: Receiver,
    message: Message,
    seconds: float = float("inf"),
    *,
    namespace: str = "",
    secrets: Secrets | None = None,
) -> Answer:
    """Send a message, and return the answer, whatever it is.

    Args:
        receiver: whose secret and URI are read now, so that they can be rotated.
        message: what to send.
        seconds: maximum duration, if less than that of the receiver.
        namespace: of the Kubernetes Secrets that the receiver names.
        secrets: how Kubernetes Secrets are read; None if they cannot be.

    Raises:
        IntegrationFailed: no answer, or a secret cannot be read. The text has no secret.
    """
    what = f'receiver "{receiver.name}"'
    uri = _uri(receiver, what, namespace, secrets)
    limit = max(0.1, min(receiver.timeout, seconds, MAX_SECONDS))
    endpoint = HttpEndpoint(uri=uri, secret=receiver.secret, tls=receiver.tls, timeout=limit)
    client = HttpClient(endpoint, what, namespace=namespace, secrets=secrets)
    headers = dict(message.headers)
    if message.token:
        name, before = message.token
        headers[name] = f"{before}{client.secret}"
    if message.signed and client.secret:
        headers |= signature(client.secret, message.body, int(time.time()))
    method = "POST" if message.body else "GET"
    response = client.request(method, message.path, body=message.body or None, headers=headers)
    text = _without_path(response.text, endpoint.uri) if receiver.uri_from else response.text
    return Answer(response.status, text, _is_accepted(response))


def _uri(receiver: Receiver, what: str, namespace: str, secrets: Secrets | None) -> str:
    """Return where to send. Raises `IntegrationFailed`: a URI cannot be read from its place, or is none."""
    uri = receiver.uri
    if receiver.uri_from:
        try:
            uri = read_credential(receiver.uri_from, f"the URI of {what}", _NO_SECRETS, namespace, secrets).strip()
        except InvalidInput as error:
            raise IntegrationFailed(error.in_one_line) from None
        if not _URI.fullmatch(uri):
            raise IntegrationFailed(f"the URI of {what} is not http(s)://host[:port][/path]; it is not shown here")
    return uri


def _without_path(text: str, uri: str) -> str:
    """Return the text of an answer without the parts of a secret path that it may repeat."""
    parts = urlsplit(uri)
    secrets = [part for part in re.split("[/?&=]", f"{parts.path}?{parts.query}") if len(part) >= SHORTEST_SECRET]
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    return text


def _is_accepted(response: Response) -> bool:
    """Return whether a receiver has a message. GitLab refuses to set the state that a status already has."""
    if 200 <= response.status < 300:
        return True
    return response.status == 400 and b"Cannot transition status" in response.body

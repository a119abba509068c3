"""A signed webhook reports that the ref may have moved. Its content is ignored: the agent reads the ref itself."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus

from reconciler.core.errors import InvalidInput
from reconciler.core.model import Credential
from reconciler.credentials import read_secret
from reconciler.service.web import TEXT, Answer

WEBHOOK_SECRET = "the webhook secret"  # noqa: S105 - for messages
SIGNATURE = "x-hub-signature-256"
"""GitHub's header (its documentation, "Validating webhook deliveries"); Gitea and Forgejo send the same."""


def receive(secret: Credential, wake: Callable[[], None], headers: Mapping[str, str], body: Iterable[bytes]) -> Answer:
    """Wake the agent if the signature of a request is valid.

    Args:
        secret: the key of the signature; read each time, so that it can be rotated.
        headers: by their names in lower case.
        body: what is signed, in pieces, so that it is never held in memory.
    """
    try:
        key = read_secret(secret, WEBHOOK_SECRET).encode()
    except InvalidInput:
        return Answer(HTTPStatus.SERVICE_UNAVAILABLE, TEXT, b"the secret cannot be read\n")
    digest = hmac.new(key, digestmod=hashlib.sha256)
    for piece in body:
        digest.update(piece)
    expected = f"sha256={digest.hexdigest()}"
    if not hmac.compare_digest(expected.encode(), headers.get(SIGNATURE, "").encode("utf-8", "replace")):
        return Answer(HTTPStatus.UNAUTHORIZED, TEXT, b"wrong or missing X-Hub-Signature-256\n")
    wake()
    return Answer(HTTPStatus.ACCEPTED, TEXT, b"accepted\n")

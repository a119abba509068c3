"""Signatures of requests: HMAC-SHA256 as GitHub signs webhooks, over the time of sending and the body.

    X-Aliasctl-Timestamp: 1796000000
    X-Hub-Signature-256: sha256=HEX        of "1796000000." and the body

A receiver that refuses old times cannot be made to act again by a copy of a request.
"""

from __future__ import annotations

import hmac

TIMESTAMP = "X-Aliasctl-Timestamp"
SIGNATURE = "X-Hub-Signature-256"


def signature(secret: str, body: bytes, seconds: int) -> dict[str, str]:
    """Return the headers that sign a body.

    Args:
        secret: the key that both sides know.
        body: of the request.
        seconds: the time, since 1970.
    """
    digest = hmac.new(secret.encode(), b"%d.%b" % (seconds, body), "sha256").hexdigest()
    return {TIMESTAMP: str(seconds), SIGNATURE: f"sha256={digest}"}

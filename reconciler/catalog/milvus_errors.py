"""Map errors of pymilvus and gRPC to those of `core.errors`.

Codes are Milvus's (`pkg/util/merr/errors.go`); Milvus Lite uses codes 1, 6 and 100 for several errors and distinguishes
them by message only. Measured on Milvus 2.3.5 and Milvus Lite 3.2.2 unless a comment says otherwise.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager

from reconciler.catalog.milvus_client import MilvusException, RpcError, StatusCode
from reconciler.core import errors
from reconciler.core.errors import CatalogError
from reconciler.core.model import Target
from reconciler.proxy import proxy_of

MAX_WORDS = 300
"""Maximum characters of a server's own message that are passed on."""

UNSPECIFIED = 65535
"""The code of errors for which Milvus has no other."""

NONSENSE = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""Errors that result from parsing an answer that Milvus never sends."""

# The first row whose code is equal and whose pattern is found in the message decides.
_BY_CODE: tuple[tuple[int, str, type[CatalogError]], ...] = (
    (1, r"^Open local milvus failed", errors.ConnectionFailed),  # pymilvus itself
    (1, r"^database .* does not exist", errors.DatabaseNotFound),  # Lite, list_collections
    (1, r"^alias .* already exists", errors.AliasAlreadyExists),  # Lite
    (1, r"^alias .* conflicts with an existing collection", errors.NameTakenByCollection),  # Lite
    (1, r"^Failed to fetch global topology.* status 40[13]", errors.AuthenticationFailed),  # pymilvus itself
    (1, r"^Failed to fetch global topology", errors.ConnectionFailed),  # pymilvus itself
    (1, r"not ready", errors.ConnectionFailed),  # merr, read: a server that is starting
    (2, r"", errors.ConnectionFailed),  # merr, read: service unavailable
    (4, r"", errors.RateLimited),  # merr, read: request limit exceeded
    (6, r"^database .* does not exist", errors.DatabaseNotFound),  # Lite
    (8, r"", errors.RateLimited),  # merr, read
    (10, r"", errors.NotSupported),  # merr, read: service unimplemented
    (100, r"^alias .* does not exist", errors.AliasNotFound),  # Lite
    (100, r"", errors.CollectionNotFound),
    (101, r"", errors.NotLoaded),
    (103, r"", errors.NotLoaded),  # merr, read: it is being loaded
    (800, r"", errors.DatabaseNotFound),
    (1100, r"", errors.InvalidName),
    (1400, r"", errors.AuthenticationFailed),  # merr, read
    (1401, r"", errors.PermissionDenied),  # merr, read
    (1600, r"", errors.AliasNotFound),
    (1601, r"", errors.NameTakenByCollection),
    (1602, r"", errors.AliasAlreadyExists),
    (1603, r"", errors.AliasNotFound),  # merr, read: the alias dangles
    (10000, r"", errors.CallTimedOut),  # merr, read: the deadline ran out inside the server
    (10001, r"", errors.CallTimedOut),  # merr, read
    (UNSPECIFIED, r"context (Done|deadline exceeded|canceled)", errors.CallTimedOut),  # 2.3.5, for the two above
    (UNSPECIFIED, r"not primary", errors.NotPrimary),  # read: a secondary, for any change of the catalog
    (UNSPECIFIED, r"STREAMING_CODE_REPLICATE_VIOLATION", errors.NotPrimary),  # read: a secondary, for a data message
    (UNSPECIFIED, r"^database:.* not found", errors.DatabaseNotFound),  # 2.3.5, drop_alias
)

_BY_STATUS: dict[StatusCode, type[CatalogError]] = {
    StatusCode.UNAVAILABLE: errors.ConnectionFailed,
    StatusCode.DEADLINE_EXCEEDED: errors.CallTimedOut,
    StatusCode.RESOURCE_EXHAUSTED: errors.RateLimited,
    StatusCode.UNAUTHENTICATED: errors.AuthenticationFailed,
    StatusCode.PERMISSION_DENIED: errors.PermissionDenied,
    StatusCode.UNIMPLEMENTED: errors.NotSupported,
}

_MESSAGES: dict[type[CatalogError], str] = {
    errors.ConnectionFailed: "cannot reach {address}{proxy}: {reason}",
    errors.TlsFailed: "cannot reach {address}{proxy}: {reason}",
    errors.CallTimedOut: "no answer from {address}{proxy} within {timeout:g} s",
    errors.RateLimited: "{address} takes no more calls for now: {words}",
    errors.AuthenticationFailed: "{address}: token missing or rejected: {words}",
    errors.PermissionDenied: "{address} refuses the call, {privilege}: {words}",
    errors.DatabaseNotFound: 'there is no database "{database}" on {address}',
    errors.CollectionNotFound: "no such collection in {target}: {words}",
    errors.AliasNotFound: "no such alias in {target}: {words}",
    errors.AliasAlreadyExists: "the alias exists already in {target}: {words}",
    errors.NameTakenByCollection: "a collection has this name in {target}; rename it, see docs/adopt.md: {words}",
    errors.NotLoaded: "the collection is not loaded in {target}: {words}",
    errors.InvalidName: "{address} refuses a name: {words}",
    errors.NotPrimary: (
        "{address} is a secondary cluster, which refuses changes: this call wrote nothing; "
        "run this against the primary cluster, or make this one the primary first"
    ),
    errors.NotSupported: "{address} does not know the call: {words}",
    errors.UnexpectedAnswer: "unexpected answer {code} from {address}: {words}",
}

TLS_FAILURE = "TLS handshake failed"
REFUSED_BY_SERVER = f"{TLS_FAILURE}: the server wants a client certificate, or refuses ours"
# gRPC's long details, shortened. The first match decides.
_REASONS: tuple[tuple[str, str], ...] = (
    (r"Connection refused", "connection refused"),
    (r"WRONG_VERSION_NUMBER", "TLS handshake failed: the server does not speak TLS"),
    (r"CERTIFICATE_VERIFY_FAILED:? ?([^:(]*)", r"TLS handshake failed: the server's certificate is not trusted: \1"),
    (r"Hostname Verification Check failed", "TLS handshake failed: the server's certificate is for another name"),
    # With TLS 1.3 the server rejects us only after our side of the handshake has ended (measured on 2.3.5).
    (r"TSI_DATA_CORRUPTED", REFUSED_BY_SERVER),
    (r"[Hh]andshake failed.*?:([A-Z_]{6,})", r"TLS handshake failed: \1"),
    (r"[Hh]andshake failed", "TLS handshake failed"),
    (r"lookup|resolv|DNS", "host name not found"),
    (r"HTTP/2|SETTINGS frame", "it answers, but not as a Milvus (gRPC) port"),
    (r"Open local milvus failed", "the Milvus Lite file cannot be opened; is another process using it?"),
    (r"No route to host|unreachable", "no route to host"),
    (r"[Ss]ocket closed|[Cc]onnection reset|recvmsg|GOAWAY|Broken pipe|EOF", "the connection was closed"),
)


@contextmanager
def our_errors(target: Target, timeout: float, secrets: Callable[[], Collection[str]]) -> Iterator[None]:
    """Map every error of pymilvus or gRPC in the block, and those caused by a malformed answer.

    The original error is not kept as the cause if it contains a secret.
    """
    try:
        yield
    except (MilvusException, RpcError) as error:
        hidden = secrets()
        hide = _gives_away(hidden, str(_origin(error)))
        raise translate(error, target, timeout, hidden) from (None if hide else error)
    except NONSENSE as error:
        said, hidden = f"{type(error).__name__}: {error}", secrets()
        hide = _gives_away(hidden, said)
        words = _without(hidden, _one_line(said))[:MAX_WORDS]
        message = f"an answer from {target.address} makes no sense: {words}"
        raise errors.UnexpectedAnswer(message) from (None if hide else error)


def translate(error: Exception, target: Target, timeout: float, secrets: Collection[str] = ()) -> CatalogError:
    """Return our error for an error of pymilvus or gRPC, with a message of one printable line.

    `secrets`: text that the message must not contain: some servers repeat what they were sent.
    """
    origin = _origin(error)
    if isinstance(origin, RpcError):
        status = origin.code()
        code, kind, words = status.name, _BY_STATUS.get(status, errors.UnexpectedAnswer), _one_line(origin.details())
    else:
        words = _one_line(origin.message)
        code, kind = str(origin.code), _kind(origin.code, words)
    words = _without(secrets, words)
    reason = _reason(words)
    if kind is errors.ConnectionFailed and reason.startswith(TLS_FAILURE):
        kind = errors.TlsFailed
    privilege, proxy = _privilege(words), proxy_of(target.address)
    message = (
        _MESSAGES[kind]
        .format(
            address=target.address,
            database=target.database,
            target=target,
            timeout=timeout,
            code=code,
            words=words[:MAX_WORDS] or "no reason given",
            reason=reason,
            proxy=f" through the proxy {proxy}" if proxy else "",
            privilege=f"the privilege {privilege} is missing" if privilege else "a privilege is missing",
        )
        .strip()
    )
    server_code = int(code) if code.isdigit() else None
    if issubclass(kind, errors.TlsFailed):
        return kind(message, server_code=server_code, by_server=reason == REFUSED_BY_SERVER)
    if issubclass(kind, errors.PermissionDenied):
        return kind(message, server_code=server_code, privilege=privilege)
    return kind(message, server_code=server_code)


def worth_another_read(error: BaseException) -> bool:
    """Return whether the same read may succeed in a moment: after transient errors, and one without a class.

    A proxy that was just notified of an alias move may not know yet which nodes serve the new collection (measured on
    2.3.5: 8 of 8,800 reads around 100 moves). A collection that has lost its query nodes causes the same message.
    """
    if not isinstance(error, CatalogError):
        return False
    return error.transient or (error.server_code == UNSPECIFIED and "failed to get delegator" in str(error))


def names_an_id(message: str, name: str) -> bool | None:
    """Return whether the error for a missing collection names an id instead of the requested name; None for neither.

    No name consists of digits only.
    """
    if re.search(r"\[collection=\d+\]", message):
        return True
    return False if f"[collection={name}]" in message else None


def _origin(error: BaseException) -> MilvusException | RpcError:
    """Return the error of the server or gRPC under the wrappings of pymilvus.

    pymilvus uses `raise e from e`, so a cause may be the error itself; `__context__` is then what it was wrapped
    around.
    """
    for inner in (error.__cause__, error.__context__):
        if inner is not error and isinstance(inner, MilvusException | RpcError):
            return _origin(inner)
    return error


def _kind(code: int, words: str) -> type[CatalogError]:
    for known, pattern, kind in _BY_CODE:
        if code == known and re.search(pattern, words):
            return kind
    return errors.UnexpectedAnswer


def _reason(words: str) -> str:
    for pattern, reason in _REASONS:
        if found := re.search(pattern, words):
            return found.expand(reason).strip(" :")
    return words[:MAX_WORDS] or "no reason given"


def _privilege(words: str) -> str | None:
    """Return the privilege to grant: `CreateAlias` for Milvus's `PrivilegeCreateAlias: permission deny to bob`."""
    found = re.search(r"Privilege([A-Z]\w*)", words)
    return found[1] if found else None


def _without(secrets: Collection[str], words: str) -> str:
    """Return a text with an ellipsis for each secret, whatever the case of its letters: hexadecimal digits have two."""
    for secret in secrets:
        words = re.sub(re.escape(secret), "…", words, flags=re.IGNORECASE)
    return words


def _gives_away(secrets: Collection[str], text: str) -> bool:
    """Return whether a text, or its translation into one line, contains a secret."""
    return any(_without(secrets, form) != form for form in (text, _one_line(text)))


def _one_line(text: str | None) -> str:
    """Return text without what a terminal would interpret: line breaks, escape sequences, text direction."""
    return " ".join("".join(c if c.isprintable() else " " for c in text or "").split())

"""The spec of a MilvusConnection: each field with its type, default, limits and description."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar

from msgspec import Meta

from reconciler.catalog import address
from reconciler.core.durations import Duration
from reconciler.core.fields import BY_NAME, MAX_ITEMS, NOT_FOR_OPERATOR, FilePath, ObjectName, about, for_operator, text
from reconciler.core.json_schema import Rule, Schema
from reconciler.core.model import (
    DEFAULT_CONCURRENCY,
    DEFAULT_TIMEOUT_SECONDS,
    EventType,
    MessageFormat,
    SecretKeyRef,
)
from reconciler.core.record import Record

MAX_CONCURRENCY = 64
MAX_RECEIVERS = 8
_Secret = Annotated[SecretKeyRef | None, about("A key of a Secret in the same namespace; only the operator reads it.")]
_EnvironmentVariable = Annotated[
    str,
    text("[A-Za-z_][A-Za-z0-9_]{0,254}", 255, "expected the name of an environment variable"),
    NOT_FOR_OPERATOR,
]
_HostName = Annotated[str, text("[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?", 253, "expected a host name")]
_ServerVersion = Annotated[
    str, text(r"[0-9]{1,4}\.[0-9]{1,4}(\.[0-9]{1,4})?", 14, 'expected a Milvus version such as "2.4.15"')
]


def _either_source(part: str) -> Schema:
    return {"anyOf": [{"required": [f"{part}File"]}, {"required": [f"{part}SecretKeyRef"]}]}


def _needs(part: str, noun: str, other: str, other_noun: str) -> Rule:
    return Rule(
        f"a client {noun} needs its {other_noun}",
        f"!has(self.{part}SecretKeyRef) || has(self.{other}SecretKeyRef)",
        {"if": _either_source(part), "then": _either_source(other)},
    )


class TokenSpec(Record, frozen=True, kw_only=True):
    rules: ClassVar = (
        Rule("expected exactly one of env, file and secretKeyRef", json={"minProperties": 1, "maxProperties": 1}),
    )

    env: Annotated[_EnvironmentVariable | None, about("An environment variable.")] = None
    file: Annotated[FilePath | None, about("A file, relative to this file.")] = None
    secret_key_ref: _Secret = None


class TlsSpec(Record, frozen=True, kw_only=True):
    rules: ClassVar = (
        _needs("cert", "certificate", "key", "key"),
        _needs("key", "key", "cert", "certificate"),
        *(
            Rule(
                f"{part}File and {part}SecretKeyRef exclude each other",
                json={"not": {"required": [f"{part}File", f"{part}SecretKeyRef"]}},
            )
            for part in ("ca", "cert", "key")
        ),
    )

    server_name: Annotated[_HostName | None, about("The name to expect in the server's certificate.")] = None
    ca_secret_key_ref: _Secret = None
    ca_file: Annotated[FilePath | None, about("The CA's certificates, PEM; relative to this file.")] = None
    cert_secret_key_ref: _Secret = None
    cert_file: Annotated[FilePath | None, about("The client's certificate, PEM; relative to this file.")] = None
    key_secret_key_ref: _Secret = None
    key_file: Annotated[FilePath | None, about("The client's key, PEM; relative to this file.")] = None


_TLS_NEEDS_HTTPS = Rule(
    "tls needs a uri that starts with https://",
    "!has(self.tls) || self.uri.matches('^[Hh][Tt][Tt][Pp][Ss]:')",
    {"if": {"required": ["tls"]}, "then": {"properties": {"uri": {"pattern": "^[Hh][Tt][Tt][Pp][Ss]:.*$"}}}},
)
_WHERE_TO_READ = "{env: NAME}, {file: PATH} or {secretKeyRef: {name: NAME, key: KEY}}"
_HTTP_URI = address.HTTP_PATTERN.removesuffix("/?") + r'([/?][!"$-~]*)?'
"""No user or password, which belong under `secret`, and no fragment, which no server would see."""


def where_to_read(noun: str) -> Meta:
    """Return the description of a field that names where a secret is read."""
    return about(
        f"Where to read the {noun}; never the {noun} itself.",
        errorMessage=f"expected where to read the {noun}: {_WHERE_TO_READ}",
    )


def only_secrets() -> Meta:
    """Return what the operator requires of such a field."""
    return for_operator(errorMessage=None, required=["secretKeyRef"])


_HttpUri = Annotated[str, text(_HTTP_URI, 2048, "expected http(s)://host[:port][/path], without user and password")]
_HttpTls = Annotated[TlsSpec | None, about("TLS settings; not needed for a server that the system trusts.")]
_HttpTimeout = Annotated[
    Duration | None,
    about("Maximum duration of one request: above 0s, at most 1h.", default=str(Duration(DEFAULT_TIMEOUT_SECONDS))),
]


class HttpSpec(Record, frozen=True, kw_only=True):
    """What the manifests of all systems beside Milvus have in common."""

    rules: ClassVar = (_TLS_NEEDS_HTTPS,)

    uri: Annotated[_HttpUri, about("http(s)://host[:port][/path].")]
    tls: _HttpTls = None
    timeout: _HttpTimeout = None


class HookSpec(HttpSpec, frozen=True, kw_only=True):
    name: Annotated[ObjectName, about("The name that the gate hook of an AliasSet uses.")]
    secret: Annotated[TokenSpec | None, where_to_read("signing key"), only_secrets()] = None


class PrometheusSpec(HttpSpec, frozen=True, kw_only=True):
    token: Annotated[TokenSpec | None, where_to_read("token"), only_secrets()] = None
    labels: Annotated[
        Mapping[
            Annotated[str, Meta(min_length=1, max_length=128)],
            Annotated[str, Meta(max_length=253), about("A value.")],
        ],
        Meta(max_length=16),
        about("Labels of the series of this Milvus, where Prometheus scrapes several, such as {namespace: milvus}."),
    ] = {}


def _has_format(*formats: MessageFormat) -> Schema:
    return {
        "required": ["format"],
        "anyOf": [{"properties": {"format": {"const": str(each)}}} for each in formats],
    }


_IS_STATUS = "(has(self.format) && self.format.endsWith('-status'))"
_HAS_STATUS_FORMAT = _has_format(*(each for each in MessageFormat if each.is_status))


class ReceiverSpec(Record, frozen=True, kw_only=True):
    rules: ClassVar = (
        Rule(
            _TLS_NEEDS_HTTPS.message,
            "!has(self.tls) || !has(self.uri) || self.uri.matches('^[Hh][Tt][Tt][Pp][Ss]:')",
            _TLS_NEEDS_HTTPS.json,
        ),
        Rule(
            "expected exactly one of uri and uriFrom",
            "has(self.uri) != has(self.uriFrom)",
            json={
                "anyOf": [
                    {"required": ["uri"], "not": {"required": ["uriFrom"]}},
                    {"required": ["uriFrom"], "not": {"required": ["uri"]}},
                ]
            },
        ),
        Rule(
            "the URI of a Slack webhook is a secret, and the only one: give uriFrom in place of uri and secret",
            "!has(self.format) || self.format != 'slack' || !has(self.uri) && !has(self.secret)",
            json={
                "if": _has_format(MessageFormat.SLACK),
                "then": {"not": {"anyOf": [{"required": ["uri"]}, {"required": ["secret"]}]}},
            },
        ),
        Rule(
            "the status of a commit needs a secret, the token of the API",
            f"!{_IS_STATUS} || has(self.secret)",
            json={"if": _HAS_STATUS_FORMAT, "then": {"required": ["secret"]}},
        ),
        Rule(
            "events are not for the status of a commit, which is sent whenever it changes",
            f"!{_IS_STATUS} || !has(self.events)",
            json={"if": _HAS_STATUS_FORMAT, "then": {"not": {"required": ["events"]}}},
        ),
    )

    name: Annotated[ObjectName, about("The name of the receiver, in messages and in the journal.")]
    uri: Annotated[
        _HttpUri | None,
        about("http(s)://host[:port][/path]. For the status of a commit: the project in the API of GitHub or GitLab."),
    ] = None
    uri_from: Annotated[
        TokenSpec | None,
        where_to_read("URI"),
        about("Where to read a URI that is itself a secret, such as that of a Slack webhook."),
        only_secrets(),
    ] = None
    secret: Annotated[
        TokenSpec | None,
        where_to_read("signing key of CloudEvents, or token for the status of a commit"),
        only_secrets(),
    ] = None
    events: Annotated[
        Annotated[
            tuple[Annotated[EventType, about("One kind of event.")], ...], Meta(min_length=1, max_length=len(EventType))
        ],
        about("What is reported; without it, everything."),
    ] = ()
    format: Annotated[MessageFormat, about("The form of the messages.")] = MessageFormat.CLOUD_EVENTS
    tls: _HttpTls = None
    timeout: _HttpTimeout = None


class MilvusConnectionSpec(Record, frozen=True, kw_only=True):
    rules: ClassVar = (_TLS_NEEDS_HTTPS,)

    uri: Annotated[
        str,
        text(f"({address.HTTP_PATTERN}|{address.LITE_PATTERN})", 2048, address.EXPECTED),
        about("http(s)://host[:port], or a Milvus Lite file: a path with a slash, ending in .db.", format="milvus-uri"),
        for_operator(
            description="http(s)://host[:port]",
            pattern=f"^{address.HTTP_PATTERN}$",
            errorMessage="expected http(s)://host[:port]",
        ),
    ]
    token: Annotated[
        TokenSpec | None,
        where_to_read("token"),
        only_secrets(),
    ] = None
    tls: Annotated[TlsSpec | None, about("TLS settings; not needed for a server that the system trusts.")] = None
    timeout: Annotated[
        Duration | None,
        about("Maximum duration of one call: above 0s, at most 1h.", default=str(Duration(DEFAULT_TIMEOUT_SECONDS))),
    ] = None
    concurrency: Annotated[
        Annotated[int, Meta(ge=1, le=MAX_CONCURRENCY)] | None,
        about("Maximum number of calls in flight; on Milvus Lite always 1.", default=DEFAULT_CONCURRENCY),
    ] = None
    server_version: Annotated[
        _ServerVersion | None,
        about(
            "The Milvus version of a server that does not report all of it. If the server reports another one, every "
            "guard assumes the worse of both."
        ),
    ] = None
    hooks: Annotated[
        Annotated[tuple[Annotated[HookSpec, about("One system.")], ...], Meta(max_length=MAX_ITEMS)],
        about("Systems that decide whether an alias may move, for the gate hook; each name once.", **BY_NAME),
    ] = ()
    prometheus: Annotated[
        PrometheusSpec | None, about("The Prometheus that scrapes this Milvus, for verify.metrics.")
    ] = None
    notify: Annotated[
        Annotated[tuple[Annotated[ReceiverSpec, about("One receiver.")], ...], Meta(max_length=MAX_RECEIVERS)],
        about("Who is notified of what happens to aliases of this server; each name once.", **BY_NAME),
    ] = ()

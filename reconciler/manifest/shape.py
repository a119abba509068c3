"""The shape of an AliasSet and of a MilvusConnection, told once.

`schema` turns it into the JSON Schema that the loader validates with and users' editors read, and into the
CustomResourceDefinitions. The two differ only in where a connection's address and secrets may come from: the operator
takes http(s) and Kubernetes Secrets, the command line also files, environment variables and Milvus Lite.

The notation is JSON Schema with two words of its own: `errorMessage` says what is wanted where a pattern or a type
alone would not (editors show it too), and `rules` are conditions across fields.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from reconciler.manifest import address, durations
from reconciler.model import NAME_PATTERN

GROUP = "aliasctl.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
KINDS = ("AliasSet", "MilvusConnection")

Schema: TypeAlias = dict[str, object]

MILVUS_NAME_WANTED = "expected letters, digits and underscores, not a digit first, at most 255"
SELF_ALIAS = "an alias cannot be its own collection"


@dataclass(frozen=True, slots=True)
class Rule:
    """A condition across fields: in CEL for the CRD, in JSON Schema for everyone else.

    Each is None where it is not needed, or where that language has no words for it; then the loader checks by itself.
    """

    message: str
    cel: str | None
    json: Schema | None


def spec(kind: str, *, operator: bool) -> Schema:
    """The shape of a kind's `spec`; `operator` chooses where secrets and addresses may come from."""
    return _alias_set() if kind == "AliasSet" else _connection(operator)


def _object(
    description: str, fields: dict[str, Schema], required: Sequence[str] = (), rules: Sequence[Rule] = ()
) -> Schema:
    schema: Schema = {"type": "object", "description": description}
    if required:
        schema["required"] = list(required)
    return schema | {"properties": fields, "additionalProperties": False, "rules": list(rules)}


def _string(description: str, pattern: str, wanted: str, max_length: int, **extra: object) -> Schema:
    text: Schema = {"type": "string", "description": description, "pattern": f"^{pattern}$", "maxLength": max_length}
    return text | {"errorMessage": wanted} | extra


def _milvus_name(description: str, **extra: object) -> Schema:
    return _string(description, NAME_PATTERN, MILVUS_NAME_WANTED, 255, **extra)


def object_name(description: str) -> Schema:
    """The name of a Kubernetes object (DNS-1123 subdomain)."""
    label = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
    wanted = 'expected lower-case letters, digits, "-" and ".", a letter or digit at both ends, at most 253'
    return _string(description, rf"{label}(\.{label})*", wanted, 253)


def namespace_name(description: str) -> Schema:
    """The name of a Kubernetes namespace (DNS-1123 label)."""
    wanted = 'expected lower-case letters, digits and "-", a letter or digit at both ends, at most 63'
    return _string(description, "[a-z0-9]([-a-z0-9]*[a-z0-9])?", wanted, 63)


def _globs(description: str) -> Schema:
    wanted = "expected letters, digits, underscores, * and ?, at most 255"
    glob = _string(
        "A pattern for whole alias names: * is any run of characters, ? is one.", "[A-Za-z0-9_*?]{1,255}", wanted, 255
    )
    return {"type": "array", "description": description, "maxItems": 64, "items": glob}


def _boolean(description: str, default: bool) -> Schema:
    return {"type": "boolean", "description": description, "default": default}


def _alias_set() -> Schema:
    aliases: Schema = {
        "type": "array",
        "description": "The wanted aliases, each name once.",
        "maxItems": 1000,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["name"],
        "items": _alias(),
    }
    fields = {
        "connectionRef": _object(
            "The server.", {"name": object_name("A MilvusConnection in the same namespace.")}, ["name"]
        ),
        "database": _milvus_name("The database on that server.", default="default"),
        "scope": _scope(),
        "aliases": aliases,
        "limits": _limits(),
        "gates": _gates("What must be true of a collection before an alias of this set points at it.", on_unknown=True),
        "suspend": _boolean("Leave this set alone until it is false again.", False),
    }
    return _object("Which alias of one Milvus database points at which collection.", fields, ["connectionRef"])


def _alias() -> Schema:
    state: Schema = {
        "type": "string",
        "description": "Absent: there must be no such alias.",
        "enum": ["Present", "Absent"],
        "default": "Present",
    }
    wave: Schema = {
        "type": "integer",
        "description": "A wave starts when all lower ones are done and verified.",
        "minimum": 0,
        "maximum": 1000,
        "default": 0,
    }
    fields = {
        "name": _milvus_name("The alias."),
        "collection": _milvus_name("The collection it points at; none where the state is Absent."),
        "state": state,
        "wave": wave,
        "protect": _boolean("Never drop it, and alter it only with --allow-protected.", False),
        "gates": _gates("Gates of this alias, each instead of the set's gate of that name.", on_unknown=False),
    }
    absent = "has(self.state) && self.state == 'Absent'"
    is_absent: Schema = {"properties": {"state": {"const": "Absent"}}, "required": ["state"]}
    rules = [
        Rule(
            'no "collection" is given; name one, or say "state: Absent"',
            f"({absent}) || has(self.collection)",
            {"if": {"properties": {"state": {"const": "Present"}}}, "then": {"required": ["collection"]}},
        ),
        Rule(
            'an absent alias has no collection; remove "collection" or "state: Absent"',
            f"!({absent}) || !has(self.collection)",
            {"if": is_absent, "then": {"properties": {"collection": {"not": {}}}}},
        ),
        Rule(
            'a protected alias is never dropped; remove "protect: true" or "state: Absent"',
            f"!({absent}) || !(has(self.protect) && self.protect)",
            {"if": is_absent, "then": {"properties": {"protect": {"not": {"const": True}}}}},
        ),
        Rule(SELF_ALIAS, "!has(self.collection) || self.collection != self.name", None),
    ]
    return _object("One alias.", fields, ["name"], rules)


def _scope() -> Schema:
    fields = {
        "include": _globs("A live alias that matches, and that the set does not list, is dropped."),
        "exclude": _globs("Aliases left alone although an include matches them."),
        "protect": _globs("Aliases never dropped, and altered only with --allow-protected."),
    }
    return _object("The alias names over which this set has authority, beside those it lists.", fields)


def _limits() -> Schema:
    max_drops: Schema = {
        "type": "integer",
        "description": "The most aliases that one run may drop.",
        "minimum": 0,
        "default": 10,
    }
    max_change: Schema = {
        "type": "number",
        "description": "The most of the live aliases, in percent, that one run may alter or drop.",
        "minimum": 0,
        "maximum": 100,
    }
    allow_empty = _boolean("Whether a set that lists no collection may drop all that its scope covers.", False)
    fields = {"maxDrops": max_drops, "maxChangePercent": max_change, "allowEmpty": allow_empty}
    return _object("How much one run may change of this set.", fields)


def _gates(description: str, *, on_unknown: bool) -> Schema:
    replicas: Schema = {"type": "integer", "description": "At least so many replicas are loaded.", "minimum": 1}
    enabled = _boolean("False: the alias may move to a collection that is not loaded.", True)
    loaded = _object("The collection is loaded.", {"enabled": enabled, "replicas": replicas})
    fields: dict[str, Schema] = {"loaded": loaded}
    if on_unknown:
        fields["onUnknown"] = {
            "type": "string",
            "description": "Whether a gate passes that the server cannot answer.",
            "enum": ["Fail", "Pass"],
            "default": "Fail",
        }
    return _object(description, fields)


def _connection(operator: bool) -> Schema:
    timeout = _string("The most that one call may take: above 0s, at most 1h.", durations.PATTERN, durations.WANTED, 32)
    concurrency: Schema = {
        "type": "integer",
        "description": "Calls in flight at once; on Milvus Lite always 1.",
        "minimum": 1,
        "maximum": 64,
        "default": 8,
    }
    fields = {
        "uri": _uri(operator),
        "token": _token(operator),
        "tls": _tls(operator),
        "timeout": timeout | {"format": "go-duration", "default": "10s"},
        "concurrency": concurrency,
    }
    rules = [
        Rule(
            "tls needs a uri that starts with https://",
            "!has(self.tls) || self.uri.matches('^[Hh][Tt][Tt][Pp][Ss]:')",
            {"if": {"required": ["tls"]}, "then": {"properties": {"uri": {"pattern": "^[Hh][Tt][Tt][Pp][Ss]:.*$"}}}},
        ),
        Rule(
            "the timeout must be above 0s and at most 1h",
            "!has(self.timeout) || "
            "(duration(self.timeout) > duration('0s') && duration(self.timeout) <= duration('1h'))",
            None,
        ),
    ]
    return _object("How to reach a Milvus server.", fields, ["uri"], rules)


def _uri(operator: bool) -> Schema:
    if operator:
        wanted = "expected http(s)://host[:port]"
        return _string("http(s)://host[:port]", address.HTTP_PATTERN, wanted, 2048)
    description = "http(s)://host[:port], or a Milvus Lite file: a path with a slash, ending in .db."
    pattern = f"({address.HTTP_PATTERN}|{address.LITE_PATTERN})"
    return _string(description, pattern, address.WANTED, 2048, format="milvus-uri")


def _secret_key_ref() -> Schema:
    key = _string(
        "A key of its data.", "[A-Za-z0-9._-]{1,253}", 'expected letters, digits, "-", "_" and ".", at most 253', 253
    )
    fields = {"name": object_name("The Secret."), "key": key}
    return _object("A key of a Secret in the same namespace; only the operator reads it.", fields, ["name", "key"])


def _file(description: str) -> Schema:
    wanted = "expected the path of a file"
    return _string(f"{description}, relative to this file.", r"[^\u0000-\u001f\u007f]+", wanted, 4096)


def _token(operator: bool) -> Schema:
    if operator:
        return _object("Where to read the token.", {"secretKeyRef": _secret_key_ref()}, ["secretKeyRef"])
    wanted = "expected where to read the token: {env: NAME}, {file: PATH} or {secretKeyRef: {name: NAME, key: KEY}}"
    name_wanted = "expected the name of an environment variable"
    env = _string("An environment variable.", "[A-Za-z_][A-Za-z0-9_]{0,254}", name_wanted, 255)
    fields = {"env": env, "file": _file("A file"), "secretKeyRef": _secret_key_ref()}
    one = Rule("expected exactly one of env, file and secretKeyRef", None, {"minProperties": 1, "maxProperties": 1})
    return _object("Where to read the token; never the token itself.", fields, rules=[one]) | {"errorMessage": wanted}


def _tls(operator: bool) -> Schema:
    host = "[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?"
    fields = {
        "serverName": _string("The name to expect in the server's certificate.", host, "expected a host name", 253)
    }
    rules = [
        Rule(
            f"a client {one} needs its {other}",
            f"!has(self.{part}SecretKeyRef) || has(self.{needed}SecretKeyRef)",
            {"if": _either_source(part), "then": _either_source(needed)},
        )
        for part, one, needed, other in (("cert", "certificate", "key", "key"), ("key", "key", "cert", "certificate"))
    ]
    for part, what in (
        ("ca", "The CA's certificates"),
        ("cert", "The client's certificate"),
        ("key", "The client's key"),
    ):
        fields[f"{part}SecretKeyRef"] = _secret_key_ref()
        if not operator:
            fields[f"{part}File"] = _file(f"{what}, PEM")
            both: Schema = {"not": {"required": [f"{part}File", f"{part}SecretKeyRef"]}}
            rules.append(Rule(f"{part}File and {part}SecretKeyRef exclude each other", None, both))
    return _object("TLS settings; none are needed for a server the system trusts.", fields, rules=rules)


def _either_source(part: str) -> Schema:
    return {"anyOf": [{"required": [f"{part}File"]}, {"required": [f"{part}SecretKeyRef"]}]}

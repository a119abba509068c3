"""The shape of a MilvusConnection."""

from __future__ import annotations

from reconciler.catalog import address
from reconciler.core.json_schema import Rule, Schema
from reconciler.manifest.shape.notation import (
    duration,
    duration_rule,
    file,
    mapping,
    object_name,
    text,
    whole_number,
)


def connection(operator: bool) -> Schema:
    """The shape of its `spec`; Milvus Lite, files and environment variables are not for the operator."""
    fields = {
        "uri": _uri(operator),
        "token": _token(operator),
        "tls": _tls(operator),
        "timeout": duration("The most that one call may take", hours=1, default="10s"),
        "concurrency": whole_number("The most calls in flight at once; on Milvus Lite always 1.", 1, 64, default=8),
        "serverVersion": text(
            "The Milvus version of a server that does not report one. Ignored where it does.",
            r"[0-9]{1,4}\.[0-9]{1,4}(\.[0-9]{1,4})?",
            'expected a Milvus version such as "2.4.15"',
            14,
        ),
    }
    rules = [
        Rule(
            "tls needs a uri that starts with https://",
            "!has(self.tls) || self.uri.matches('^[Hh][Tt][Tt][Pp][Ss]:')",
            {"if": {"required": ["tls"]}, "then": {"properties": {"uri": {"pattern": "^[Hh][Tt][Tt][Pp][Ss]:.*$"}}}},
        ),
        duration_rule("timeout", hours=1),
    ]
    return mapping("How to reach a Milvus server.", fields, ["uri"], rules)


def _uri(operator: bool) -> Schema:
    if operator:
        desired = "expected http(s)://host[:port]"
        return text("http(s)://host[:port]", address.HTTP_PATTERN, desired, 2048, format="milvus-uri")
    description = "http(s)://host[:port], or a Milvus Lite file: a path with a slash, ending in .db."
    pattern = f"({address.HTTP_PATTERN}|{address.LITE_PATTERN})"
    return text(description, pattern, address.EXPECTED, 2048, format="milvus-uri")


def _secret_key_ref() -> Schema:
    key = text(
        "A key of its data.", "[A-Za-z0-9._-]{1,253}", 'expected letters, digits, "-", "_" and ".", at most 253', 253
    )
    fields = {"name": object_name("The Secret."), "key": key}
    return mapping("A key of a Secret in the same namespace; only the operator reads it.", fields, ["name", "key"])


def _token(operator: bool) -> Schema:
    if operator:
        return mapping("Where to read the token.", {"secretKeyRef": _secret_key_ref()}, ["secretKeyRef"])
    desired = "expected where to read the token: {env: NAME}, {file: PATH} or {secretKeyRef: {name: NAME, key: KEY}}"
    name_wanted = "expected the name of an environment variable"
    env = text("An environment variable.", "[A-Za-z_][A-Za-z0-9_]{0,254}", name_wanted, 255)
    fields = {"env": env, "file": file("A file"), "secretKeyRef": _secret_key_ref()}
    item = Rule("expected exactly one of env, file and secretKeyRef", None, {"minProperties": 1, "maxProperties": 1})
    return mapping("Where to read the token; never the token itself.", fields, rules=[item]) | {"errorMessage": desired}


def _tls(operator: bool) -> Schema:
    host = "[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?"
    fields = {"serverName": text("The name to expect in the server's certificate.", host, "expected a host name", 253)}
    rules = [
        Rule(
            f"a client {item} needs its {other}",
            f"!has(self.{part}SecretKeyRef) || has(self.{needed}SecretKeyRef)",
            {"if": _either_source(part), "then": _either_source(needed)},
        )
        for part, item, needed, other in (("cert", "certificate", "key", "key"), ("key", "key", "cert", "certificate"))
    ]
    for part, what in (
        ("ca", "The CA's certificates"),
        ("cert", "The client's certificate"),
        ("key", "The client's key"),
    ):
        fields[f"{part}SecretKeyRef"] = _secret_key_ref()
        if not operator:
            fields[f"{part}File"] = file(f"{what}, PEM")
            both: Schema = {"not": {"required": [f"{part}File", f"{part}SecretKeyRef"]}}
            rules.append(Rule(f"{part}File and {part}SecretKeyRef exclude each other", None, both))
    return mapping("TLS settings; none are needed for a server the system trusts.", fields, rules=rules)


def _either_source(part: str) -> Schema:
    return {"anyOf": [{"required": [f"{part}File"]}, {"required": [f"{part}SecretKeyRef"]}]}

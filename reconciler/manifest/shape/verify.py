"""The shape of what is checked after an alias was moved."""

from __future__ import annotations

from reconciler.core.json_schema import Rule, Schema
from reconciler.manifest.shape.notation import duration, duration_rule, items, mapping, object_name

OWN_CONNECTION = "an endpoint is a further proxy; the connection of the set is always asked"
OWN_CONNECTION_RULE = Rule(
    OWN_CONNECTION,
    "!has(self.verify) || !has(self.verify.endpoints) || "
    "self.verify.endpoints.all(endpoint, endpoint.name != self.connectionRef.name)",
    None,
)


def verify() -> Schema:
    """The shape of `spec.verify`."""
    timeout = duration("How long the reads may take to agree", hours=1, default="30s")
    about = "Read through the alias until the new collection answers; if it does not in time, the change has failed."
    endpoint = mapping("One proxy.", {"name": object_name("A MilvusConnection in the same namespace.")}, ["name"])
    fields = {
        "propagation": mapping(about, {"timeout": timeout}, rules=[duration_rule("timeout", hours=1)]),
        "endpoints": items("Further proxies of the same Milvus to read through, each once.", endpoint, key="name"),
        "soak": duration("How long the aliases of a wave are watched before the next one starts", hours=24),
    }
    rules = [
        Rule(
            'endpoints are for propagation; say "propagation: {}" too',
            "!has(self.endpoints) || has(self.propagation)",
            {"if": {"required": ["endpoints"]}, "then": {"required": ["propagation"]}},
        ),
        duration_rule("soak", hours=24),
    ]
    return mapping("What is checked after an alias was moved.", fields, rules=rules)

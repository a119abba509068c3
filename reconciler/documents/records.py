"""The JSON Schemas of records, as `codec` writes them: connections, steps, results, sets.

`formats` makes documents of them; the journal's reader looks at the types of what it finds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from jsonschema_rs import Draft202012Validator

from reconciler.core.model import OnFailure
from reconciler.core.plan import Action, BlockReason, Verdict
from reconciler.core.report import Outcome, Reach
from reconciler.documents.codec import Document
from reconciler.documents.timestamps import is_time
from reconciler.gates import specification_schema


def record(
    required: Mapping[str, object], optional: Mapping[str, object] | None = None, *, about: str = ""
) -> Document:
    schema: Document = {
        "type": "object",
        "properties": {**required, **(optional or {})},
        "required": list(required),
        "additionalProperties": False,
    }
    return {"description": about, **schema} if about else schema


def text(about: str) -> Document:
    return {"type": "string", "description": about}


def count(about: str) -> Document:
    return {"type": "integer", "minimum": 0, "description": about}


def optional_name(about: str) -> Document:
    return {"type": ["string", "null"], "description": about}


def one_of(values: Sequence[str], about: str) -> Document:
    return {"type": "string", "enum": list(values), "description": about}


def list_of(items: Document) -> Document:
    return {"type": "array", "items": items}


SECONDS = {"type": "number", "exclusiveMinimum": 0}
TIME = {"type": "string", "format": "date-time"}
DIGEST = {"type": "string", "pattern": "^sha256:[0-9a-f]{64}$", "description": "SHA-256 of what is to be done."}
TOOL = record({"name": {"const": "aliasctl"}, "version": {"type": "string"}})
SOURCE = record(
    {"file": {"type": "string"}},
    {"line": count("From 1."), "column": count("From 1.")},
    about="Where in the manifests this was written.",
)
CREDENTIAL = record(
    {},
    {"env": text("An environment variable's name."), "file": text("A file's path.")},
    about="Where a credential is read from, never the credential.",
)
CONNECTION = record(
    {
        "name": {"type": "string"},
        "uri": {"type": "string"},
        "origin": text("Who named the address: manifest, flag or environment."),
        "timeoutSeconds": {**SECONDS, "maximum": 3600},
        "concurrency": {"type": "integer", "minimum": 1, "maximum": 64},
    },
    {
        "token": CREDENTIAL,
        "tls": record({}, {"ca": CREDENTIAL, "cert": CREDENTIAL, "key": CREDENTIAL, "serverName": {"type": "string"}}),
    },
)
GATE_RESULT = record(
    {
        "gate": {"type": "string"},
        "result": one_of(list(Verdict), "What the gate found."),
        "detail": {"type": "string"},
        "figures": {
            "type": "object",
            "additionalProperties": {"type": ["string", "number", "array"], "items": {"type": "number"}},
        },
    }
)
VERIFY = record(
    {},
    {
        "propagation": record({"timeoutSeconds": {**SECONDS, "maximum": 3600}}),
        "endpoints": list_of(record({"address": text("host:port"), "connection": CONNECTION})),
        "soakSeconds": {**SECONDS, "maximum": 86_400},
    },
    about="What is checked after a change.",
)
STEP_FIELDS: dict[str, object] = {
    "set": text("The AliasSet: name, or namespace/name."),
    "alias": {"type": "string"},
    "action": one_of(list(Action), "The one call that makes the change."),
    "from": optional_name("The collection the alias points at; null for no alias."),
    "to": optional_name("The collection it should point at; null for no alias."),
    "wave": count("Waves are done in ascending order."),
    "gates": list_of(GATE_RESULT),
}
STEP_OPTIONS: dict[str, object] = {
    "fromId": {"type": "integer", "description": "Collection id, where the server has one."},
    "toId": {"type": "integer", "description": "Collection id, where the server has one."},
    "prune": {"type": "boolean", "description": "Dropped because the scope covers it and the set does not list it."},
    "gateSpecification": specification_schema(),
    "skippedGates": list_of(text("A gate that was not asked, because whoever ran this said so.")),
    "reverting": {"type": "boolean", "description": "A step of a rollback: only the gate `loaded` can hold it up."},
    "specHash": {**DIGEST, "description": "SHA-256 of what the manifest says about this alias."},
    "blocked": record({"reason": one_of(list(BlockReason), "Why."), "message": {"type": "string"}}),
}
STEP = record(STEP_FIELDS, STEP_OPTIONS)
PROPAGATED = record(
    {
        "endpoint": text("The address of a proxy."),
        "result": one_of(list(Reach), "Whether reads through the alias are answered by the new collection."),
        "detail": {"type": "string"},
        "reads": count("Reads through the alias."),
        "heals": count("Times the alias was altered again to the same collection."),
        "seconds": {"type": "number", "minimum": 0},
    }
)
RESULT_FIELDS: dict[str, object] = {
    **STEP_FIELDS,
    "outcome": one_of(list(Outcome), "What became of the step."),
    "wrote": {"type": "boolean", "description": "A call was sent that took effect, or may have."},
}
RESULT_OPTIONS: dict[str, object] = {
    **STEP_OPTIONS,
    "code": {"type": "string"},
    "message": {"type": "string"},
    "started": TIME,
    "ended": TIME,
    "propagation": list_of(PROPAGATED),
}
RESULT = record(RESULT_FIELDS, RESULT_OPTIONS)
PENDING_VERIFICATION = record(
    {
        "alias": {"type": "string"},
        "collection": text("Where the alias is, and should be."),
        "run": text("The run that moved it there, and did not verify it."),
        "reason": {"type": "string"},
    }
)
SET = record(
    {
        "name": {"type": "string"},
        "suspended": {"type": "boolean"},
        "unchanged": count("Listed aliases that are as wanted."),
        "covered": count("Live aliases in the set's scope."),
        "governed": count("Live aliases that the set lists or covers."),
        "refusals": list_of(text("A guard's sentence: nothing is written while there is one.")),
    },
    {
        "verify": VERIFY,
        "onFailure": one_of(list(OnFailure), "What becomes of the set's changes when a later one fails."),
        "source": SOURCE,
        "pendingVerification": list_of(PENDING_VERIFICATION),
    },
)


def validator(schema: Document) -> Draft202012Validator:
    """A validator that looks at times too."""
    return Draft202012Validator(schema, validate_formats=True, formats={"date-time": is_time})


def loosely(schema: Document) -> Document:
    """A schema that asks nothing but that what is there is of its type: for lines that an older or newer tool wrote."""
    kept = {key: part for key, part in schema.items() if key not in ("additionalProperties", "required", "enum")}
    if "properties" in kept:
        kept["properties"] = {name: loosely(part) for name, part in kept["properties"].items()}
    if isinstance(schema.get("additionalProperties"), dict):
        kept["additionalProperties"] = loosely(schema["additionalProperties"])
    if "items" in kept:
        kept["items"] = loosely(kept["items"])
    return kept

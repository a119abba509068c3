"""The JSON that programs read: schemas of plans, reports, the journal and all other documents, and who made them.

`schemas/` publishes these; the loader of plan files checks against them. `formatVersion` rises when a reader of the old
form would misunderstand the new one; new optional fields do not raise it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence

from reconciler.codec import Document
from reconciler.journal import Act, RunState
from reconciler.model import OnFailure, OnUnknown, SchemaPolicy
from reconciler.plan import Action, BlockReason, Verdict
from reconciler.report import Outcome, Reach
from reconciler.status import State

FORMAT_VERSION = 1


def checksum(document: Document) -> str:
    """The checksum of a plan document: of all its fields but `checksum`."""
    content = {key: value for key, value in document.items() if key != "checksum"}
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return "sha256:" + hashlib.sha256(canonical.encode()).hexdigest()


def _object(
    required: Mapping[str, object], optional: Mapping[str, object] | None = None, *, about: str = ""
) -> Document:
    schema: Document = {
        "type": "object",
        "properties": {**required, **(optional or {})},
        "required": list(required),
        "additionalProperties": False,
    }
    return {"description": about, **schema} if about else schema


def _text(about: str) -> Document:
    return {"type": "string", "description": about}


def _count(about: str) -> Document:
    return {"type": "integer", "minimum": 0, "description": about}


def _name(about: str) -> Document:
    return {"type": ["string", "null"], "description": about}


def _one_of(values: Sequence[str], about: str) -> Document:
    return {"type": "string", "enum": list(values), "description": about}


def _list(items: Document) -> Document:
    return {"type": "array", "items": items}


TIME = {"type": "string", "format": "date-time"}
DIGEST = {"type": "string", "pattern": "^sha256:[0-9a-f]{64}$", "description": "SHA-256 of what is to be done."}
TOOL = _object({"name": {"const": "aliasctl"}, "version": {"type": "string"}})
SOURCE = _object(
    {"file": {"type": "string"}},
    {"line": _count("From 1."), "column": _count("From 1.")},
    about="Where in the manifests this was written.",
)
CREDENTIAL = _object(
    {},
    {"env": _text("An environment variable's name."), "file": _text("A file's path.")},
    about="Where a credential is read from, never the credential.",
)
CONNECTION = _object(
    {
        "name": {"type": "string"},
        "uri": {"type": "string"},
        "origin": _text("Who named the address: manifest, flag or environment."),
        "timeoutSeconds": {"type": "number", "exclusiveMinimum": 0, "maximum": 3600},
        "concurrency": {"type": "integer", "minimum": 1, "maximum": 64},
    },
    {
        "token": CREDENTIAL,
        "tls": _object({}, {"ca": CREDENTIAL, "cert": CREDENTIAL, "key": CREDENTIAL, "serverName": {"type": "string"}}),
    },
)
GATE_RESULT = _object(
    {
        "gate": {"type": "string"},
        "result": _one_of(list(Verdict), "What the gate found."),
        "detail": {"type": "string"},
        "figures": {
            "type": "object",
            "additionalProperties": {"type": ["string", "number", "array"], "items": {"type": "number"}},
        },
    }
)
PERCENT = {"type": "number", "minimum": 0}
GATE_SPECIFICATION = _object(
    {},
    {
        "loaded": _object({}, {"enabled": {"type": "boolean"}, "replicas": {"type": "integer", "minimum": 1}}),
        "indexed": _object({}),
        "rows": _object(
            {},
            {
                "min": _count("The least rows."),
                "max": _count("The most rows."),
                "minPercentOfCurrent": PERCENT,
                "maxPercentOfCurrent": PERCENT,
            },
        ),
        "schema": _object(
            {
                "policy": _one_of(list(SchemaPolicy), "How alike the two collections must be."),
                "allowChanges": _list(_text("A field that may differ.")),
            }
        ),
        "contract": _object({"properties": {"type": "object", "additionalProperties": {"type": "string"}}}),
        "canary": _object(
            {"k": {"type": "integer", "minimum": 1}, "minOverlap": {"type": "number", "minimum": 0, "maximum": 1}},
            {
                "queriesFile": _text("The path of the file of query vectors."),
                "queriesSha256": {"type": "string", "pattern": "^[0-9a-f]{64}$", "description": "Of its content."},
                "sample": {"type": "integer", "minimum": 1},
                "maxLatencyRatio": {"type": "number", "exclusiveMinimum": 0},
                "field": {"type": "string"},
            },
        ),
        "onUnknown": _one_of(list(OnUnknown), "Whether a gate passes that the server cannot answer."),
    },
    about="The gates as the manifest has them; absent for the default.",
)
SECONDS = {"type": "number", "exclusiveMinimum": 0}
VERIFY = _object(
    {},
    {
        "propagation": _object({"timeoutSeconds": SECONDS}),
        "endpoints": _list(_object({"address": _text("host:port"), "connection": CONNECTION})),
        "soakSeconds": SECONDS,
    },
    about="What is checked after a change.",
)
STEP_FIELDS: dict[str, object] = {
    "set": _text("The AliasSet: name, or namespace/name."),
    "alias": {"type": "string"},
    "action": _one_of(list(Action), "The one call that makes the change."),
    "from": _name("The collection the alias points at; null for no alias."),
    "to": _name("The collection it should point at; null for no alias."),
    "wave": _count("Waves are done in ascending order."),
    "gates": _list(GATE_RESULT),
}
STEP_OPTIONS: dict[str, object] = {
    "fromId": {"type": "integer", "description": "Collection id, where the server has one."},
    "toId": {"type": "integer", "description": "Collection id, where the server has one."},
    "prune": {"type": "boolean", "description": "Dropped because the scope covers it and the set does not list it."},
    "gateSpecification": GATE_SPECIFICATION,
    "skippedGates": _list(_text("A gate that was not asked, because whoever ran this said so.")),
    "wayBack": {"type": "boolean", "description": "A step of a rollback: only the gate `loaded` can hold it up."},
    "wish": {**DIGEST, "description": "SHA-256 of what the manifest says about this alias."},
    "blocked": _object({"reason": _one_of(list(BlockReason), "Why."), "message": {"type": "string"}}),
}
STEP = _object(STEP_FIELDS, STEP_OPTIONS)
PROPAGATED = _object(
    {
        "endpoint": _text("The address of a proxy."),
        "result": _one_of(list(Reach), "Whether reads through the alias are answered by the new collection."),
        "detail": {"type": "string"},
        "reads": _count("Reads through the alias."),
        "heals": _count("Times the alias was altered again to the same collection."),
        "seconds": {"type": "number", "minimum": 0},
    }
)
RESULT_FIELDS: dict[str, object] = {
    **STEP_FIELDS,
    "outcome": _one_of(list(Outcome), "What became of the step."),
    "wrote": {"type": "boolean", "description": "A call was sent that took effect, or may have."},
}
RESULT_OPTIONS: dict[str, object] = {
    **STEP_OPTIONS,
    "code": {"type": "string"},
    "message": {"type": "string"},
    "started": TIME,
    "ended": TIME,
    "propagation": _list(PROPAGATED),
}
RESULT = _object(RESULT_FIELDS, RESULT_OPTIONS)
SET = _object(
    {
        "name": {"type": "string"},
        "suspended": {"type": "boolean"},
        "unchanged": _count("Listed aliases that are as wanted."),
        "covered": _count("Live aliases in the set's scope."),
        "governed": _count("Live aliases that the set lists or covers."),
        "refusals": _list(_text("A guard's sentence: nothing is written while there is one.")),
    },
    {
        "verify": VERIFY,
        "onFailure": _one_of(list(OnFailure), "What becomes of the set's changes when a later one fails."),
        "source": SOURCE,
    },
)


def _target(steps: Document) -> Document:
    return _object(
        {
            "address": _text("The server's identity: host:port, or the path of a Milvus Lite file."),
            "database": {"type": "string"},
            "connection": CONNECTION,
            "serverVersion": {"type": "string"},
            "offline": {"type": "boolean", "description": "The live side came from an export."},
            "aliases": _count("Aliases in the database."),
            "calls": _count("Calls to the server that planning took."),
            "sets": _list(SET),
            "steps": _list(steps),
        }
    )


def _document(
    kind: str, title: str, required: Mapping[str, object], optional: Mapping[str, object] | None = None
) -> Document:
    head = {"kind": {"const": kind}, "formatVersion": {"const": FORMAT_VERSION}}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"https://aliasctl.dev/schemas/{kind.lower()}.schema.json",
        "title": title,
        **_object({**head, **required}, optional),
    }


PLAN = _document(
    "Plan",
    "What one run would do.",
    {
        "digest": DIGEST,
        "checksum": {**DIGEST, "description": "SHA-256 of everything else in this document, as canonical JSON."},
        "created": TIME,
        "tool": TOOL,
        "summary": _object({key: _count("") for key in (*Action, "blocked", "unchanged")}),
        "targets": _list(_target(STEP)),
    },
)
REPORT = _document(
    "Report",
    "What became of each step of a plan.",
    {
        "planDigest": DIGEST,
        "tool": TOOL,
        "started": TIME,
        "ended": TIME,
        "interrupted": {"type": "boolean"},
        "exitCode": {"type": "integer", "minimum": 0, "maximum": 5},
        "summary": _object({key: _count("") for key in Outcome}),
        "targets": _list(_target(RESULT)),
    },
    {"run": _text("The run's name in the journal.")},
)
ERROR = _document(
    "Error",
    "Why a command ended without a result. Nothing was written.",
    {
        "exitCode": {"type": "integer", "minimum": 1, "maximum": 5},
        "errors": _list(_object({"code": {"type": "string"}, "message": {"type": "string"}}, {"source": SOURCE})),
    },
)
VALIDATION = _document(
    "Validation",
    "What `validate` found good.",
    {
        "sets": _count("AliasSets read."),
        "connections": _count("MilvusConnections read."),
        "aliases": _count("Aliases listed."),
        "skipped": _count("Documents of other API groups."),
        "warnings": _list(_object({"message": {"type": "string"}}, {"source": SOURCE})),
    },
)
EDIT = _document(
    "Edit",
    "What `set` changed in the manifests.",
    {
        "written": {"type": "boolean", "description": "false under --check, and where nothing had to change."},
        "aliases": _list(
            _object(
                {
                    "alias": {"type": "string"},
                    "set": {"type": "string"},
                    "from": _name("null: the alias was to be absent."),
                    "to": {"type": "string"},
                    "changed": {"type": "boolean", "description": "false: the manifests had this collection already."},
                    "protected": {"type": "boolean", "description": "apply moves it only with --allow-protected."},
                    "source": SOURCE,
                }
            )
        ),
        "files": _list(_object({"file": {"type": "string"}, "diff": _text("A unified diff.")})),
    },
)
STATUS = _document(
    "Status",
    "Desired against live, one row an alias.",
    {
        "aliases": _list(
            _object(
                {
                    "address": {"type": "string"},
                    "database": {"type": "string"},
                    "set": {"type": "string"},
                    "alias": {"type": "string"},
                    "wanted": _name("null: the alias should not exist."),
                    "live": _name("null: the alias does not exist, or its set is suspended and nobody looked."),
                    "state": _one_of(list(State), "How live compares with wanted."),
                },
                {"note": _text("What keeps the alias from changing.")},
            )
        )
    },
    {
        "unreferenced": _list(
            _object(
                {"address": {"type": "string"}, "database": {"type": "string"}, "collection": {"type": "string"}},
                {
                    "rows": _count("Exactly; absent where that could not be read."),
                    "since": {**TIME, "description": "When a recorded run moved the last alias away from it."},
                },
                about="A loaded collection that no alias points at.",
            )
        )
    },
)
VERSION = _document(
    "Version",
    "Versions of tool, client and server.",
    {
        "aliasctl": {"type": "string"},
        "python": {"type": "string"},
        "clients": {"type": "object", "additionalProperties": {"type": "string"}, "description": "By distribution."},
    },
    {"server": _object({"address": {"type": "string"}, "version": {"type": "string"}})},
)

RUN_ORIGIN: dict[str, object] = {
    "command": _text("apply, rollback or sync."),
    "source": _list(_text("What it was given: a path, a repository, a run.")),
    "user": {"type": "string"},
    "host": {"type": "string"},
    "pid": _count("The process."),
    "tool": TOOL,
    "planDigest": DIGEST,
}
PROVENANCE = _object(
    {},
    {
        "commit": _text("Its id."),
        "author": _text("Of the commit, as Name <address>."),
        "ref": _text("The branch or tag."),
        "repository": _text("Its address."),
        "signature": _text("What the commit's signature is worth, and by whom."),
        "pipeline": _text("The page of the pipeline that carried it here."),
        "modified": {"type": "boolean", "description": "Whether the files differed from the commit."},
    },
    about="Where the manifests come from, as far as it is known.",
)
PLACE: dict[str, object] = {"address": _text("The server's identity."), "database": {"type": "string"}}
ACT = _one_of(list(Act), "move: the step's own call. heal: the same alter again. revert: undoing it.")


def _journal_line(event: str, about: str, required: Document, optional: Document | None = None) -> Document:
    head = {
        "kind": {"const": "Journal"},
        "formatVersion": {"const": FORMAT_VERSION},
        "event": {"const": event},
        "run": _text("The run's name."),
        "time": TIME,
    }
    return _object({**head, **required}, optional, about=about)


JOURNAL: Document = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "$id": "https://aliasctl.dev/schemas/journal.schema.json",
    "title": "One line of the journal. Readers pass over events and fields that they do not know.",
    "oneOf": [
        _journal_line(
            "runStarted",
            "A run begins.",
            {**RUN_ORIGIN, "steps": _count("Steps that nothing blocks.")},
            {"provenance": PROVENANCE},
        ),
        _journal_line(
            "targetPlanned", "A database of the run.", {**PLACE, "connection": CONNECTION, "serverVersion": _text("")}
        ),
        _journal_line(
            "setPlanned",
            "A set of the run.",
            {**PLACE, "set": _text("The AliasSet.")},
            {"verify": VERIFY, "onFailure": _one_of(list(OnFailure), ""), "source": SOURCE},
        ),
        _journal_line("intent", "A call is about to be made.", {**PLACE, "act": ACT, **STEP_FIELDS}, STEP_OPTIONS),
        _journal_line(
            "result",
            "What became of a step; of several lines the last one counts.",
            {**PLACE, **RESULT_FIELDS},
            RESULT_OPTIONS,
        ),
        _journal_line(
            "runEnded",
            "A run is over.",
            {
                "exitCode": {"type": "integer", "minimum": 0, "maximum": 5},
                "interrupted": {"type": "boolean", "description": "A signal ended it early."},
                "seconds": {"type": "number", "minimum": 0},
                "summary": {"type": "object", "additionalProperties": _count("Steps."), "description": "By outcome."},
            },
        ),
    ],
}
HISTORY = _document(
    "History",
    "What earlier runs did, newest first.",
    {
        "journal": _text("The file."),
        "unreadableLines": _count("Lines that were left out because they cannot be read."),
        "newerLines": _count("Lines that were left out because they are of a newer format."),
        "runs": _list(
            _object(
                {
                    "id": {"type": "string"},
                    "state": _one_of(list(RunState), "interrupted: its process is gone. unfinished: nobody can tell."),
                    **RUN_ORIGIN,
                    "started": TIME,
                    "summary": _object({key: _count("") for key in Outcome}),
                    "steps": _list(
                        _object(
                            {**PLACE, **STEP_FIELDS},
                            {
                                **{name: field for name, field in RESULT_FIELDS.items() if name not in STEP_FIELDS},
                                **RESULT_OPTIONS,
                                "begun": {**ACT, "description": "A call that may or may not have been made."},
                            },
                        )
                    ),
                },
                {
                    "provenance": PROVENANCE,
                    "ended": TIME,
                    "exitCode": {"type": "integer", "minimum": 0, "maximum": 5},
                    "interrupted": {"type": "boolean", "description": "A signal ended it early."},
                },
            )
        ),
    },
)

SCHEMAS = {
    "Plan": PLAN,
    "Report": REPORT,
    "Error": ERROR,
    "Validation": VALIDATION,
    "Edit": EDIT,
    "Status": STATUS,
    "Version": VERSION,
    "Journal": JOURNAL,
    "History": HISTORY,
}

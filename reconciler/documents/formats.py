"""The JSON that programs read: schemas of plans, reports, the journal and all other documents, and who made them.

`schemas/` publishes these; the loader of plan files checks against them. `formatVersion` rises when a reader of the old
form would misunderstand the new one; new optional fields do not raise it.
"""

from __future__ import annotations

from collections.abc import Mapping

from reconciler.core.json_strict import digest_of
from reconciler.core.model import OnFailure
from reconciler.core.plan import Action
from reconciler.core.report import Outcome
from reconciler.documents.codec import Document
from reconciler.documents.records import (
    CONNECTION,
    DIGEST,
    RESULT,
    RESULT_FIELDS,
    RESULT_OPTIONS,
    SET,
    SOURCE,
    STEP,
    STEP_FIELDS,
    STEP_OPTIONS,
    TIME,
    TOOL,
    VERIFY,
)
from reconciler.documents.records import count as _count
from reconciler.documents.records import list_of as _list
from reconciler.documents.records import one_of as _one_of
from reconciler.documents.records import optional_name as _name
from reconciler.documents.records import record as _object
from reconciler.documents.records import text as _text
from reconciler.inspect.alias_status import State
from reconciler.inspect.conditions import Result, Subject
from reconciler.journal import Act, RunState

FORMAT_VERSION = 1


def checksum(document: Document) -> str:
    """The checksum of a plan document: of all its fields but `checksum`."""
    content = {key: value for key, value in document.items() if key != "checksum"}
    return digest_of(content)


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
        "summary": _object({str(key): _count("") for key in (*Action, "blocked", "unchanged")}),
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
        "summary": _object({str(key): _count("") for key in Outcome}),
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
                    "desired": _name("null: the alias should not exist."),
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
                    "summary": _object({str(key): _count("") for key in Outcome}),
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

CHECK = _document(
    "Check",
    "Whether a run could do what its sets need.",
    {
        "exitCode": {"type": "integer", "minimum": 0, "maximum": 1},
        "targets": _list(
            _object(
                {
                    "address": _text("The server's identity: host:port, or the path of a Milvus Lite file."),
                    "database": {"type": "string"},
                    "connection": CONNECTION,
                    "endpoint": {"type": "boolean", "description": "A further proxy that verify.endpoints names."},
                    "serverVersion": _text("Empty where nobody could be asked."),
                    "conditions": _list(
                        _object(
                            {
                                "condition": _one_of(list(Subject), "The server, or a call by Milvus's name of it."),
                                "result": _one_of(list(Result), "unknown: it cannot be found out without writing."),
                                "detail": {"type": "string"},
                            },
                            {"remedy": _text("What to do about one that is missing.")},
                        )
                    ),
                }
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
    "Check": CHECK,
    "Version": VERSION,
    "Journal": JOURNAL,
    "History": HISTORY,
}

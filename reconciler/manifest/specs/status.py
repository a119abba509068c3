"""The schema of `status`, which only the operator writes: for CustomResourceDefinitions alone, in their own words.

The API server drops fields that are not declared here without an error. All lists are short: an object has at most
1.5 MB. No record is derived from it, because nothing decodes a status.
"""

from __future__ import annotations

from collections.abc import Sequence

from reconciler.core.json_schema import Schema
from reconciler.manifest.specs.connection import MAX_RECEIVERS

MAX_ROWS = 100
MAX_HISTORY = 5
MAX_DROPPED = 10
MAX_MESSAGE = 1024
"""Characters of the message of a row or a rejection."""
MAX_REASON_MESSAGE = 300
"""Characters of the message of a notification."""
MAX_CONDITION_MESSAGE = 28_672
MAX_NAME = 255
MAX_PENDING_VERIFICATION = 16_000
"""Bytes of the whole list: what else may be in an object leaves no more."""
MAX_NOTIFICATIONS = 192_000
"""Bytes of all notifications of a set."""
MAX_NOTIFICATIONS_OF_LARGE_SET = 12_000
LARGE_SET = 200_000
"""Bytes of the names of aliases and collections of a set from which the lower limit holds."""

MAX_ALIASES = 1000
_MAX_ANNOTATIONS = 262_144
_CONDITION_TYPES = 8
_DIGEST = "sha256: with 64 hexadecimal digits."


def status(kind: str) -> Schema:
    """Return the schema of a kind's `status`."""
    fields = {
        "observedGeneration": _whole(
            "The generation of the object that this status is about; -1: not reconciled yet.", -1
        ),
        "conditions": _conditions(),
    }
    about = "What the operator found at the last reconciliation; only the operator writes it."
    if kind != "AliasSet":
        return _mapping(about, fields)
    # Without the default, tools that wait for a set (kstatus, and so Flux) would take one not seen yet for done.
    return _mapping(about, fields | _alias_set()) | {"default": {"observedGeneration": -1}}


def _conditions() -> Schema:
    about = (
        "Ready: whether everything is as this object specifies. Reconciling (the operator continues by itself) and"
        " Stalled (only a person can help) are present only while they are true."
    )
    fields: dict[str, Schema] = {
        "type": _text("Ready, Reconciling or Stalled.", 316, minLength=1),
        "status": {"type": "string", "description": "Whether it holds.", "enum": ["True", "False", "Unknown"]},
        "reason": _text(
            "Why, in one word, such as Succeeded, ApprovalRequired or GateFailed.",
            1024,
            minLength=1,
            pattern="^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$",
        ),
        "message": _text("Why, in a sentence, with names and numbers.", MAX_CONDITION_MESSAGE),
        "observedGeneration": _whole("The generation of the object that this is about."),
        "lastTransitionTime": _time("Since when its status is what it is."),
    }
    required = ["type", "status", "reason", "message", "lastTransitionTime"]
    keyed: Schema = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]}
    item = _mapping("One condition.", fields, required)
    return {"type": "array", "description": about, "maxItems": _CONDITION_TYPES, **keyed, "items": item}


def _alias_set() -> dict[str, Schema]:
    return {
        "lastAttemptedDigest": _digest("The digest of the last plan with changes."),
        "lastAppliedDigest": _digest("The digest of the last plan that was applied completely."),
        "lastAppliedSpec": _text(
            "Hash of the spec when it was last fully applied; tells drift from pending changes.",
            128,
        ),
        "lastHandledReconcileAt": _text(
            "The last value of the annotation aliasctl.dev/requestedAt that was handled.", _MAX_ANNOTATIONS
        ),
        "counts": _counts(),
        "aliases": _rows(
            f"The aliases that differ from the spec, at most {MAX_ROWS} of them; counts include all.",
            "One alias that differs from the spec.",
            {
                "name": _name("The alias."),
                "collection": _name("The desired collection; none if the alias must not exist."),
                "current": _name("The current collection; none if there is no such alias."),
                "state": _text(
                    "Pending: not changed yet. Blocked: a gate or protection forbids the change. Drifted: someone else"
                    " changed it. Failed: the change failed or was reverted. Unknown: the result of the change could"
                    " not be read. Contested: an older set has authority over it.",
                    64,
                ),
                "message": _message("Why."),
            },
        ),
        "pendingPlan": _pending_plan(),
        "history": _rows(
            "The last runs that changed something, or whose verification failed, newest first.",
            "One run.",
            {
                "digest": _digest("The digest of its plan."),
                "started": _time("When it began."),
                "ended": _time("When it ended."),
                "generation": _whole("The generation of the spec that it applied."),
                "result": _text("The reason of the condition Ready after it.", 128),
                "message": _message("That condition's message."),
                "acknowledged": _flag("Whether its verification failed and a reconciliation was requested since."),
                **_changes("that it made"),
                "failed": _whole("Changes that failed, or whose result is unknown."),
                "reverted": _whole("Changes that were reverted because another one failed."),
                "metrics": _text(
                    "What Prometheus showed before the moves and after, what did not pass first.", MAX_NAME
                ),
                "approvedBy": _text("Who approved the plan, as the approver states it; not a proof of identity.", 1024),
                "provenance": _mapping(
                    "Where the spec came from, as annotations such as aliasctl.dev/commit state it; not a proof.",
                    {
                        "commit": _message("The commit."),
                        "author": _message("Its author."),
                        "ref": _message("The branch or tag."),
                        "repository": _message("The repository."),
                        "signature": _message("Whether the commit's signature is valid, and by whom."),
                        "pipeline": _message("The page of the pipeline that applied it."),
                    },
                ),
            },
            at_most=MAX_HISTORY,
        ),
        "rejected": _rows(
            "Changes that were reverted (onFailure: Revert); none is retried until the spec changes.",
            "One change that is not retried.",
            {
                "alias": _name("The alias."),
                "collection": _name("The collection that it was moved back from."),
                "collectionId": _whole("That collection's id, where the server has one."),
                "specHash": _text("Hash of the aliases, gates and verification of the spec.", 128),
                "run": _text("The run that reverted it, as in the operator's log.", 64),
                "time": _time("When it was reverted."),
                "reason": _message("Why it was reverted."),
            },
        ),
        "pendingRevert": _mapping(
            "A decision to revert (onFailure: Revert) that is not carried out yet: the aliases that pendingVerification"
            " has of this run, and those that it dropped. The next reconciliation completes it.",
            {
                "run": _text("The run, as in the operator's log.", 64),
                "time": _time("When it was decided."),
                "reason": _message("Why."),
                "specHash": _text("Hash of the aliases, gates and verification of the spec.", 128),
                "dropped": _rows(
                    "Aliases that the run dropped, to be created again.",
                    "An alias that was dropped.",
                    {
                        "alias": _name("The alias."),
                        "collection": _name("The collection that it pointed at."),
                        "collectionId": _whole("That collection's id, where the server has one."),
                    },
                    at_most=MAX_DROPPED,
                ),
            },
        ),
        "notifications": _notifications(),
        "pendingVerification": _rows(
            "Aliases that were moved and not verified, because the verification failed or was interrupted, or because"
            " the run never reported its end. They are verified before a later wave starts; at most "
            f"{MAX_PENDING_VERIFICATION} bytes in all.",
            "Aliases that were moved together.",
            {
                "collection": _name("The collection that they were moved to."),
                "collectionId": _whole("That collection's id, where the server has one."),
                "from": _name("Their collection before; none if they are new."),
                "fromId": _whole("That collection's id, where the server has one."),
                "run": _text("The run that moved them, as in the operator's log.", 64),
                "reason": _message("Why they are not verified."),
                "aliases": {
                    "type": "array",
                    "description": "The aliases; * for all that this set lists there, where their names do not fit.",
                    "x-kubernetes-list-type": "atomic",
                    "maxItems": MAX_ALIASES,
                    "items": _name("An alias."),
                },
            },
            at_most=MAX_ALIASES,
        ),
    }


def _notifications() -> Schema:
    """Return what the operator has notified of, and what it has not delivered yet."""
    ends = {"from": _name("The collection before."), "to": _name("The collection after.")}
    aliases: Schema = {
        "type": "array",
        "description": "The aliases.",
        "x-kubernetes-list-type": "atomic",
        "maxItems": MAX_ALIASES,
        "items": _name("An alias."),
    }
    receivers: Schema = {
        **aliases,
        "description": "Who has not got it yet.",
        "maxItems": MAX_RECEIVERS,
        "items": _name("A receiver."),
    }
    run = _text("The run, as in the operator's log.", 64)
    fields = {
        "reported": _rows(
            "What was last reported, so that it is reported once.",
            "Aliases of which the same was reported.",
            {
                "event": _text("The event; none if all is well.", 64),
                "collection": _name("The desired collection."),
                "reason": _name("The reason."),
                "move": _mapping("A move that was not reported yet.", {"run": run, **ends}),
                "aliases": aliases,
            },
            at_most=MAX_ALIASES,
        ),
        "waiting": _rows(
            "What is not delivered yet, the oldest first.",
            "One event about some aliases.",
            {
                "number": _whole("The order of delivery."),
                "event": _text("What happened.", 64),
                "time": _time("When."),
                "connection": _name("The MilvusConnection."),
                "address": _text("The server.", 2048),
                "database": _name("The database."),
                **ends,
                "reason": _name("A word for programs."),
                "message": _message("Why."),
                "run": run,
                "planDigest": _digest("The digest of the plan."),
                "commit": _message("The commit of the spec, as its annotation states it."),
                "repository": _message("The repository."),
                "receivers": receivers,
                "aliases": {**aliases, "maxItems": MAX_ROWS},
            },
            at_most=MAX_ALIASES,
        ),
        "dropped": _whole("Notifications that were never delivered, because too many waited."),
        "incomplete": _flag("Whether changes are not reported, because what was reported does not fit any more."),
    }
    return _mapping(
        f"For receivers (notify of the MilvusConnection): at most {MAX_NOTIFICATIONS} bytes; at most"
        f" {MAX_NOTIFICATIONS_OF_LARGE_SET} where the names of aliases and collections have more than {LARGE_SET}.",
        fields,
    )


def _counts() -> Schema:
    fields = {
        "aliases": _whole("Aliases that this set lists."),
        "inSync": _whole("Those of them that are up to date."),
        "blocked": _whole("Changes that a gate or protection forbids."),
        "drift": _whole("Aliases that someone else changed after everything was applied."),
    }
    return _mapping("Numbers of aliases.", fields)


def _pending_plan() -> Schema:
    fields = {
        "digest": _digest("What the annotation aliasctl.dev/approve must hold to approve exactly this plan."),
        "created": _time("When it was made."),
        **_changes("in it"),
        "blocked": _whole("Those of them that a gate or protection forbids."),
        "steps": _rows(
            f"Its first {MAX_ROWS} changes.",
            "One change.",
            {
                "action": _text("create, alter or drop.", 64),
                "alias": _name("The alias."),
                "from": _name("The collection that it points at now; none before a create."),
                "to": _name("The desired collection; none for a drop."),
                "wave": _whole("Changes of a higher wave start when those of this one are applied and verified."),
                "blocked": _message("Why it cannot be made; none if it can."),
            },
        ),
    }
    return _mapping("The changes that wait for a person: for approval, or because of drift: Report.", fields)


def _changes(which: str) -> dict[str, Schema]:
    return {
        "creates": _whole(f"Aliases created: those {which}."),
        "alters": _whole(f"Aliases moved to another collection: those {which}."),
        "drops": _whole(f"Aliases dropped: those {which}."),
    }


def _mapping(description: str, fields: dict[str, Schema], required: Sequence[str] = ()) -> Schema:
    needed: Schema = {"required": list(required)} if required else {}
    return {"type": "object", "description": description, **needed, "properties": fields}


def _rows(description: str, each: str, fields: dict[str, Schema], *, at_most: int = MAX_ROWS) -> Schema:
    """Return the schema of a list that is always written as a whole."""
    atomic: Schema = {"type": "array", "description": description, "x-kubernetes-list-type": "atomic"}
    return atomic | {"maxItems": at_most, "items": _mapping(each, fields)}


def _text(description: str, max_length: int, **more: object) -> Schema:
    return {"type": "string", "description": description, "maxLength": max_length, **more}


def _name(description: str) -> Schema:
    return _text(description, MAX_NAME)


def _message(description: str) -> Schema:
    return _text(description, MAX_MESSAGE)


def _digest(description: str) -> Schema:
    return _text(f"{description} It is {_DIGEST}", 128)


def _time(description: str) -> Schema:
    return {"type": "string", "format": "date-time", "description": description}


def _flag(description: str) -> Schema:
    return {"type": "boolean", "description": description}


def _whole(description: str, low: int = 0) -> Schema:
    return {"type": "integer", "format": "int64", "description": description, "minimum": low}

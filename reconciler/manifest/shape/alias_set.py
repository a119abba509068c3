"""The shape of an AliasSet."""

from __future__ import annotations

from reconciler.core.json_schema import Rule, Schema
from reconciler.manifest.shape.gates import gates
from reconciler.manifest.shape.notation import (
    boolean,
    choice,
    duration,
    duration_rule,
    items,
    mapping,
    milvus_name,
    number,
    object_name,
    text,
    whole_number,
)
from reconciler.manifest.shape.verify import OWN_CONNECTION_RULE, verify

SELF_ALIAS = "an alias cannot be its own collection"
_REMEDY = 'may change only while the set is suspended; give "suspend: true" with the change, or write another set'
FIXED_CONNECTION = f"the connection {_REMEDY}"
FIXED_DATABASE = f"the database {_REMEDY}"


def alias_set(operator: bool) -> Schema:
    """The shape of its `spec`; files are not for the operator."""
    about_gates = "What must be true of a collection before an alias of this set points at it."
    fields = {
        "connectionRef": mapping(
            "The server.", {"name": object_name("A MilvusConnection in the same namespace.")}, ["name"]
        ),
        "database": milvus_name("The database on that server.", default="default"),
        "scope": _scope(),
        "aliases": items("The wanted aliases, each name once.", _alias(operator), key="name", at_most=1000),
        "limits": _limits(),
        "gates": gates(about_gates, operator=operator, on_unknown=True),
        "verify": verify(),
        "onFailure": choice(
            "What becomes of a run's other changes of this set when one fails. Stop: no more are started. Revert: those"
            " made are undone, too; and none is made while one is blocked.",
            "Stop",
            "Revert",
        ),
        "suspend": boolean("Leave this set alone until it is false again.", False),
        **_operation(),
    }
    about = "Which alias of one Milvus database points at which collection."
    durations = [duration_rule(field, hours=24) for field in ("interval", "deletionTimeout")]
    return mapping(about, fields, ["connectionRef"], [OWN_CONNECTION_RULE, *_fixed(), *durations])


def _fixed() -> list[Rule]:
    """Which aliases are meant: another answer is not an edit but another set, so a person must look at the plan."""
    suspended = "(has(self.suspend) && self.suspend)"
    return [
        Rule(FIXED_CONNECTION, f"{suspended} || self.connectionRef.name == oldSelf.connectionRef.name", None),
        Rule(
            FIXED_DATABASE,
            f"{suspended} || (has(self.database) == has(oldSelf.database)"
            " && (!has(self.database) || self.database == oldSelf.database))",
            None,
        ),
    ]


def _operation() -> dict[str, Schema]:
    """What only the operator obeys."""
    return {
        "interval": duration(
            "Only the operator obeys this: how long it waits at most between two looks at the server",
            hours=24,
            default="5m",
        ),
        "approval": choice(
            "Only the operator obeys this. Auto: it makes the changes by itself. Manual: it shows them in"
            " status.pendingPlan, and makes them once the annotation aliasctl.dev/approve holds that plan's digest.",
            "Auto",
            "Manual",
        ),
        "drift": choice(
            "Only the operator obeys this, where somebody else moved or dropped an alias that was in place. Correct:"
            " it is put back. Report: the status tells it, until this set is changed.",
            "Correct",
            "Report",
        ),
        "deletionPolicy": choice(
            "Only the operator obeys this, when this object is deleted. Orphan: the aliases stay in Milvus. Delete:"
            " those that are listed, not protected, and still point where this set says are dropped.",
            "Orphan",
            "Delete",
        ),
        "deletionTimeout": duration(
            "Only the operator obeys this: how long a deletion with the policy Delete may take; after that the aliases"
            " stay in Milvus, and an Event says so",
            hours=24,
            default="5m",
        ),
    }


def _alias(operator: bool) -> Schema:
    about_gates = "Gates of this alias, each instead of the set's gate of that name."
    fields = {
        "name": milvus_name("The alias."),
        "collection": milvus_name("The collection it points at; none where the state is Absent."),
        "state": choice("Absent: there must be no such alias.", "Present", "Absent"),
        "wave": whole_number("A wave starts when all lower ones are done and verified.", 0, 1000, default=0),
        "protect": boolean("Never drop it, and alter it only with --allow-protected.", False),
        "gates": gates(about_gates, operator=operator, on_unknown=False),
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
    return mapping("One alias.", fields, ["name"], rules)


def _scope() -> Schema:
    fields = {
        "include": _globs("A live alias that matches, and that the set does not list, is dropped."),
        "exclude": _globs("Aliases left alone although an include matches them."),
        "protect": _globs("Aliases never dropped, and altered only with --allow-protected."),
    }
    return mapping("The alias names over which this set has authority, beside those it lists.", fields)


def _globs(description: str) -> Schema:
    desired = "expected letters, digits, underscores, * and ?, at most 255"
    about = "A pattern for whole alias names: * is any run of characters, ? is one."
    return items(description, text(about, "[A-Za-z0-9_*?]{1,255}", desired, 255))


def _limits() -> Schema:
    fields = {
        "maxDrops": whole_number("The most aliases that one run may drop.", 0, default=10),
        "maxChangePercent": number("The most of the live aliases, in percent, that one run may alter or drop.", 0, 100),
        "allowEmpty": boolean("Whether a set that lists no collection may drop all that its scope covers.", False),
    }
    return mapping("How much one run may change of this set.", fields)

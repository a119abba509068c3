"""Records of the custom resources: parsed once per generation, without the fields that are not needed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias, TypeVar, cast

from msgspec import Struct, field

from reconciler.core.errors import InvalidInput
from reconciler.core.provenance import Provenance
from reconciler.manifest.objects import read_alias_set, read_connection
from reconciler.manifest.records import AliasSetManifest, ConnectionManifest

Body: TypeAlias = Mapping[str, object]
"""A Kubernetes object as its API gives it."""
T = TypeVar("T")

PREFIX = "aliasctl.dev/"
REQUESTED_AT = PREFIX + "requestedAt"
"""The annotation that requests a reconciliation now, by any new value."""
APPROVE = PREFIX + "approve"
"""The annotation that approves the plan with this digest."""
FINALIZER = PREFIX + "drop-aliases"
PROVENANCE = {name: PREFIX + name for name in ("commit", "author", "ref", "repository", "signature", "pipeline")}
"""The annotations about the origin of an object. Whatever creates the object can set them, so they prove nothing."""


class Ref(Struct, frozen=True, order=True):
    """The name of an object."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


class SetObject(Struct, frozen=True):
    """An AliasSet. `deleting` is when it was deleted, RFC 3339; `spec` is the spec, or why it is invalid."""

    ref: Ref
    uid: str
    generation: int
    created: str
    spec: AliasSetManifest | InvalidInput
    resource_version: str = ""
    deleting: str | None = None
    finalizers: tuple[str, ...] = ()
    annotations: Mapping[str, str] = {}
    status: Body = {}
    approver: str = ""
    provenance: Provenance = field(default_factory=Provenance)

    @property
    def age(self) -> tuple[str, str]:
        """Return the order of claims: the older object comes first."""
        return (self.created, self.uid)

    @property
    def version(self) -> int:
        """Return the order of the versions of an object; 0 if the versions of the server are not numbers."""
        return int(self.resource_version) if self.resource_version.isdecimal() else 0

    @property
    def requested_at(self) -> str | None:
        return self.annotations.get(REQUESTED_AT)

    @property
    def approved(self) -> str | None:
        return self.annotations.get(APPROVE)

    @property
    def keeps_finalizer(self) -> bool:
        return FINALIZER in self.finalizers

    def asks_as(self, other: SetObject) -> bool:
        """Return whether both versions differ at most in their status, so that nothing is to be reconciled."""
        return (self.uid, self.generation, self.deleting, self.annotations, self.finalizers) == (
            other.uid,
            other.generation,
            other.deleting,
            other.annotations,
            other.finalizers,
        )


class ConnectionObject(Struct, frozen=True):
    """A MilvusConnection; `spec` as for `SetObject`."""

    ref: Ref
    uid: str
    generation: int
    spec: ConnectionManifest | InvalidInput


def ref_of(body: Body) -> Ref:
    metadata = _mapping(body, "metadata")
    return Ref(str(metadata["namespace"]), str(metadata["name"]))


def set_object(body: Body, earlier: SetObject | None = None) -> SetObject:
    """Return the record of an AliasSet; the spec of an `earlier` one is taken over if that has not changed."""
    metadata = _mapping(body, "metadata")
    uid, generation = str(metadata["uid"]), int(str(metadata.get("generation", 0)))
    known = earlier is not None and (earlier.uid, earlier.generation) == (uid, generation)
    annotations = _mapping(metadata, "annotations")
    deleting = metadata.get("deletionTimestamp")
    return SetObject(
        ref=ref_of(body),
        uid=uid,
        generation=generation,
        created=str(metadata.get("creationTimestamp", "")),
        spec=earlier.spec if earlier and known else _spec(read_alias_set, body),
        resource_version=str(metadata.get("resourceVersion", "")),
        deleting=str(deleting) if deleting else None,
        finalizers=tuple(cast("list[str]", metadata.get("finalizers") or ())),
        annotations={name: str(annotations[name]) for name in (REQUESTED_AT, APPROVE) if name in annotations},
        status=_mapping(body, "status"),
        approver=_approver(metadata) if APPROVE in annotations else "",
        provenance=Provenance.of({name: annotations.get(key) for name, key in PROVENANCE.items()}),
    )


def connection_object(body: Body, earlier: ConnectionObject | None = None) -> ConnectionObject:
    """Return the record of a MilvusConnection; arguments as for `set_object`."""
    metadata = _mapping(body, "metadata")
    uid, generation = str(metadata["uid"]), int(str(metadata.get("generation", 0)))
    if earlier and (earlier.uid, earlier.generation) == (uid, generation):
        return earlier
    return ConnectionObject(ref_of(body), uid, generation, _spec(read_connection, body))


def _spec(read: Callable[[Body], T], body: Body) -> T | InvalidInput:
    try:
        return read(body)
    except InvalidInput as error:
        return error


def _approver(metadata: Body) -> str:
    """Return the name of the client that wrote the approval; the name is not verified."""
    for entry in cast("list[Body]", metadata.get("managedFields") or ()):
        fields = _mapping(_mapping(_mapping(entry, "fieldsV1"), "f:metadata"), "f:annotations")
        if f"f:{APPROVE}" in fields:
            return f"{entry.get('manager', 'somebody')} (unverified)"
    return "somebody (unverified)"


def number_in(body: Body, name: str) -> int | None:
    """Return an id that a status holds as text; None if there is none."""
    return int(str(body[name])) if body.get(name) else None


def _mapping(body: Body, name: str) -> Body:
    return cast("Body", body.get(name) or {})

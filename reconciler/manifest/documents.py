"""A document without problems → a record."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NotRequired, TypedDict, cast

from reconciler.catalog.address import normalise
from reconciler.core.gates import Gates
from reconciler.core.model import (
    Alias,
    Credential,
    Limits,
    OnFailure,
    Propagation,
    Scope,
    SecretKeyRef,
    Source,
    Tls,
    Verify,
)
from reconciler.manifest.durations import parse_duration
from reconciler.manifest.gates import Content, gates_of
from reconciler.manifest.records import (
    AliasSetManifest,
    Approval,
    ConnectionManifest,
    DeletionPolicy,
    DriftPolicy,
    Operation,
)
from reconciler.manifest.yaml_marks import Node


class _Metadata(TypedDict):
    name: str
    namespace: NotRequired[str]


class _Alias(TypedDict):
    name: str
    collection: NotRequired[str]
    wave: NotRequired[int]
    protect: NotRequired[bool]
    gates: NotRequired[dict[str, Any]]


class _Limits(TypedDict, total=False):
    maxDrops: int
    maxChangePercent: float
    allowEmpty: bool


class _Propagation(TypedDict, total=False):
    timeout: str


class _Verify(TypedDict, total=False):
    propagation: _Propagation
    endpoints: list[dict[Literal["name"], str]]
    soak: str


class _AliasSetSpec(TypedDict):
    connectionRef: dict[Literal["name"], str]
    database: NotRequired[str]
    scope: NotRequired[dict[Literal["include", "exclude", "protect"], list[str]]]
    aliases: NotRequired[list[_Alias]]
    limits: NotRequired[_Limits]
    gates: NotRequired[dict[str, Any]]
    verify: NotRequired[_Verify]
    onFailure: NotRequired[Literal["Stop", "Revert"]]
    suspend: NotRequired[bool]
    interval: NotRequired[str]
    approval: NotRequired[Literal["Auto", "Manual"]]
    drift: NotRequired[Literal["Correct", "Report"]]
    deletionPolicy: NotRequired[Literal["Orphan", "Delete"]]
    deletionTimeout: NotRequired[str]


class _AliasSet(TypedDict):
    metadata: _Metadata
    spec: _AliasSetSpec


class _SecretKeyRef(TypedDict):
    name: str
    key: str


class _Token(TypedDict, total=False):
    env: str
    file: str
    secretKeyRef: _SecretKeyRef


class _Tls(TypedDict, total=False):
    caFile: str
    caSecretKeyRef: _SecretKeyRef
    certFile: str
    certSecretKeyRef: _SecretKeyRef
    keyFile: str
    keySecretKeyRef: _SecretKeyRef
    serverName: str


class _ConnectionSpec(TypedDict):
    uri: str
    token: NotRequired[_Token]
    tls: NotRequired[_Tls]
    timeout: NotRequired[str]
    concurrency: NotRequired[int]
    serverVersion: NotRequired[str]


class _Connection(TypedDict):
    metadata: _Metadata
    spec: _ConnectionSpec


def connection(root: Node, folder: Path) -> ConnectionManifest:
    """The record of a MilvusConnection.

    Args:
        root: a document in which `validation.problems_of` found nothing.
        folder: where its file is; relative paths start there.
    """
    document = cast("_Connection", root.value)
    spec = document["spec"]
    uri, address = normalise(spec["uri"], folder)
    concurrency = spec.get("concurrency")
    return ConnectionManifest(
        name=document["metadata"]["name"],
        namespace=document["metadata"].get("namespace", ""),
        uri=uri,
        address=address,
        token=_token(spec["token"], folder) if "token" in spec else None,
        tls=_tls(spec["tls"], folder) if "tls" in spec else None,
        timeout=parse_duration(spec["timeout"]) if "timeout" in spec else None,
        concurrency=None if concurrency is None else int(concurrency),
        server_version=spec.get("serverVersion", ""),
        source=root.at(("metadata", "name")).source,
    )


def alias_set(root: Node, contents: Mapping[str, Content]) -> AliasSetManifest:
    """The record of an AliasSet, every alias with the gates that hold for it.

    Args:
        root: a document in which `validation.problems_of` found nothing.
        contents: the files whose content counts, by the name it gives them.
    """
    document = cast("_AliasSet", root.value)
    spec = document["spec"]
    gates, scope = spec.get("gates", {}), spec.get("scope", {})
    limits, verify = spec.get("limits", {}), spec.get("verify", {})
    shared = gates_of(gates, contents)
    return AliasSetManifest(
        name=document["metadata"]["name"],
        namespace=document["metadata"].get("namespace", ""),
        connection_name=spec["connectionRef"]["name"],
        connection_source=root.at(("spec", "connectionRef", "name")).source,
        database=spec.get("database"),
        aliases=tuple(
            _alias(
                entry,
                gates_of({**gates, **entry["gates"]}, contents) if "gates" in entry else shared,
                node.fields["name"].source,
            )
            for entry, node in zip(spec.get("aliases", []), root.at(("spec", "aliases")).items, strict=True)
        ),
        scope=Scope(tuple(scope.get("include", ())), tuple(scope.get("exclude", ())), tuple(scope.get("protect", ()))),
        limits=Limits(
            max_drops=int(limits.get("maxDrops", Limits().max_drops)),
            max_change_percent=limits.get("maxChangePercent"),
            allow_empty=limits.get("allowEmpty", False),
        ),
        verify=_verify(verify),
        endpoints={
            endpoint["name"]: root.at(("spec", "verify", "endpoints", index, "name")).source
            for index, endpoint in enumerate(verify.get("endpoints", []))
        },
        on_failure=OnFailure(spec.get("onFailure", OnFailure.STOP)),
        suspend=spec.get("suspend", False),
        operation=_operation(spec),
        source=root.at(("metadata", "name")).source,
    )


def _alias(entry: _Alias, gates: Gates, source: Source) -> Alias:
    return Alias(
        name=entry["name"],
        collection=entry.get("collection"),
        wave=int(entry.get("wave", 0)),
        protect=entry.get("protect", False),
        gates=gates,
        source=source,
    )


def _verify(verify: _Verify) -> Verify:
    propagation = verify.get("propagation")
    return Verify(
        propagation=None if propagation is None else _propagation(propagation),
        soak=parse_duration(verify["soak"], hours=24) if "soak" in verify else None,
    )


def _propagation(propagation: _Propagation) -> Propagation:
    return Propagation(parse_duration(propagation["timeout"])) if "timeout" in propagation else Propagation()


def _operation(spec: _AliasSetSpec) -> Operation:
    default = Operation()
    return Operation(
        interval=parse_duration(spec["interval"], hours=24) if "interval" in spec else default.interval,
        approval=Approval(spec.get("approval", default.approval)),
        drift=DriftPolicy(spec.get("drift", default.drift)),
        deletion_policy=DeletionPolicy(spec.get("deletionPolicy", default.deletion_policy)),
        deletion_timeout=(
            parse_duration(spec["deletionTimeout"], hours=24) if "deletionTimeout" in spec else default.deletion_timeout
        ),
    )


def _token(token: _Token, folder: Path) -> Credential:
    if "env" in token:
        return Credential(env=token["env"])
    return _credential(token.get("file"), token.get("secretKeyRef"), folder)


def _tls(tls: _Tls, folder: Path) -> Tls:
    def part(file: str | None, secret: _SecretKeyRef | None) -> Credential | None:
        return _credential(file, secret, folder) if file or secret else None

    return Tls(
        ca=part(tls.get("caFile"), tls.get("caSecretKeyRef")),
        cert=part(tls.get("certFile"), tls.get("certSecretKeyRef")),
        key=part(tls.get("keyFile"), tls.get("keySecretKeyRef")),
        server_name=tls.get("serverName"),
    )


def _credential(file: str | None, secret: _SecretKeyRef | None, folder: Path) -> Credential:
    if secret:
        return Credential(secret=SecretKeyRef(secret["name"], secret["key"]))
    return Credential(file=str((folder / file).absolute()) if file else None)

"""A document without problems → a record."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, NotRequired, TypedDict, cast

from reconciler.manifest.address import normalise
from reconciler.manifest.durations import parse_duration
from reconciler.manifest.records import AliasSetManifest, ConnectionManifest
from reconciler.manifest.yaml_marks import Node
from reconciler.model import Alias, Credential, Gates, Limits, LoadedGate, OnUnknown, Scope, SecretKeyRef, Tls


class _Metadata(TypedDict):
    name: str
    namespace: NotRequired[str]


class _Loaded(TypedDict, total=False):
    enabled: bool
    replicas: int


class _Gates(TypedDict, total=False):
    loaded: _Loaded
    onUnknown: Literal["Fail", "Pass"]


class _Alias(TypedDict):
    name: str
    collection: NotRequired[str]
    wave: NotRequired[int]
    protect: NotRequired[bool]
    gates: NotRequired[_Gates]


class _Limits(TypedDict, total=False):
    maxDrops: int
    maxChangePercent: float
    allowEmpty: bool


class _AliasSetSpec(TypedDict):
    connectionRef: dict[Literal["name"], str]
    database: NotRequired[str]
    scope: NotRequired[dict[Literal["include", "exclude", "protect"], list[str]]]
    aliases: NotRequired[list[_Alias]]
    limits: NotRequired[_Limits]
    gates: NotRequired[_Gates]
    suspend: NotRequired[bool]


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
        source=root.at(("metadata", "name")).source,
    )


def alias_set(root: Node) -> AliasSetManifest:
    """The record of an AliasSet, every alias with the gates that hold for it.

    Args:
        root: a document in which `validation.problems_of` found nothing.
    """
    document = cast("_AliasSet", root.value)
    spec = document["spec"]
    gates, scope, limits = spec.get("gates", {}), spec.get("scope", {}), spec.get("limits", {})
    return AliasSetManifest(
        name=document["metadata"]["name"],
        namespace=document["metadata"].get("namespace", ""),
        connection_name=spec["connectionRef"]["name"],
        connection_source=root.at(("spec", "connectionRef", "name")).source,
        database=spec.get("database"),
        aliases=tuple(
            _alias(entry, gates, root.at(("spec", "aliases", index, "name")))
            for index, entry in enumerate(spec.get("aliases", []))
        ),
        scope=Scope(tuple(scope.get("include", ())), tuple(scope.get("exclude", ())), tuple(scope.get("protect", ()))),
        limits=Limits(
            max_drops=int(limits.get("maxDrops", Limits().max_drops)),
            max_change_percent=limits.get("maxChangePercent"),
            allow_empty=limits.get("allowEmpty", False),
        ),
        suspend=spec.get("suspend", False),
        source=root.at(("metadata", "name")).source,
    )


def _alias(entry: _Alias, set_gates: _Gates, name: Node) -> Alias:
    gates: _Gates = {**set_gates, **entry.get("gates", {})}
    loaded = gates.get("loaded")
    replicas = None if loaded is None else loaded.get("replicas")
    return Alias(
        name=entry["name"],
        collection=entry.get("collection"),
        wave=int(entry.get("wave", 0)),
        protect=entry.get("protect", False),
        gates=Gates(
            loaded=None if loaded is None else LoadedGate(loaded.get("enabled", True), replicas and int(replicas)),
            on_unknown=OnUnknown(gates.get("onUnknown", OnUnknown.FAIL)),
        ),
        source=name.source,
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

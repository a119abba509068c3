"""A document without problems → a record."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypedDict, TypeVar, cast

import msgspec

from reconciler.catalog.address import normalise
from reconciler.core.durations import own_type
from reconciler.core.errors import InvalidInput, Problem
from reconciler.core.json_schema import whole_numbers
from reconciler.core.metrics import DEFAULT_QUANTILE, Metric, Preset, bound
from reconciler.core.model import (
    DEFAULT_TIMEOUT_SECONDS,
    Alias,
    Credential,
    Hook,
    Label,
    Prometheus,
    Propagation,
    Receiver,
    SecretKeyRef,
    Tls,
    Verify,
)
from reconciler.core.record import Record
from reconciler.manifest.gates import Content, gates_of, named_hooks
from reconciler.manifest.records import AliasSetManifest, ConnectionManifest
from reconciler.manifest.specs.alias_set import AliasSetSpec, AliasSpec, MetricSpec, VerifySpec
from reconciler.manifest.specs.connection import (
    HttpSpec,
    MilvusConnectionSpec,
    PrometheusSpec,
    ReceiverSpec,
    TlsSpec,
    TokenSpec,
)
from reconciler.manifest.yaml_marks import Node

_Spec = TypeVar("_Spec", bound=Record)


def connection(root: Node, folder: Path) -> ConnectionManifest:
    """Return the record of a MilvusConnection.

    Args:
        root: a document in which `validation.problems_of` found nothing.
        folder: where its file is; relative paths start there.

    Raises:
        InvalidInput: a number is out of range.
    """
    spec = _spec(root, MilvusConnectionSpec)
    uri, address = normalise(spec.uri, folder)
    return ConnectionManifest(
        name=_text(root, "name"),
        namespace=_text(root, "namespace"),
        uri=uri,
        address=address,
        token=_token(spec.token, folder),
        tls=_tls(spec.tls, folder) if spec.tls else None,
        timeout=spec.timeout,
        concurrency=spec.concurrency,
        server_version=spec.server_version or "",
        source=root.at(("metadata", "name")).source,
        hooks=tuple(Hook(name=hook.name, **_http_endpoint(hook, hook.secret, folder)) for hook in spec.hooks),
        prometheus=_prometheus(spec.prometheus, folder) if spec.prometheus else None,
        notify=tuple(_receiver(item, folder) for item in spec.notify),
    )


def alias_set(root: Node, contents: Mapping[str, Content]) -> AliasSetManifest:
    """Return the record of an AliasSet, every alias with the gates that hold for it.

    Args:
        root: a document in which `validation.problems_of` found nothing.
        contents: the files whose content counts, by the name it gives them.

    Raises:
        InvalidInput: a number is out of range.
    """
    spec = _spec(root, AliasSetSpec)
    try:
        aliases = tuple(_aliases(spec, root.at(("spec", "aliases")).items, contents))
    except msgspec.ValidationError as error:
        raise InvalidInput(Problem(str(error), root.at(("spec",)).source)) from error
    return AliasSetManifest(
        name=_text(root, "name"),
        namespace=_text(root, "namespace"),
        connection_name=spec.connection_ref.name,
        connection_source=root.at(("spec", "connectionRef", "name")).source,
        database=spec.database,
        aliases=aliases,
        scope=spec.scope,
        limits=spec.limits,
        verify=_verify(spec.verify),
        endpoints={
            endpoint.name: root.at(("spec", "verify", "endpoints", index, "name")).source
            for index, endpoint in enumerate(spec.verify.endpoints)
        },
        hooks=tuple((node.text, node.source) for node in named_hooks(root)),
        on_failure=spec.on_failure,
        suspend=spec.suspend,
        operation=spec,
        source=root.at(("metadata", "name")).source,
        depends_on={
            other.name: root.at(("spec", "dependsOn", index, "name")).source
            for index, other in enumerate(spec.depends_on)
        },
    )


def _spec(root: Node, kind: type[_Spec]) -> _Spec:
    spec = cast("dict[str, dict[str, Any]]", root.value)["spec"]
    try:
        return msgspec.convert(whole_numbers(spec), kind, dec_hook=own_type)
    except msgspec.ValidationError as error:
        raise InvalidInput(Problem(str(error), root.at(("spec",)).source)) from error


def _text(root: Node, name: str) -> str:
    node = root.find("metadata", name)
    return node.text if node else ""


def _aliases(spec: AliasSetSpec, nodes: Sequence[Node], contents: Mapping[str, Content]) -> Iterator[Alias]:
    shared = gates_of(spec.gates, contents)
    for alias, node in zip(spec.aliases, nodes, strict=True):
        yield Alias(
            name=alias.name,
            collection=alias.collection,
            wave=alias.wave,
            protect=alias.protect,
            gates=shared if alias.gates is None else gates_of({**spec.gates, **alias.gates}, contents),
            metrics=_metrics(spec, alias) if alias.collection else (),
            source=node.fields["name"].source,
        )


def _metrics(spec: AliasSetSpec, alias: AliasSpec) -> tuple[Metric, ...]:
    """Return the metrics of an alias: its own, and those of the set with other names."""
    own = [_metric(metric) for metric in alias.verify.metrics] if alias.verify else []
    names = {metric.name for metric in own}
    shared = (_metric(metric) for metric in spec.verify.metrics)
    return (*(metric for metric in shared if metric.name not in names), *own)


def _metric(spec: MetricSpec) -> Metric:
    is_latency = spec.preset is Preset.LATENCY
    return Metric(
        name=spec.name or str(spec.preset),
        preset=spec.preset,
        query=spec.query or "",
        quantile=(spec.quantile or DEFAULT_QUANTILE) if is_latency else None,
        max=bound(spec.max) if spec.max else None,
        min=bound(spec.min) if spec.min else None,
        max_ratio=spec.max_ratio,
    )


def _verify(spec: VerifySpec) -> Verify:
    return Verify(
        propagation=Propagation(float(spec.propagation.timeout)) if spec.propagation else None,
        endpoint_timeouts={item.name: float(item.timeout) for item in spec.endpoints if item.timeout},
        soak=float(spec.soak) if spec.soak else None,
    )


class _HttpEndpoint(TypedDict):
    """The fields of an `HttpEndpoint`."""

    uri: str
    secret: Credential | None
    tls: Tls | None
    timeout: float


def _http_endpoint(spec: HttpSpec, secret: TokenSpec | None, folder: Path) -> _HttpEndpoint:
    """Return what the records of all systems beside Milvus have in common. `secret`: their token or signing key."""
    return {
        "uri": _uri(spec.uri),
        "secret": _token(secret, folder),
        "tls": _tls(spec.tls, folder) if spec.tls else None,
        "timeout": float(spec.timeout) if spec.timeout else DEFAULT_TIMEOUT_SECONDS,
    }


def _prometheus(spec: PrometheusSpec, folder: Path) -> Prometheus:
    labels = (Label(name, value) for name, value in sorted(spec.labels.items()))
    return Prometheus(labels=tuple(labels), **_http_endpoint(spec, spec.token, folder))


def _uri(written: str) -> str:
    scheme, separator, rest = written.partition("://")
    return scheme.lower() + separator + rest


def _receiver(spec: ReceiverSpec, folder: Path) -> Receiver:
    return Receiver(
        name=spec.name,
        uri=_uri(spec.uri or ""),
        uri_from=_token(spec.uri_from, folder),
        secret=_token(spec.secret, folder),
        tls=_tls(spec.tls, folder) if spec.tls else None,
        timeout=float(spec.timeout) if spec.timeout else DEFAULT_TIMEOUT_SECONDS,
        events=spec.events,
        format=spec.format,
    )


def _token(spec: TokenSpec | None, folder: Path) -> Credential | None:
    return _credential(spec.file, spec.secret_key_ref, folder, env=spec.env) if spec else None


def _tls(spec: TlsSpec, folder: Path) -> Tls:
    return Tls(
        ca=_credential(spec.ca_file, spec.ca_secret_key_ref, folder),
        cert=_credential(spec.cert_file, spec.cert_secret_key_ref, folder),
        key=_credential(spec.key_file, spec.key_secret_key_ref, folder),
        server_name=spec.server_name,
    )


def _credential(
    file: str | None, secret: SecretKeyRef | None, folder: Path, *, env: str | None = None
) -> Credential | None:
    """Return where something is read from; None where nothing is named."""
    path = str((folder / file).absolute()) if file else None
    return Credential(env, path, secret) if env or file or secret else None

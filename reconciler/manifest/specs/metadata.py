"""The metadata of a manifest: what is read of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from reconciler.core.fields import NamespaceName, ObjectName, about
from reconciler.core.record import Record


class Metadata(Record, frozen=True, kw_only=True):
    name: Annotated[ObjectName, about("The object's name.")]
    namespace: Annotated[NamespaceName | None, about("Its namespace.")] = None
    labels: Annotated[Mapping[str, str], about("Kubernetes labels; ignored here.")] = {}
    annotations: Annotated[Mapping[str, str], about("Kubernetes annotations; ignored here.")] = {}

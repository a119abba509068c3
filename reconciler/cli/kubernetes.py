"""The Kubernetes cluster of a command: options as kubectl has them, and what must be installed."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from reconciler.cli import options, values
from reconciler.cli.help_page import KUBERNETES
from reconciler.core.errors import AliasctlError

if TYPE_CHECKING:
    from reconciler.operator.cluster import Cluster

MANAGER = "aliasctl-approve"
"""Tells the approvals of a person from what the operator writes."""


class Access(Struct, frozen=True):
    """Which cluster and namespace are meant; None for those of the kubeconfig."""

    kubeconfig: Path | None
    context: str | None
    namespace: str | None

    def connect(self, command: str) -> tuple[Cluster, str]:
        """Return the cluster, and the namespace. Raises `AliasctlError`: a package is missing, or the kubeconfig."""
        require_installed(command, "httpx2", "lightkube")
        if self.kubeconfig and os.pathsep in str(self.kubeconfig) and not self.kubeconfig.exists():
            raise AliasctlError("KUBECONFIG names several files; choose one with --kubeconfig")
        from reconciler.operator.cluster import Cluster, load_config

        config = load_config(self.kubeconfig, self.context)
        return Cluster(config, MANAGER), self.namespace or str(config.namespace)


access_options = options.option_group(
    "access",
    Access,
    options.name_option("-n", "--namespace", help="Namespace; by default that of the context."),
    options.name_option("--context", help="Context of the kubeconfig; by default the current one."),
    options.file_option(
        "--kubeconfig",
        type=values.file_path,
        envvar="KUBECONFIG",
        show_envvar=True,
        help="By default ~/.kube/config, or in a pod its service account.",
    ),
    heading=KUBERNETES,
)


def require_installed(user: str, *packages: str) -> None:
    """Raise `AliasctlError` unless these packages of the extra [operator] are installed. `user`: what needs them."""
    if missing := [name for name in packages if find_spec(name) is None]:
        remedy = "pip install '.[operator]' in a clone of aliasctl"
        raise AliasctlError(f"{user} needs {', '.join(missing)}: {remedy}")

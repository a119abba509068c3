"""`aliasctl operator`."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import click

from reconciler.cli import output
from reconciler.core.errors import AliasctlError, UsageError
from reconciler.service.logging import LEVELS, configure_logging


@click.command()
@click.option("--namespace", "namespaces", multiple=True, metavar="NAME", help="Work on this namespace; repeats.")
@click.option("--all-namespaces", is_flag=True, help="Work on the whole cluster.")
@click.option("--read-only", is_flag=True, help="Change nothing in Milvus; status and events tell what would change.")
@click.option("--lease-namespace", metavar="NAME", help="Where the Lease is; by default where the pod is.")
@click.option("--lease-name", default="aliasctl-operator", show_default=True, metavar="NAME", help="The Lease's name.")
@click.option(
    "--listen", default="0.0.0.0:8080", show_default=True, metavar="HOST:PORT", help="For /healthz, /readyz, /metrics."
)
@click.option(
    "--kubeconfig",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Outside a cluster; by default the pod's service account, or $KUBECONFIG.",
)
@click.option("--alias-info", is_flag=True, help="Also a metric series for each alias.")
@click.option("--log-format", type=click.Choice(["json", "console"]), default="json", show_default=True)
@click.option("--log-level", type=click.Choice(LEVELS), default="info", show_default=True)
def operator(
    namespaces: tuple[str, ...],
    all_namespaces: bool,
    read_only: bool,
    lease_namespace: str | None,
    lease_name: str,
    listen: str,
    kubeconfig: Path | None,
    alias_info: bool,
    log_format: str,
    log_level: str,
) -> None:
    """Keep the AliasSets of a Kubernetes cluster true in Milvus, until stopped.

    Needs the extra [operator]. One process works at a time, the one that holds the Lease; others stand by.
    """
    if all_namespaces == bool(namespaces):
        raise UsageError("say --namespace NAME (which repeats), or --all-namespaces")
    missing = [name for name in ("kopf", "lightkube", "prometheus_client") if find_spec(name) is None]
    if missing:
        remedy = "pip install '.[operator]' in a clone of aliasctl"
        raise AliasctlError(f"the operator needs {', '.join(missing)}: {remedy}")

    from reconciler.operator.cluster import own_namespace
    from reconciler.operator.main import Settings, run
    from reconciler.operator.objects import Ref

    color = output.console(stderr=True).color_system is not None
    configure_logging("console" if log_format == "console" else "json", log_level, color=color, also=["kopf"])
    lease = Ref(lease_namespace or own_namespace(kubeconfig), lease_name)
    raise SystemExit(run(Settings(namespaces, read_only, lease, listen, kubeconfig, alias_info)))

"""`aliasctl operator`: the Kubernetes operator."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from threading import Event

import click

from reconciler.cli import options
from reconciler.cli.help_page import Command
from reconciler.cli.kubernetes import require_installed
from reconciler.core.errors import UsageError
from reconciler.service.logging import configure_logging


@click.command("operator", cls=Command)
@click.option(
    "--namespace", "namespaces", multiple=True, metavar="NAME", help="Work on this namespace. Can be repeated."
)
@click.option("--all-namespaces", is_flag=True, help="Work on the whole cluster.")
@click.option(
    "--read-only", is_flag=True, help="Change nothing in Milvus; report what would change in status and events."
)
@click.option("--lease-namespace", metavar="NAME", help="Namespace of the Lease; by default that of the pod.")
@click.option("--lease-name", default="aliasctl-operator", show_default=True, metavar="NAME", help="Name of the Lease.")
@options.listen_option("0.0.0.0:8080", help="Address of /healthz, /readyz, /metrics and the status page /.")
@options.allow_host_option
@options.no_status_page_option
@options.file_option(
    "--kubeconfig",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Needed outside a cluster; by default the pod's service account, or $KUBECONFIG.",
)
@click.option("--alias-info", is_flag=True, help="Add a metric series for each alias.")
@options.log_options("json", "info", partial(configure_logging, also=["kopf"]))
def command(
    namespaces: tuple[str, ...],
    all_namespaces: bool,
    read_only: bool,
    lease_namespace: str | None,
    lease_name: str,
    listen: str,
    allow_hosts: tuple[str, ...],
    no_status_page: bool,
    kubeconfig: Path | None,
    alias_info: bool,
) -> None:
    """Run the Kubernetes operator.

    It reconciles the AliasSets of the cluster with Milvus until it is stopped. Needs the extra [operator]. Of several
    processes only the one that holds the Lease is active; the others stand by.

    \b
    Examples:
      aliasctl operator --namespace search
      aliasctl operator --all-namespaces --read-only
    """
    if all_namespaces == bool(namespaces):
        raise UsageError("give either --namespace NAME (can be repeated) or --all-namespaces")
    require_installed("the operator", "kopf", "lightkube", "prometheus_client")

    from reconciler.operator.cluster import own_namespace
    from reconciler.operator.main import Process, Settings
    from reconciler.operator.objects import Ref

    lease = Ref(lease_namespace or own_namespace(kubeconfig), lease_name)
    settings = Settings(namespaces, read_only, lease, listen, kubeconfig, alias_info, not no_status_page, allow_hosts)
    raise SystemExit(Process(settings, Event()).run())

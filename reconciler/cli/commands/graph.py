"""`aliasctl graph`: a drawing of which alias points at which collection."""

from __future__ import annotations

import click

from reconciler.catalog import Catalogs, connect
from reconciler.cli import inputs, options
from reconciler.cli.help_page import Command
from reconciler.cli.output import Output
from reconciler.core.text import counted
from reconciler.manifest import Manifests, Overrides
from reconciler.reconcile import make_plan
from reconciler.render.graph import FORMATS, Cluster, desired_clusters, planned_cluster

MERMAID_ARROWS, MERMAID_CHARACTERS = 500, 50_000
"""Mermaid's defaults of `maxEdges` and `maxTextSize`, which GitHub and GitLab do not change."""


@click.command("graph", cls=Command)
@options.manifest_option
@click.option(
    "--format",
    "graph_format",
    type=click.Choice(tuple(FORMATS)),
    default="mermaid",
    show_default=True,
    help="Language of the drawing: Mermaid or Graphviz.",
)
@click.option("--live", is_flag=True, help="Draw the live state too, read from the server.")
@options.target_options
@options.color_option
@options.log_options()
@click.pass_obj
def command(output: Output, paths: tuple[str, ...], graph_format: str, live: bool, flags: Overrides) -> None:
    """Draw which alias points at which collection.

    The drawing is a Mermaid flowchart or a Graphviz graph. Without --live it shows the manifests, and no server is
    called. With it, an alias that would move has two arrows, "now" and "next".

    \b
    Examples:
      aliasctl graph aliases/
      aliasctl graph aliases/ --live --format dot > aliases.dot
    """
    if flags != Overrides() and not live:
        raise click.UsageError("options that say where the server is go with --live")
    manifests = inputs.read_manifests(paths, output)
    clusters = _live_clusters(manifests, flags, output) if live else desired_clusters(manifests.sets)
    arrows = sum(arrow.collection is not None for cluster in clusters for arrow in cluster.arrows)
    drawing = FORMATS[graph_format](clusters)
    if graph_format == "mermaid" and (arrows > MERMAID_ARROWS or len(drawing) > MERMAID_CHARACTERS):
        limits = f"GitHub and GitLab draw at most {MERMAID_ARROWS} arrows and {MERMAID_CHARACTERS:,} characters"
        output.say(f"{counted(arrows, 'arrow')}: {limits}; --format dot has no limit")
    click.echo(drawing, nl=False)


def _live_clusters(manifests: Manifests, flags: Overrides, output: Output) -> list[Cluster]:
    """Return the live and the desired state, one cluster per database."""
    sets = inputs.desired_sets(manifests, flags, output)
    with Catalogs(connect) as catalogs, output.busy("Reading the catalog"):
        plan = make_plan(sets, catalogs=catalogs)
    by_key = {alias_set.key: alias_set for alias_set in sets}
    return [planned_cluster(target, [by_key[each.set] for each in target.sets]) for target in plan.targets]

"""`aliasctl graph`: which alias points at which collection, as a drawing."""

from __future__ import annotations

from typing import Any

import click

from reconciler.catalog import Catalogs, connect
from reconciler.cli import inputs, options, output
from reconciler.core.text import counted
from reconciler.manifest import Overrides
from reconciler.manifest.records import Manifests
from reconciler.reconcile import make_plan, target_of
from reconciler.render.graph import FORMATS, Cluster, planned_cluster, wanted_clusters

MERMAID_ARROWS, MERMAID_CHARACTERS = 500, 50_000
"""What Mermaid draws unless it is told otherwise (`maxEdges`, `maxTextSize`), and GitHub and GitLab do not tell it."""


@click.command(short_help="Draw which alias points at which collection.")
@options.manifest_option
@click.option(
    "--format",
    "graph_format",
    type=click.Choice(tuple(FORMATS)),
    default="mermaid",
    show_default=True,
    help="Language of the drawing: Mermaid's or Graphviz's.",
)
@click.option("--live", is_flag=True, help="Ask the server too: draw where aliases are beside where they should be.")
@options.target_options
@options.color_option
@options.log_options
def graph(paths: tuple[str, ...], graph_format: str, live: bool, **values: Any) -> None:
    """Draw which alias points at which collection, as a Mermaid flowchart or a Graphviz graph.

    Without --live it is what the manifests want, and no server is asked. With it an alias that would move has two
    arrows, "now" and "next".

    \b
      aliasctl graph -f aliases/
      aliasctl graph -f aliases/ --live --format dot > aliases.dot
    """
    flags = options.overrides(values)
    if flags != Overrides() and not live:
        raise click.UsageError("options that say where the server is go with --live")
    manifests = inputs.read_manifests(paths)
    clusters = _live(manifests, flags) if live else wanted_clusters(manifests.sets)
    arrows = sum(arrow.collection is not None for cluster in clusters for arrow in cluster.arrows)
    drawing = FORMATS[graph_format](clusters)
    if graph_format == "mermaid" and (arrows > MERMAID_ARROWS or len(drawing) > MERMAID_CHARACTERS):
        most = f"GitHub and GitLab draw at most {MERMAID_ARROWS} arrows and {MERMAID_CHARACTERS:,} characters"
        output.say(f"{counted(arrows, 'arrow')}: {most}; --format dot has no limit")
    click.echo(drawing, nl=False)


def _live(manifests: Manifests, flags: Overrides) -> list[Cluster]:
    """What a plan finds, one cluster a database."""
    sets = inputs.wanted_sets(manifests, flags)
    with Catalogs(connect) as catalogs, output.busy("Reading the catalog"):
        plan = make_plan(sets, catalogs=catalogs)
    return [
        planned_cluster(
            target, [alias_set for alias_set in sets if alias_set.connection and target_of(alias_set) == target.target]
        )
        for target in plan.targets
    ]

"""`aliasctl get`: the AliasSets of a Kubernetes cluster."""

from __future__ import annotations

from collections.abc import Iterator

import click
from msgspec.structs import replace

from reconciler.cli import kubernetes, options, values
from reconciler.cli.help_page import KUBERNETES, Command
from reconciler.cli.output import Output
from reconciler.core.errors import UsageError
from reconciler.core.text import printable
from reconciler.render.cluster_sets import ClusterSet, set_lines, sets_document, table_lines
from reconciler.render.formats import Result
from reconciler.render.lines import Line

ALL = "*"


@click.command("get", cls=Command)
@click.argument("names", metavar="[SET]...", nargs=-1, type=values.word)
@kubernetes.access_options
@options.chained(
    click.option("-A", "--all-namespaces", is_flag=True, help="List the sets of all namespaces."), heading=KUBERNETES
)
@options.result_options()
@options.log_options()
@click.pass_obj
def command(output: Output, names: tuple[str, ...], access: kubernetes.Access, all_namespaces: bool) -> None:
    """List the AliasSets of a Kubernetes cluster.

    Shows what the operator reports: whether each set is ready, why not, and the plan that waits for approval. With
    names it also shows the message and the changes of the plan. Needs the extra [operator].

    \b
    Examples:
      aliasctl get -n search
      aliasctl get shop -n search
      aliasctl get -A -o json
    """
    if all_namespaces and (names or access.namespace):
        raise UsageError("--all-namespaces goes with neither names nor --namespace")
    output.ensure_writable()
    cluster, namespace = access.connect("get")
    from reconciler.operator.approval import sets_in

    with output.busy("Reading the cluster"):
        sets = sets_in(cluster, ALL if all_namespaces else namespace, names)
    where = "this cluster" if all_namespaces else f'namespace "{namespace}"'
    result = Result(lambda: _lines(sets, where, names, all_namespaces), lambda: sets_document(sets))
    width = output.width()
    output.emit(result, replace(result, lines=lambda: _lines(sets, where, names, all_namespaces, width)))


def _lines(
    sets: list[ClusterSet], where: str, names: tuple[str, ...], all_namespaces: bool, width: int | None = None
) -> Iterator[Line]:
    if not sets:
        yield Line(printable(f"No AliasSets in {where}."))
    elif not names:
        yield from table_lines(sets, with_namespaces=all_namespaces, width=width)
    for number, item in enumerate(sets if names else ()):
        if number:
            yield Line()
        yield from set_lines(item)

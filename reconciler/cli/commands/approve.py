"""`aliasctl approve`: the pending plan of an AliasSet in Kubernetes is approved."""

from __future__ import annotations

import click

from reconciler.cli import kubernetes, options, values
from reconciler.cli.confirm import confirm, ensure_terminal
from reconciler.cli.help_page import Command
from reconciler.cli.output import Output
from reconciler.render.cluster_sets import approval_document, set_lines
from reconciler.render.formats import TEXT, Result
from reconciler.render.lines import Line


@click.command("approve", cls=Command)
@click.argument("name", metavar="SET", type=values.word)
@click.option("--digest", type=values.word, metavar="DIGEST", help="Approve only the plan with this digest.")
@options.yes_option
@kubernetes.access_options
@options.format_option()
@options.color_option
@options.log_options()
@click.pass_obj
def command(output: Output, name: str, digest: str | None, yes: bool, access: kubernetes.Access) -> None:
    """Approve the pending plan of an AliasSet in Kubernetes.

    Shows the plan that the operator made, asks for confirmation, and approves exactly that plan with the annotation
    aliasctl.dev/approve. If the pending plan has changed, it exits with 4 and approves nothing. Needs the extra
    [operator], and permission to get and patch AliasSets.

    \b
    Examples:
      aliasctl approve shop -n search
      aliasctl approve shop -n search --digest sha256:4f2a… --yes
    """
    cluster, namespace = access.connect("approve")
    from reconciler.operator.approval import approve, ensure_digest, set_to_approve
    from reconciler.operator.objects import Ref

    stored, plan = set_to_approve(cluster, Ref(namespace, name))
    if digest:
        ensure_digest(plan, digest, stored)
    if output.format is TEXT:
        output.print(Result(lambda: set_lines(stored), dict))
    if not (yes or stored.approved):
        ensure_terminal("there is a plan to approve and no terminal to ask at; run with --yes to approve it")
        if output.format is not TEXT:
            for line in set_lines(stored):
                output.say(line.plain)
        confirm(f"Approve this plan of AliasSet {stored}?", "not approved")
    if not stored.approved:
        approve(cluster, stored, plan)
    words = "Approved already" if stored.approved else "Approved"
    line = Line((words, "bold green"), f"; to follow the operator: aliasctl get {name} -n {namespace}")
    output.emit(Result(lambda: [line], lambda: approval_document(stored, plan)))

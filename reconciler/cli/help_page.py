"""Help pages: the manifests first, then a command's own options, then those that it shares with others."""

from __future__ import annotations

import click

MANIFESTS, PLAN, TARGET, KUBERNETES = "Manifests", "Plan", "Target", "Kubernetes"
OUTPUT, LOGGING = "Output", "Logging"
"""The headings of options that several commands share."""
OWN = "Options"
TERM_WIDTH = 30
"""Widest option beside which its description starts, as click has it."""


def set_heading(parameter: click.Parameter, heading: str) -> None:
    """List an option under a heading, unless it has one already."""
    vars(parameter).setdefault("heading", heading)


class Command(click.Command):
    """A command whose options are listed under their headings, with all descriptions in one column."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        sections: dict[str, list[tuple[str, str]]] = {MANIFESTS: [], OWN: []}
        for parameter in self.get_params(ctx):
            if isinstance(parameter, click.Option) and (record := parameter.get_help_record(ctx)):
                sections.setdefault(vars(parameter).get("heading", OWN), []).append(record)
        width = min(TERM_WIDTH, max(len(term) for rows in sections.values() for term, _ in rows))
        for heading, rows in sections.items():
            if not rows:
                continue
            with formatter.section(heading):
                formatter.write_dl([(term.ljust(width), description) for term, description in rows], TERM_WIDTH)

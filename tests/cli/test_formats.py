"""A format is one object in the registry: options, help and messages know a further one without any other change."""

from __future__ import annotations

from pathlib import Path

from tests.cli.command import Completed, run_python
from tests.cli.shop import Shop

WITH_FORMAT = """
from reconciler.cli.main import main
from reconciler.render.formats import FORMATS, Format

def names(result):
    view = result.view()
    return f"{view.kind}: " + ", ".join(f"{row.alias} {row.label}" for row in view.rows) + "\\n"

FORMATS["names"] = Format("names", names, needs_view=True)
main(ARGUMENTS)
"""


def run_with_format(*arguments: str, cwd: Path) -> Completed:
    return run_python(WITH_FORMAT.replace("ARGUMENTS", repr(arguments)), cwd=cwd)


def test_a_further_format_works_on_standard_output_and_in_files(shop: Shop) -> None:
    shop.want({"a": "v1", "b": "v9"})
    source = ("-f", "aliases.yaml", "--journal", "journal.db")
    planned = run_with_format("plan", *source, "--format", "names", "--out", "plan.json", cwd=shop.folder)
    assert (planned.code, planned.stdout) == (0, "plan: a create, b blocked\n")
    written = run_with_format("plan", *source, "--output", "names=plan.names", cwd=shop.folder)
    assert (written.code, (shop.folder / "plan.names").read_text()) == (0, planned.stdout)
    shown = run_with_format("show", "plan.json", "--format", "names", cwd=shop.folder)
    assert (shown.code, shown.stdout) == (0, planned.stdout)
    both = ("--format", "names", "--output", "names=report.names")
    applied = run_with_format("apply", *source, "--yes", *both, cwd=shop.folder)
    assert (applied.code, applied.stdout) == (5, "report: a done, b blocked\n")
    assert (shop.folder / "report.names").read_text() == applied.stdout


def test_help_and_messages_name_it(tmp_path: Path) -> None:
    shown = run_with_format("plan", "--help", cwd=tmp_path)
    assert "[text|json|markdown|html|names]" in shown.stdout
    assert "as text, json, markdown, html or names" in " ".join(shown.stdout.split())
    unknown = run_with_format("plan", "-f", ".", "--format", "pdf", cwd=tmp_path)
    assert unknown.code == 1
    assert "'pdf' is not one of 'text', 'json', 'markdown', 'html', 'names'" in unknown.stderr
    unknown = run_with_format("plan", "-f", ".", "--output", "pdf=x", cwd=tmp_path)
    assert "'pdf=x' is not FORMAT=FILE with FORMAT one of text, json, markdown, html, names" in unknown.stderr


def test_a_command_whose_result_is_no_plan_or_report_does_not_offer_it(tmp_path: Path) -> None:
    failed = run_with_format("status", "-f", ".", "--format", "names", cwd=tmp_path)
    assert (failed.code, "'names' is not one of 'text', 'json'" in failed.stderr) == (1, True)

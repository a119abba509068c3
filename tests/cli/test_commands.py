"""The list of commands, and what a command imports before it is needed."""

from __future__ import annotations

import pkgutil
import re
from inspect import cleandoc
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from reconciler.cli import commands
from reconciler.cli.main import COMMANDS, aliasctl
from reconciler.manifest.kinds import KINDS
from reconciler.render.documents import SCHEMAS
from tests.cli.command import run, run_python


def test_every_module_of_the_package_is_a_command() -> None:
    assert {module.name for module in pkgutil.iter_modules(commands.__path__)} == COMMANDS.keys()


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_has_the_name_of_its_module_and_its_help_starts_with_the_listed_summary(name: str) -> None:
    command = aliasctl.get_command(click.Context(aliasctl), name)
    assert command
    assert command.name == name
    assert cleandoc(command.help or "").splitlines()[0] == COMMANDS[name]


@pytest.mark.parametrize("name", COMMANDS)
def test_no_two_parameters_of_a_command_have_one_name(name: str) -> None:
    """Option groups find their values by the names of parameters."""
    command = aliasctl.get_command(click.Context(aliasctl), name)
    assert command
    names = [parameter.name for parameter in command.params]
    assert len(names) == len(set(names))


def help_page(name: str, width: int = 80) -> str:
    command = aliasctl.get_command(click.Context(aliasctl), name)
    assert command
    return command.get_help(click.Context(command, info_name=f"aliasctl {name}", terminal_width=width))


@pytest.mark.parametrize("name", COMMANDS)
def test_a_help_page_has_examples_and_fits_into_80_columns(name: str) -> None:
    page = help_page(name)
    assert f"  Examples:\n    aliasctl {name}" in page
    assert max(map(len, page.splitlines())) <= 80


def test_the_options_of_a_help_page_are_under_headings() -> None:
    sections = dict(re.findall(r"^(\w+):\n(.*?)(?:\n\n|\Z)", help_page("plan"), re.MULTILINE | re.DOTALL))
    options = {heading: set(re.findall(r"--[\w-]+", text)) for heading, text in sections.items()}
    assert [*options] == ["Manifests", "Options", "Plan", "Target", "Output", "Logging"]
    expected = {
        "Manifests": {"--filename"},
        "Options": {"--detailed-exitcode", "--help"},
        "Plan": {"--max-drops"},
        "Target": {"--uri", "--database"},
        "Output": {"--format", "--no-color"},
        "Logging": {"--log-level"},
    }
    assert {heading: names & options[heading] for heading, names in expected.items()} == expected


def test_the_descriptions_of_a_help_page_are_in_one_column() -> None:
    text = help_page("plan").partition("Manifests:\n")[2]
    starts = {match.start(1) - match.start() for match in re.finditer(r"^  -[-\w, ]*(?: [A-Z]+)? {2,}(\w)", text, re.M)}
    assert len(starts) == 1


@pytest.mark.parametrize("kind", [*KINDS, *SCHEMAS])
def test_the_descriptions_of_a_schema_are_whole_sentences(kind: str) -> None:
    printed = CliRunner().invoke(aliasctl, ["schema", kind]).output
    assert [line for line in printed.splitlines() if re.search(r"\\[nt]", line) and '"pattern"' not in line] == []


def test_a_missing_kind_is_answered_with_all_kinds_in_one_sentence(tmp_path: Path) -> None:
    failed = run("schema", cwd=tmp_path)
    kinds = ", ".join(kind.lower() for kind in (*KINDS, *SCHEMAS))
    assert failed.stderr.endswith(f"error: Missing argument 'KIND'. Choose from: {kinds}\n")
    assert all(kind in help_page("schema") for kind in (*KINDS, *SCHEMAS))


def test_the_list_of_commands_has_one_line_per_command() -> None:
    page = aliasctl.get_help(click.Context(aliasctl, terminal_width=80))
    for name, summary in COMMANDS.items():
        assert re.search(rf"^  {name} +{re.escape(summary)}$", page, re.MULTILINE), name


def test_the_list_of_commands_imports_none_of_them(tmp_path: Path) -> None:
    loaded = "print([name for name in sys.modules if name.startswith(('yaml', 'reconciler.cli.commands'))])"
    at_exit = f"import atexit, sys; atexit.register(lambda: {loaded}); "
    done = run_python(f"{at_exit}from reconciler.cli.main import main; main(['--help'])", cwd=tmp_path)
    assert (done.code, done.stdout.splitlines()[-1]) == (0, "[]")
    assert "  validate    Check manifests offline." in done.stdout


def test_valid_manifests_are_read_without_what_only_other_runs_need(tmp_path: Path) -> None:
    aliases = "\n".join(f"  - {{name: a{number}, collection: c}}" for number in range(10))
    (tmp_path / "ten.yaml").write_text(
        "{apiVersion: aliasctl.dev/v1alpha1, kind: MilvusConnection, metadata: {name: c}, spec: {uri: http://a}}\n---\n"
        "apiVersion: aliasctl.dev/v1alpha1\nkind: AliasSet\nmetadata: {name: s, labels: {team: search}}\n"
        f"spec:\n  connectionRef: {{name: c}}\n  gates: {{rows: {{min: 1}}}}\n  aliases:\n{aliases}\n"
    )
    at_exit = "import atexit, sys; atexit.register(lambda: print(*sys.modules)); "
    script = f"{at_exit}from reconciler.cli.main import main; main(['validate', '-f', 'ten.yaml'])"
    done = run_python(script, cwd=tmp_path)
    assert done.code == 0
    assert "reconciler.manifest.quick_check" in done.stdout.split()
    slow = {
        "jsonschema_rs",
        "reconciler.manifest.schema",
        "hashlib",
        "concurrent.futures",
        "fractions",
        "socket",
        "reconciler.integrations.hooks",
        "rich",
    }
    slow |= {"structlog", "reconciler.manifest.specs.status", "reconciler.catalog.server_behaviour", "subprocess"}
    assert slow & {*done.stdout.split()} == set()


def test_an_unknown_command_is_a_usage_error(tmp_path: Path) -> None:
    failed = run("aply", cwd=tmp_path)
    assert failed.code == 1
    assert "No such command 'aply'" in failed.stderr


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["apply", "--auto-approve"], "No such option: --auto-approve; --yes skips confirmation"),
        (["apply", "--dry-run"], 'No such option: --dry-run; use "aliasctl plan", which writes nothing'),
        (["diff", "--target", "a"], "No such option: --target; --only ALIAS limits a run to an alias"),
    ],
)
def test_options_of_other_tools_are_answered_with_ours(arguments: list[str], hint: str, tmp_path: Path) -> None:
    failed = run(*arguments, cwd=tmp_path)
    assert (failed.code, hint in failed.stderr) == (1, True), failed.stderr


def test_short_names_and_the_synonym_of_plan(tmp_path: Path) -> None:
    (tmp_path / "live.yaml").write_text("kind: AliasSet\n")
    failed = run("diff", "-f", "live.yaml", "-o", "json", cwd=tmp_path)
    assert (failed.code, failed.document["kind"]) == (1, "Error")
    assert "-y, --yes" in run("apply", "--help", cwd=tmp_path).stdout

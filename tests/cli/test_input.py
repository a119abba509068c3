"""What can be done without a server: bad input, `validate`, `schema`, `version`, where manifests come from."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from tests.cli.command import ALIASCTL, clean_environment, run, run_python
from tests.cli.shop import alias_set, connection, manifest

GOOD = (connection("http://127.0.0.1:1"), alias_set({"a": "v1"}))
HEAVY = {"pymilvus", "grpc", "pandas", "kopf", "milvus_lite", "rich", "structlog", "jinja2", "sqlite3"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "aliases.yaml").write_text(manifest(*GOOD))
    return tmp_path


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["apply", "--help"], ["validate", "-f", "aliases.yaml"], ["schema", "AliasSet"], ["version"]],
)
def test_what_needs_no_server_imports_no_client(arguments: list[str], folder: Path) -> None:
    report = f"print('imported', sorted({HEAVY} & set(sys.modules)), file=sys.stderr)"
    at_exit = f"import atexit, sys; atexit.register(lambda: {report}); "
    done = run_python(f"{at_exit}from reconciler.cli.main import main; main({arguments})", cwd=folder)
    assert (done.code, done.stderr) == (0, "imported []\n")
    assert done.stdout


def test_everything_wrong_is_told_at_once_with_its_place_and_the_way_out(folder: Path) -> None:
    (folder / "bad.yaml").write_text(
        "apiVersion: aliasctl.dev/v1alpha1\n"
        "kind: AliasSet\n"
        "metadata: {name: bad}\n"
        "spec:\n"
        "  connectionRef: {name: main}\n"
        "  databse: default\n"
        "  aliases:\n"
        "  - {name: a, collection: v1}\n"
        "  - {name: a, collection: v2}\n"
        "  - {name: b, collection: 7}\n"
    )
    failed = run("validate", "-f", ".", "--format", "json", cwd=folder)
    places = [line.partition(": error: ")[0] for line in failed.stderr.splitlines()]
    assert (failed.code, places) == (1, ["bad.yaml:6:3", "bad.yaml:9:12", "bad.yaml:10:27"])
    assert 'did you mean "database"' in failed.stderr
    assert [error["source"]["line"] for error in failed.document["errors"]] == [6, 9, 10]
    planned = run("plan", "-f", ".", cwd=folder)
    assert (planned.code, planned.stdout, planned.stderr) == (1, "", failed.stderr)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["plan", "-f", "nowhere.yaml"], "nowhere.yaml: error: no such file or folder\n"),
        (["validate", "-f", "broken.yaml"], "broken.yaml:2:1: error: this is not YAML: "),
        (["validate", "-f", "binary.yaml"], "binary.yaml: error: not UTF-8 text"),
        (
            ["validate", "-f", "foreign.yaml"],
            "foreign.yaml: error: no document of aliasctl.dev/v1alpha1 in this file\n",
        ),
        (
            ["validate", "-f", "report.json"],
            "report.json: error: this is a Report that aliasctl wrote, not a manifest\n",
        ),
        (
            ["plan", "-f", "aliases.yaml", "--only", "zz"],
            "error: --only zz: no set lists or covers it\n",
        ),
        (["plan", "-f", "aliases.yaml", "--connection", "zz"], '--connection: error: no MilvusConnection "zz"'),
        (["export"], "error: "),
        (
            ["show", "nowhere.json"],
            "nowhere.json: error: cannot be read as a plan file: No such file or directory; manifests go to ",
        ),
        (
            ["show", "aliases.yaml"],
            'aliases.yaml: error: not a plan file: not valid JSON; manifests go to "aliasctl plan"\n',
        ),
        (["show", "report.json"], 'report.json: error: not a plan file: kind is "Report"\n'),
        (
            ["show", "newer.json"],
            "newer.json: error: plan format 99 is not the one this aliasctl reads (2); plan again\n",
        ),
        (["show", "."], '.: error: cannot be read as a plan file: Is a directory; manifests go to "aliasctl plan"\n'),
    ],
)
def test_input_that_cannot_be_used(arguments: list[str], message: str, folder: Path) -> None:
    (folder / "broken.yaml").write_text("a: [\n")
    (folder / "binary.yaml").write_bytes(b"\xff\xff\x00")
    (folder / "foreign.yaml").write_text("apiVersion: v1\nkind: ConfigMap\n")
    (folder / "report.json").write_text('{"kind": "Report", "formatVersion": 1}')
    (folder / "newer.json").write_text('{"kind": "Plan", "formatVersion": 99}')
    failed = run(*arguments, cwd=folder)
    assert (failed.code, failed.stdout, failed.stderr.count("\n")) == (1, "", 1), failed.stderr
    assert failed.stderr.startswith(message)


@pytest.mark.parametrize(
    "paths", [["aliases.yaml", "more.yaml"], ["-f", "aliases.yaml", "more.yaml"], ["more.yaml", "-f", "aliases.yaml"]]
)
@pytest.mark.parametrize("command", ["validate", "graph"])
def test_paths_mean_the_same_with_and_without_f(command: str, paths: list[str], folder: Path) -> None:
    (folder / "more.yaml").write_text(manifest(alias_set({"b": "v1"}, "more")))
    named = run(command, "-f", "aliases.yaml", "-f", "more.yaml", cwd=folder)
    assert named.code == 0, named.stderr
    assert run(command, *paths, cwd=folder).stdout == named.stdout


def test_a_saved_plan_is_no_manifest(folder: Path) -> None:
    (folder / "plan.json").write_text('{"kind": "Plan", "formatVersion": 2}')
    for arguments in (["plan", "plan.json"], ["validate", "plan.json"], ["apply", "aliases.yaml", "plan.json"]):
        failed = run(*arguments, cwd=folder)
        assert (failed.code, failed.stdout) == (1, "")
        assert 'plan.json: error: this is a saved plan, not a manifest; run "aliasctl apply PLANFILE"' in failed.stderr


@pytest.mark.parametrize("content", ['{"kind":"Plan","formatVersion":2', '\n{"formatVersion": 2, "kind" : "Plan"}'])
def test_a_damaged_plan_file_is_not_taken_for_manifests(content: str, folder: Path) -> None:
    (folder / "plan.json").write_text(content)
    failed = run("apply", "plan.json", cwd=folder)
    assert (failed.code, failed.stderr.startswith("plan.json: error: not a")) == (1, True), failed.stderr
    assert "plan file" in failed.stderr


def test_our_variables_may_begin_with_the_home_folder(folder: Path, tmp_path: Path) -> None:
    env = {"HOME": str(tmp_path), "ALIASCTL_URI": "https://127.0.0.1:1", "ALIASCTL_TLS_CA": "~/ca.pem"}
    failed = run("export", cwd=folder, env=env)
    assert failed.code == 1
    assert str(tmp_path / "ca.pem") in failed.stderr


@pytest.mark.parametrize("command", [["plan"], ["apply", "--yes"], ["status"], ["graph", "--live"]])
def test_a_run_without_any_set_is_an_error(command: list[str], folder: Path) -> None:
    (folder / "connections.yaml").write_text(
        "apiVersion: aliasctl.dev/v1alpha1\nkind: MilvusConnection\nmetadata: {name: lab}\nspec: {uri: 'http://127.0.0.1:1'}\n"
        "---\napiVersion: v1\nkind: ConfigMap\n"
    )
    failed = run(*command, "-f", "connections.yaml", cwd=folder)
    assert (failed.code, failed.stdout) == (1, "")
    assert failed.stderr == (
        "error: no AliasSet in the files of -f (1 document of other kinds skipped); check the paths, and that files "
        "end in .yaml, .yml or .json\n"
    )


def test_validate_counts_and_takes_an_absent_connection_for_a_warning_unless_strict(folder: Path) -> None:
    (folder / "foreign.yaml").write_text("apiVersion: v1\nkind: ConfigMap\n")
    good = run("validate", "-f", ".", cwd=folder)
    assert (good.code, good.stderr) == (0, "")
    assert good.stdout == "Valid: 1 set, 1 alias, 1 connection; 1 document of other API groups skipped.\n"

    (folder / "lonely.yaml").write_text(manifest(alias_set({"a": "v1"}, connectionRef={"name": "absent"})))
    warned = run("validate", "-f", "lonely.yaml", "--format", "json", cwd=folder)
    assert (warned.code, len(warned.document["warnings"])) == (0, 1)
    assert warned.stderr.startswith('lonely.yaml:7:11: warning: MilvusConnection "absent" is not among the manifests')
    strict = run("validate", "--strict", "-f", "lonely.yaml", "--format", "json", cwd=folder)
    assert (strict.code, strict.document["kind"]) == (1, "Error")
    assert strict.stderr == warned.stderr.replace("warning", "error")


def test_manifests_come_from_folders_and_standard_input(folder: Path) -> None:
    (folder / "deep" / "er").mkdir(parents=True)
    (folder / "deep" / "er" / "more.yml").write_text(manifest(alias_set({"b": "v1"}, "more")))
    (folder / "deep" / "notes.txt").write_text("not: ours")
    text = manifest(alias_set({"c": "v1"}, "piped"))
    both = run("validate", "-f", ".", "-f", "-", cwd=folder, text=text)
    assert (both.code, both.stdout) == (0, "Valid: 3 sets, 3 aliases, 1 connection.\n")
    failed = run("plan", "-f", "-", cwd=folder, text=text)
    assert failed.stderr.startswith('<stdin>:7:11: error: MilvusConnection "main" is not among the manifests')


@pytest.mark.parametrize("kind", ["AliasSet", "milvusconnection", "Plan"])
def test_schema_prints_a_valid_json_schema(kind: str, tmp_path: Path) -> None:
    printed = run("schema", kind, cwd=tmp_path)
    schema = json.loads(printed.stdout)
    Draft202012Validator.check_schema(schema)
    assert (printed.code, schema["$schema"]) == (0, "https://json-schema.org/draft/2020-12/schema")


def test_schema_of_an_unknown_kind_names_the_known_ones(tmp_path: Path) -> None:
    failed = run("schema", "Pod", cwd=tmp_path)
    assert failed.code == 1
    assert "'Pod' is not one of 'aliasset', 'milvusconnection', 'plan', 'report'" in failed.stderr


@pytest.mark.parametrize(
    "flag", ["--uri", "--database", "--connection", "--token-env", "--tls-ca", "--only", "--against", "--out", "-f"]
)
def test_an_empty_value_is_an_error_and_never_no_wish(flag: str, tmp_path: Path) -> None:
    """`--uri "$STAGING"` with STAGING unset must not go to the manifest's server."""
    (tmp_path / "aliases.yaml").write_text(manifest(connection("http://127.0.0.1:1"), alias_set({"a": "v1"})))
    failed = run("plan", "-f", "aliases.yaml", flag, "", cwd=tmp_path)
    assert failed.code == 1
    assert failed.stderr.splitlines()[-1].startswith("error: Invalid value for")
    assert failed.stderr.splitlines()[-1].endswith("is empty")


def test_half_a_megabyte_of_mistakes_takes_little_memory(folder: Path) -> None:
    """The schema's validator keeps 2 KB for each mistake that it is shown; 600 MB without a limit."""
    (folder / "bomb.yaml").write_text(
        "apiVersion: aliasctl.dev/v1alpha1\nkind: AliasSet\nmetadata: {name: x}\n"
        f"spec: {{connectionRef: {{name: lab}}, aliases: [{'1,' * 260_000}]}}\n"
    )
    limited = ["/bin/sh", "-c", 'ulimit -v 300000; exec "$@"', "sh", *ALIASCTL, "validate", "-f", "bomb.yaml"]
    done = subprocess.run(limited, cwd=folder, env=clean_environment({}), capture_output=True, text=True, check=False)
    assert done.returncode == 1
    lines = done.stderr.splitlines()
    assert (len(lines), lines[-1]) == (101, "error: these are the first 100 problems; there are more")


def test_errors_and_warnings_for_github_are_annotations(folder: Path) -> None:
    (folder / "more.yaml").write_text(manifest(alias_set({"b": "v1"}, "more", connectionRef={"name": "gone"})))
    warned = run("validate", ".", "--format", "github", cwd=folder)
    assert warned.code == 0
    assert warned.stdout.startswith("::warning file=more.yaml,line=7,col=11::")
    assert warned.stdout.count("\n") == 1

    (folder / "bad.yaml").write_text(manifest(alias_set({"b": "v1"}, "bad", databse="default", aliasses=[])))
    failed = run("validate", ".", "--format", "github", cwd=folder)
    assert failed.code == 1
    lines = failed.stdout.splitlines()
    assert len(lines) == failed.stderr.count("\n") > 1
    assert all(line.startswith("::error file=bad.yaml,line=") for line in lines)

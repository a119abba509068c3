"""Plans and reports as Markdown and HTML, and drawings, at the command line."""

from __future__ import annotations

import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from tests.cli.command import run, run_python
from tests.cli.shop import Shop, alias_set, connection, manifest
from tests.render.markup import Parsed

MARKER = "<!-- aliasctl:{} -->"


def test_a_plan_goes_to_markdown_and_html_beside_the_text(shop: Shop) -> None:
    shop.want({"a": "v1"})
    planned = shop.plan("--out", "plan.json", "--output", "markdown=plan.md", "--output", "html=plan.html")
    assert planned.code == 0
    assert planned.stdout.endswith("Plan: 1 to create, 0 to alter, 0 to drop, 0 blocked, 0 unchanged.\n")
    markdown, page = ((shop.folder / name).read_text() for name in ("plan.md", "plan.html"))
    assert markdown.startswith(MARKER.format("plan") + "\n## aliasctl plan: 1 change\n")
    assert page.startswith("<!doctype html>")
    assert "<h1>1 change</h1>" in page
    assert shop.plan("--format", "markdown").stdout.splitlines()[:2] == markdown.splitlines()[:2]
    shown = shop.run("show", "plan.json", "--format", "html", "--output", "markdown=shown.md")
    assert (shown.code, shown.stdout[:15]) == (0, "<!doctype html>")
    assert (shop.folder / "shown.md").read_text() == markdown.replace("(manifest)", "(plan file)")


def test_an_apply_gives_its_report_and_nothing_else_as_markdown(shop: Shop) -> None:
    shop.want({"a": "v1", "b": "v9"})
    applied = shop.apply("--format", "markdown", "--output", "html=report.html", "--output", "json=report.json")
    assert applied.code == 5
    assert applied.stdout.startswith(MARKER.format("report") + "\n## aliasctl report: incomplete\n")
    assert applied.stdout.count(MARKER.format("report")) == 1
    assert shop.read("report.json")["run"] in applied.stdout
    assert "<h1>Incomplete</h1>" in (shop.folder / "report.html").read_text()


def test_pages_say_who_changed_the_manifests_and_which_pipeline_ran(shop: Shop) -> None:
    shop.want({"a": "v1"})
    for arguments in (
        ("init", "--quiet"),
        ("add", "aliases.yaml"),
        ("-c", "user.name=Mary <b>", "-c", "user.email=m@x", "commit", "--quiet", "--message", "a"),
    ):
        subprocess.run(["git", "-C", str(shop.folder), *arguments], check=True)
    commit = subprocess.check_output(["git", "-C", str(shop.folder), "rev-parse", "HEAD"], text=True).strip()
    env = {"ALIASCTL_PIPELINE_URL": "https://ci.example.com/7"}
    shop.run("plan", "-f", "aliases.yaml", "--output", "html=plan.html", env=env)
    shop.run("apply", "-f", "aliases.yaml", "--yes", "--output", "html=report.html", env=env)
    for page in ("plan.html", "report.html"):
        facts = Parsed((shop.folder / page).read_text()).inside("dl").split("\n")
        told = dict(pairwise(fact for fact in facts if fact))
        assert (told["commit"], told["author"]) == (commit, "Mary b <m@x>"), page
        assert told["pipeline"] == "https://ci.example.com/7"
    assert re.fullmatch(r"\d+\.\d s", told["duration"])


def test_a_refused_apply_tells_its_refusal_in_the_comment(shop: Shop) -> None:
    shop.point(a="v1", b="v1")
    shop.want({"a": "v1"}, scope={"include": ["*"]}, limits={"maxDrops": 0})
    applied = shop.apply("--format", "markdown")
    assert applied.code == 3
    assert "## aliasctl report: refused, nothing applied" in applied.stdout
    assert "<b>Refused:</b>" in applied.stdout


def test_whoever_is_asked_sees_the_plan_also_when_the_report_is_a_page(shop: Shop) -> None:
    shop.want({"a": "v1"})
    shown = shop.at_terminal("apply", "-f", "aliases.yaml", "--format", "html", prompt="[y/N]", answer="n\n")
    assert shown.stdout.index("+ a") < shown.stdout.index("Apply 1 change to")
    assert shop.live == {}


def test_under_markdown_an_error_is_text_on_stderr(shop: Shop) -> None:
    failed = shop.run("plan", "-f", "nowhere", "--format", "markdown")
    assert (failed.code, failed.stdout) == (1, "")
    assert failed.stderr == "nowhere: error: no such file or folder\n"


@pytest.mark.parametrize("command", ["check", "validate", "history", "export"])
def test_commands_without_such_a_result_do_not_offer_it(command: str, tmp_path: Path) -> None:
    shown = run(command, "--help", cwd=tmp_path)
    assert "markdown" not in shown.stdout
    assert "html" not in shown.stdout


def test_a_page_format_that_a_command_lacks_is_refused_as_a_file_too(tmp_path: Path) -> None:
    failed = run("check", "-f", ".", "--output", "html=x.html", cwd=tmp_path)
    assert failed.code == 1
    assert "'html=x.html' is not FORMAT=FILE with FORMAT one of text, json" in failed.stderr


def test_a_graph_of_manifests_asks_nobody(tmp_path: Path) -> None:
    desired = alias_set({"a": "v1", "gone": None}, database="books")
    (tmp_path / "aliases.yaml").write_text(manifest(connection("http://127.0.0.1:1"), desired))
    drawn = run("graph", "-f", "aliases.yaml", cwd=tmp_path)
    assert drawn.code == 0
    assert drawn.stdout.splitlines() == [
        "flowchart LR",
        '  subgraph t1["main #47; books"]',
        "    direction LR",
        '    a1_1(["a"])',
        '    a1_2(["gone #40;absent#41;"])',
        '    c1_1[("v1")]',
        "    a1_1 --> c1_1",
        "  end",
    ]
    heavy = "import sys; from reconciler.cli.main import main\ntry: main(['graph', '-f', 'aliases.yaml'])\nfinally: "
    loaded = run_python(heavy + "print({'pymilvus', 'grpc', 'jinja2'} & set(sys.modules))", cwd=tmp_path)
    assert loaded.stdout.endswith("set()\n"), sys.executable


def test_a_live_graph_has_where_aliases_are_and_where_they_go(shop: Shop) -> None:
    shop.point(a="v1", same="v3")
    shop.want({"a": "v2", "same": "v3"})
    drawn = shop.run("graph", "-f", "aliases.yaml", "--live", "--format", "dot").stdout
    assert 'a1_1 -> c1_2 [style=dashed, label="now"]' in drawn
    assert 'a1_1 -> c1_1 [style=bold, label="next"]' in drawn
    assert "a1_2 -> c1_3;" in drawn


def test_a_server_without_live_is_a_mistake(tmp_path: Path) -> None:
    failed = run("graph", "-f", ".", "--uri", "http://127.0.0.1:1", cwd=tmp_path)
    assert failed.code == 1
    assert "error: options that say where the server is go with --live" in failed.stderr


def test_a_graph_that_mermaid_would_not_draw_is_told(tmp_path: Path) -> None:
    (tmp_path / "aliases.yaml").write_text(
        manifest(alias_set({f"a{number}": "v1" for number in range(501)} | {"gone": None}))
    )
    drawn = run("graph", "-f", "aliases.yaml", cwd=tmp_path)
    assert drawn.code == 0
    assert "501 arrows: GitHub and GitLab draw at most 500 arrows and 50,000 characters" in drawn.stderr
    assert "--format dot has no limit" in drawn.stderr


def test_a_graph_with_too_many_words_for_mermaid_is_told_too(tmp_path: Path) -> None:
    long_names = {f"a{number}_{'x' * 100}": f"c{number}_{'x' * 100}" for number in range(250)}
    (tmp_path / "aliases.yaml").write_text(manifest(alias_set(long_names)))
    drawn = run("graph", "-f", "aliases.yaml", cwd=tmp_path)
    assert "GitHub and GitLab draw at most 500 arrows and 50,000 characters" in drawn.stderr
    assert run("graph", "-f", "aliases.yaml", "--format", "dot", cwd=tmp_path).stderr == ""

"""Drawings for Mermaid and Graphviz: what they show, and that no name breaks out of its label."""

from __future__ import annotations

import html
import re

import pydot
import pytest
from hypothesis import given, settings

from reconciler.core.text import printable
from reconciler.render.graph import Arrow, Cluster, EdgeKind, dot, mermaid, planned_cluster
from tests.builders import alias_set
from tests.render.scenes import HOSTILE, blocked, move, plan_of
from tests.render.test_markdown import TEXTS

# pydot leans on the older names of pyparsing.
pytestmark = pytest.mark.filterwarnings("ignore:.*deprecated - use:DeprecationWarning")

LABEL = r'"((?:[\w ]|#\d+;)*)"'
MERMAID_LINES = (
    r"flowchart LR",
    rf"  subgraph t\d+\[{LABEL}\]",
    rf"    a\d+_\d+\(\[{LABEL}\]\)",
    rf"    c\d+_\d+\[\({LABEL}\)\]",
    r'    a\d+_\d+ (?:-->|-\. "[a-z ]+" \.-[>x]|== "next" ==>|-- "blocked" --x) c\d+_\d+',
    rf"    s\d+\{{\{{{LABEL}\}}\}}",
    r"    direction LR",
    r"  end",
    r'  s\d+ -\. "waits for" \.-> s\d+',
)


def mermaid_labels(drawing: str) -> list[str]:
    """The labels of a drawing, every line of which must be one that we meant to write."""
    found = []
    for line in drawing.splitlines():
        matches = [match for pattern in MERMAID_LINES if (match := re.fullmatch(pattern, line))]
        assert matches, line
        found += [re.sub(r"#(\d+);", lambda code: chr(int(code[1])), label) for label in matches[0].groups()]
    return found


def dot_nodes(drawing: str) -> list[str]:
    """The labels of the nodes of a drawing, by another parser."""
    graphs = pydot.graph_from_dot_data(drawing)
    assert graphs
    labels = [str(node.get("label")) for part in graphs[0].get_subgraphs() for node in part.get_nodes()]
    return [html.unescape(re.sub(r"\\(.)", r"\1", label[1:-1])) for label in labels]


def test_what_moves_has_two_arrows_and_what_stays_has_one() -> None:
    plan = plan_of(
        move("a", "v1", "v2"), move("new", None, "v2"), move("old", "v1", None, prune=True), blocked("held", "no")
    )
    desired = alias_set({"a": "v2", "new": "v2", "held": "v9", "same": "v1", "gone": None})
    cluster = planned_cluster(plan.targets[0], [desired])
    assert cluster.title == "prod / default"
    assert [(arrow.alias, arrow.collection, arrow.kind) for arrow in cluster.arrows] == [
        ("a", "v2", EdgeKind.NEXT),
        ("a", "v1", EdgeKind.NOW),
        ("held", "v9", EdgeKind.BLOCKED),
        ("held", "v1", EdgeKind.NOW),
        ("new", "v2", EdgeKind.NEXT),
        ("old", "v1", EdgeKind.DROPPED),
        ("same", "v1", EdgeKind.EXPECTED),
    ]


def test_mermaid_reads_like_this() -> None:
    drawn = mermaid([Cluster("prod / default", (Arrow("a", "v1", EdgeKind.NOW), Arrow("a", "v2", EdgeKind.NEXT)))])
    assert drawn.splitlines() == [
        "flowchart LR",
        '  subgraph t1["prod #47; default"]',
        "    direction LR",
        '    a1_1(["a"])',
        '    c1_1[("v1")]',
        '    c1_2[("v2")]',
        '    a1_1 -. "now" .-> c1_1',
        '    a1_1 == "next" ==> c1_2',
        "  end",
    ]


STAGES = [
    Cluster("staging / default", (Arrow("a", "v1"),), {"staging": (), "other": ()}),
    Cluster("prod / default", (Arrow("a", "v1"),), {"prod": ("staging", "absent")}),
]


def test_sets_are_drawn_where_one_waits_for_another() -> None:
    lines = mermaid(STAGES).splitlines()
    assert [line for line in lines if line.lstrip().startswith("s") and "subgraph" not in line] == [
        '    s1{{"staging"}}',
        '    s2{{"prod"}}',
        '  s2 -. "waits for" .-> s1',
    ]
    assert lines.index('    s1{{"staging"}}') < lines.index("  end") < lines.index('    s2{{"prod"}}')
    drawn = dot(STAGES)
    assert dot_nodes(drawn) == ["staging", "a", "v1", "prod", "a", "v1"]
    assert '  s2 -> s1 [style=dashed, label="waits for"];' in drawn.splitlines()


def test_graphviz_reads_like_this() -> None:
    drawn = dot([Cluster("prod / default", (Arrow("a", "v1", EdgeKind.NOW), Arrow("gone", None)))])
    assert drawn.splitlines() == [
        "digraph aliases {",
        "  rankdir=LR;",
        '  node [fontname="monospace"];',
        "  subgraph cluster_1 {",
        '    label="prod / default";',
        '    a1_1 [label="a", shape=box, style=rounded];',
        '    a1_2 [label="gone (absent)", shape=box, style=rounded];',
        '    c1_1 [label="v1", shape=cylinder];',
        '    a1_1 -> c1_1 [style=dashed, label="now"];',
        "  }",
        "}",
    ]


def check_harmless(*texts: str) -> None:
    clusters = [Cluster(text, (Arrow(text, text),)) for text in texts]
    shown = [printable(text) for text in texts]
    assert mermaid_labels(mermaid(clusters)) == [label for text in shown for label in (text,) * 3]
    assert sorted(dot_nodes(dot(clusters))) == sorted(shown * 2)


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_names_stay_in_their_labels(text: str) -> None:
    check_harmless(text)


@settings(max_examples=30)  # pydot takes its time
@given(TEXTS)
def test_no_text_at_all_breaks_out_of_its_label(texts: list[str]) -> None:
    check_harmless(*(text + "x" for text in texts))

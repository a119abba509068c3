"""Drawings of aliases and their collections for Mermaid or Graphviz.

Every node has a generated name (`a1_1`, `c1_1`) and an escaped label, so that no alias name can add to the drawing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import StrEnum

from msgspec import Struct

from reconciler.core.model import DEFAULT_DATABASE, AliasSet
from reconciler.core.plan import Step, TargetPlan
from reconciler.core.text import printable
from reconciler.manifest.records import AliasSetManifest


class EdgeKind(StrEnum):
    """How an alias relates to a collection; the value is the label of the arrow."""

    EXPECTED = ""
    NOW = "now"
    NEXT = "next"
    BLOCKED = "blocked"
    DROPPED = "to be dropped"
    SUSPENDED = "suspended"


class Arrow(Struct, frozen=True):
    """An arrow from an alias to a collection; None for an alias that should be absent."""

    alias: str
    collection: str | None
    kind: EdgeKind = EdgeKind.EXPECTED


class Cluster(Struct, frozen=True):
    """The arrows of one database, and its sets by key, each with those that it depends on."""

    title: str
    arrows: tuple[Arrow, ...]
    sets: Mapping[str, tuple[str, ...]] = {}


def desired_clusters(sets: Sequence[AliasSetManifest]) -> list[Cluster]:
    found: dict[str, list[Arrow]] = {}
    keys: dict[str, dict[str, tuple[str, ...]]] = {}
    for alias_set in sets:
        namespace = f"{alias_set.namespace}/" if alias_set.namespace else ""
        title = f"{namespace}{alias_set.connection_name} / {alias_set.database or DEFAULT_DATABASE}"
        kind = EdgeKind.SUSPENDED if alias_set.suspend else EdgeKind.EXPECTED
        found.setdefault(title, []).extend(Arrow(alias.name, alias.collection, kind) for alias in alias_set.aliases)
        keys.setdefault(title, {})[alias_set.key] = tuple(f"{namespace}{name}" for name in alias_set.depends_on)
    return [Cluster(title, tuple(sorted(arrows, key=_order)), keys[title]) for title, arrows in sorted(found.items())]


def planned_cluster(target: TargetPlan, sets: Sequence[AliasSet]) -> Cluster:
    """Return the live and the desired state of a database."""
    changing = {(step.set, step.alias) for step in target.steps}
    suspended = {alias_set.set for alias_set in target.sets if alias_set.suspended}
    arrows = [arrow for step in target.steps for arrow in _of_step(step)]
    for alias_set in sets:
        kind = EdgeKind.SUSPENDED if alias_set.key in suspended else EdgeKind.EXPECTED
        arrows += [
            Arrow(alias.name, alias.collection, kind)
            for alias in alias_set.aliases
            if alias.collection and (alias_set.key, alias.name) not in changing
        ]
    title = f"{target.connection.name} / {target.target.database}"
    return Cluster(title, tuple(sorted(arrows, key=_order)), {each.key: each.depends_on for each in sets})


def _of_step(step: Step) -> Iterator[Arrow]:
    if step.current:
        leaves = step.desired is None and not step.blocked
        yield Arrow(step.alias, step.current, EdgeKind.DROPPED if leaves else EdgeKind.NOW)
    if step.desired:
        yield Arrow(step.alias, step.desired, EdgeKind.BLOCKED if step.blocked else EdgeKind.NEXT)


def _order(arrow: Arrow) -> tuple[str, str, str]:
    return arrow.alias, arrow.kind, arrow.collection or ""


def _names(cluster: Cluster, number: int) -> tuple[Mapping[str, str], Mapping[str, str]]:
    """Return the node names of the aliases and of the collections."""
    aliases = dict.fromkeys(arrow.alias for arrow in cluster.arrows)
    collections = dict.fromkeys(arrow.collection for arrow in cluster.arrows if arrow.collection)
    return (
        {alias: f"a{number}_{place}" for place, alias in enumerate(aliases, 1)},
        {collection: f"c{number}_{place}" for place, collection in enumerate(collections, 1)},
    )


def _set_names(clusters: Sequence[Cluster]) -> Mapping[str, str]:
    """Return the node names of the sets that depend on others, or that others depend on."""
    sets = {key: needed for cluster in clusters for key, needed in cluster.sets.items()}
    linked = {key for key, needed in sets.items() if needed} | {name for needed in sets.values() for name in needed}
    return {key: f"s{number}" for number, key in enumerate((key for key in sets if key in linked), 1)}


def _waits(clusters: Sequence[Cluster], names: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield the node names of each set that waits for another one, and of that one."""
    for cluster in clusters:
        for key, needed in cluster.sets.items():
            yield from ((names[key], names[name]) for name in needed if name in names)


def _label(alias: str, cluster: Cluster) -> str:
    absent = all(arrow.collection is None for arrow in cluster.arrows if arrow.alias == alias)
    return f"{alias} (absent)" if absent else alias


MERMAID = {
    EdgeKind.EXPECTED: "-->",
    EdgeKind.NOW: '-. "now" .->',
    EdgeKind.NEXT: '== "next" ==>',
    EdgeKind.BLOCKED: '-- "blocked" --x',
    EdgeKind.DROPPED: '-. "to be dropped" .-x',
    EdgeKind.SUSPENDED: '-. "suspended" .->',
}


def mermaid(clusters: Sequence[Cluster]) -> str:
    lines, sets = ["flowchart LR"], _set_names(clusters)
    for number, cluster in enumerate(clusters, 1):
        aliases, collections = _names(cluster, number)
        lines += [f'  subgraph t{number}["{_for_mermaid(cluster.title)}"]', "    direction LR"]
        lines += [f'    {sets[key]}{{{{"{_for_mermaid(key)}"}}}}' for key in cluster.sets if key in sets]
        lines += [f'    {node}(["{_for_mermaid(_label(alias, cluster))}"])' for alias, node in aliases.items()]
        lines += [f'    {node}[("{_for_mermaid(collection)}")]' for collection, node in collections.items()]
        lines += [
            f"    {aliases[arrow.alias]} {MERMAID[arrow.kind]} {collections[arrow.collection]}"
            for arrow in cluster.arrows
            if arrow.collection
        ]
        lines.append("  end")
    lines += [f'  {waiting} -. "waits for" .-> {other}' for waiting, other in _waits(clusters, sets)]
    return "\n".join(lines) + "\n"


def _for_mermaid(text: str) -> str:
    """Return a label; whatever could mean something to Mermaid or in HTML becomes one of Mermaid's entities."""
    return "".join(c if c.isalnum() or c in "_ " else f"#{ord(c)};" for c in printable(text))


DOT = {
    EdgeKind.EXPECTED: "",
    EdgeKind.NOW: ' [style=dashed, label="now"]',
    EdgeKind.NEXT: ' [style=bold, label="next"]',
    EdgeKind.BLOCKED: ' [style=dotted, color=red, label="blocked"]',
    EdgeKind.DROPPED: ' [style=dashed, color=red, label="to be dropped"]',
    EdgeKind.SUSPENDED: ' [style=dotted, label="suspended"]',
}


def dot(clusters: Sequence[Cluster]) -> str:
    lines, sets = ["digraph aliases {", "  rankdir=LR;", '  node [fontname="monospace"];'], _set_names(clusters)
    for number, cluster in enumerate(clusters, 1):
        aliases, collections = _names(cluster, number)
        lines += [f"  subgraph cluster_{number} {{", f"    label={_for_dot(cluster.title)};"]
        lines += [f"    {sets[key]} [label={_for_dot(key)}, shape=hexagon];" for key in cluster.sets if key in sets]
        lines += [
            f"    {node} [label={_for_dot(_label(alias, cluster))}, shape=box, style=rounded];"
            for alias, node in aliases.items()
        ]
        lines += [f"    {node} [label={_for_dot(name)}, shape=cylinder];" for name, node in collections.items()]
        lines += [
            f"    {aliases[arrow.alias]} -> {collections[arrow.collection]}{DOT[arrow.kind]};"
            for arrow in cluster.arrows
            if arrow.collection
        ]
        lines.append("  }")
    lines += [f'  {waiting} -> {other} [style=dashed, label="waits for"];' for waiting, other in _waits(clusters, sets)]
    return "\n".join([*lines, "}"]) + "\n"


def _for_dot(text: str) -> str:
    """Return a quoted label; Graphviz interprets backslashes and HTML entities in it."""
    escaped = printable(text).replace("\\", "\\\\").replace('"', '\\"').replace("&", "&amp;")
    return f'"{escaped}"'


FORMATS: Mapping[str, Callable[[Sequence[Cluster]], str]] = {"mermaid": mermaid, "dot": dot}

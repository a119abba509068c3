"""The AliasSets of a cluster as text."""

from __future__ import annotations

from collections.abc import Sequence

from reconciler.render.cluster_sets import ClusterSet, PendingPlan, PendingStep, set_lines, table_lines

WHY = "canary: overlap@5 0.00, need ≥ 0.60"


def pending(*steps: PendingStep, blocked: int = 0) -> ClusterSet:
    plan = PendingPlan("sha256:4f", "2026-11-30T22:00:00Z", creates=1, alters=3, blocked=blocked, steps=steps)
    return ClusterSet("search", "products", "False", "ApprovalRequired", "", 4, 0, False, plan)


def move(*aliases: str, wave: int = 0, blocked: str | None = None) -> Sequence[PendingStep]:
    return [PendingStep("alter", alias, "v7", "v8", wave, blocked) for alias in aliases]


def test_a_pending_plan_is_grouped_by_move_and_shows_each_reason_once_in_red() -> None:
    steps = (*move("a", blocked=WHY), *move("b", "c", wave=1, blocked=WHY), PendingStep("create", "new", None, "v1"))
    _, *lines, _, _ = set_lines(pending(*steps, blocked=3))
    assert [line.plain for line in lines] == [
        "  ! v7 → v8   3 aliases   BLOCKED",
        f"    {WHY}",
        "      wave 0   a",
        "      wave 1   b, c",
        "  + new   → v1",
    ]
    assert ("!", "bold red") in lines[0]
    assert ("+", "green") in lines[-1]


def test_the_cells_of_sets_are_wrapped_to_the_terminal_and_their_names_stay_whole() -> None:
    sets = [pending(*move("a", "b", "c", blocked=WHY), blocked=3)]
    lines = [line.plain for line in table_lines(sets, with_namespaces=True, width=70)]
    assert max(map(len, lines)) <= 70
    assert lines[1].startswith("search      products   False")
    assert all(line.startswith(" " * 23) for line in lines[2:])

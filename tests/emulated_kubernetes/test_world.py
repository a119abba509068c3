"""What counts as news: no wish may be lost between the watch and the answers to our own calls."""

from __future__ import annotations

from typing import Any

from reconciler.operator.objects import set_object
from reconciler.operator.world import World


def body(version: int, generation: int = 1, **metadata: Any) -> dict[str, Any]:
    named = {"namespace": "team", "name": "shop", "uid": "1"}
    spec = {"connectionRef": {"name": "main"}, "aliases": [{"name": "a", "collection": f"v{generation}"}]}
    return {"metadata": {**named, "resourceVersion": str(version), "generation": generation, **metadata}, "spec": spec}


def told(world: World, given: dict[str, Any]) -> bool:
    return world.put(set_object(given))


def test_an_edit_that_the_answer_to_a_status_write_shows_first_is_still_news() -> None:
    world = World()
    told(world, body(1))
    edited = body(3, generation=2)
    world.take(edited, observed=False)
    assert [alias_set.generation for alias_set in world.view().sets.values()] == [2]  # it is seen at once
    assert told(world, edited)
    assert not told(world, edited)


def test_an_edit_that_a_look_was_made_at_is_no_news() -> None:
    world = World()
    told(world, body(1))
    edited = body(3, generation=2)
    world.take(edited, observed=True)
    assert not told(world, edited)


def test_a_set_made_anew_under_its_name_is_news() -> None:
    world = World()
    told(world, body(1))
    world.remove(set_object(body(1)))
    assert told(world, body(1))

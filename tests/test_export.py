"""What an export calls its objects."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from reconciler.core.errors import InvalidInput
from reconciler.core.model import AliasSet, OnFailure, Verify
from reconciler.manifest import read
from reconciler.manifest.export import exported, live_from_export
from tests.builders import LOCAL, alias_set


@pytest.mark.parametrize(
    ("database", "name"), [("default", "default"), ("My_Shop", "my-shop"), ("d" * 255, "d" * 240), ("__", "aliases")]
)
def test_a_database_name_becomes_an_object_name(database: str, name: str) -> None:
    [document] = [yaml.safe_load(text) for text in exported({database: {}}, LOCAL, with_connection=False)]
    assert document["metadata"] == {"name": name}


def test_a_large_database_becomes_several_sets_that_can_be_read(tmp_path: Path) -> None:
    pointing = {f"a{number:04}": "c1" for number in range(2001)}
    texts = list(exported({"default": pointing}, LOCAL, with_connection=True))
    (tmp_path / "export.yaml").write_text("".join(texts))
    assert len(read([tmp_path / "export.yaml"]).sets) == 3
    documents = [yaml.safe_load(text) for text in texts]
    assert [document["metadata"]["name"] for document in documents] == ["local", "default-1", "default-2", "default-3"]
    assert [len(document["spec"]["aliases"]) for document in documents[1:]] == [1000, 1000, 1]


def test_two_databases_never_share_an_object_name() -> None:
    many = {f"x{number}": "c1" for number in range(1001)}
    databases: dict[str, dict[str, str]] = {"a": {}, "A": {}, "a_1": {}, "b": many, "b_1": {}}
    documents = map(yaml.safe_load, exported(databases, LOCAL, with_connection=False))
    names = [(document["metadata"]["name"], document["spec"]["database"]) for document in documents]
    assert names == [("a", "a"), ("a-2", "A"), ("a-1", "a_1"), ("b-1", "b"), ("b-2", "b"), ("b-1-2", "b_1")]


@pytest.mark.parametrize(
    "spec_hash", [alias_set({"a": "v1"}, verify=Verify(soak=1.0)), alias_set({"a": "v1"}, on_failure=OnFailure.REVERT)]
)
def test_a_set_that_says_how_to_cut_over_is_no_export(spec_hash: AliasSet) -> None:
    with pytest.raises(InvalidInput, match=r"this is no export: it has .* verification"):
        live_from_export([spec_hash], [])

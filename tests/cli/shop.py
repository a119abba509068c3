"""A database and a folder of manifests about it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import yaml

from tests.cli.command import TOKEN, Completed, run, run_at_terminal
from tests.servers import Admin, MilvusAdmin

API_VERSION = "aliasctl.dev/v1alpha1"
Spec = Mapping[str, Any]


def connection(uri: str, name: str = "main", **spec: Any) -> Spec:
    """A MilvusConnection."""
    return _document("MilvusConnection", name, {"uri": uri, **spec})


def alias_set(aliases: Mapping[str, str | Spec | None], name: str = "shop", **spec: Any) -> Spec:
    """An AliasSet of alias → collection; None for Absent, a mapping for an entry with more to it."""
    entries = [{"name": alias, **_entry(desired)} for alias, desired in aliases.items()]
    return _document("AliasSet", name, {"connectionRef": {"name": "main"}, **spec, "aliases": entries})


def manifest(*documents: Spec) -> str:
    return yaml.safe_dump_all(documents, sort_keys=False)


def _entry(desired: str | Spec | None) -> Spec:
    if isinstance(desired, Mapping):
        return desired
    return {"collection": desired} if desired else {"state": "Absent"}


def _document(kind: str, name: str, spec: Spec) -> Spec:
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": {"name": name}, "spec": spec}


@dataclass
class Shop:
    """A database of its own on a server with the collections v1, v2 and v3, and a folder to run the command in."""

    uri: str
    database: str
    admin: Any
    folder: Path

    def want(self, aliases: Mapping[str, str | Spec | None], *more: Spec, **spec: Any) -> None:
        """Write aliases.yaml: the connection, a set, and further documents."""
        desired = alias_set(aliases, database=self.database, **spec)
        self.write("aliases.yaml", connection(self.uri, token={"env": "TOKEN"}), desired, *more)

    def write(self, name: str, *documents: Spec) -> None:
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(manifest(*documents))

    def run(self, *arguments: str, env: Mapping[str, str] | None = None, text: str | None = None) -> Completed:
        completed = run(*arguments, cwd=self.folder, env=env, text=text)
        for path in self.folder.rglob("*"):
            assert path.is_dir() or TOKEN.encode() not in path.read_bytes(), path
        return completed

    def at_terminal(self, *arguments: str, **options: Any) -> Completed:
        return run_at_terminal(*arguments, cwd=self.folder, **options)

    def plan(self, *arguments: str) -> Completed:
        return self.run("plan", "-f", "aliases.yaml", *arguments)

    def apply(self, *arguments: str) -> Completed:
        return self.run("apply", "-f", "aliases.yaml", "--yes", *arguments)

    def read(self, name: str) -> Any:
        return json.loads((self.folder / name).read_text())

    @property
    def live(self) -> dict[str, str]:
        """Every alias of the database and its collection, as another client sees them."""
        client = self.admin.client(self.database)
        listed = {
            name: client.list_aliases(name, db_name=self.database)["aliases"] for name in client.list_collections()
        }
        return dict(sorted((alias, name) for name, aliases in listed.items() for alias in aliases))

    def point(self, **aliases: str) -> None:
        """Point new aliases at collections, by another client."""
        for alias, collection in aliases.items():
            self.admin.client(self.database).create_alias(collection, alias)

    def move(self, **aliases: str) -> None:
        for alias, collection in aliases.items():
            self.admin.client(self.database).alter_alias(collection, alias)

    def put_back(self, aliases: Mapping[str, str]) -> None:
        """Make the aliases exactly these, by another client; what only has to move is altered."""
        client, live = self.admin.client(self.database), self.live
        for alias in live.keys() - aliases.keys():
            client.drop_alias(alias)
        self.point(**{alias: collection for alias, collection in aliases.items() if alias not in live})
        self.move(
            **{alias: collection for alias, collection in aliases.items() if live.get(alias, collection) != collection}
        )


def open_shop(uri: str, database: str, admin: Admin, folder: Path) -> Shop:
    for name in ("v1", "v2", "v3"):
        admin.create_collection(name, database)
    return Shop(uri, database, admin, folder)


@contextmanager
def shop_for_all(uri: str, folder: Path) -> Iterator[Shop]:
    """A new and empty database that many tests use one after another; all of it is gone at the end."""
    admin, database = MilvusAdmin(uri), f"shop_{uuid4().hex[:8]}"
    admin.create_database(database)
    try:
        yield Shop(uri, database, admin, folder)
    finally:
        client = admin.client(database)
        for alias in client.list_aliases("", db_name=database)["aliases"]:
            client.drop_alias(alias)
        for name in client.list_collections():
            admin.drop_collection(name, database)
        admin.forget(database)
        admin.close()

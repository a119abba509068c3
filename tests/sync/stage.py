"""A shop whose aliases a repository describes, and the agents that follow it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.cli.command import Completed, run
from tests.cli.shop import Shop, Spec, alias_set, connection, manifest
from tests.sync.agents import Agent
from tests.sync.keys import Signer
from tests.sync.origin import Origin

FILE = "aliases/shop.yaml"
Wanted = Mapping[str, str | Spec | None]


@dataclass(frozen=True)
class Stage:
    """See above."""

    shop: Shop
    origin: Origin

    def manifest(self, aliases: Wanted, *more: Spec, **spec: Any) -> str:
        return manifest(alias_set(aliases, database=self.shop.database, **spec), *more)

    def merge(
        self, aliases: Wanted, *more: Spec, message: str = "Change", signer: Signer | None = None, **spec: Any
    ) -> str:
        """Commit what is wanted and push it to main; the commit's id."""
        commit = self.origin.commit({FILE: self.manifest(aliases, *more, **spec)}, message, signer)
        self.origin.push()
        return commit

    def break_main(self) -> str:
        """Push a commit that cannot be used."""
        commit = self.origin.commit({FILE: "kind: AliasSet\nmetadata: {name: shop}\n"}, "Oops")
        self.origin.push()
        return commit

    def connect_to(self, uri: str, file: str = "connections.yaml") -> None:
        """Write the agents' own connection."""
        self.shop.write(file, connection(uri, token={"env": "TOKEN"}))

    def options(self, repository: str | None, state: str, options: tuple[str, ...]) -> list[str]:
        given = ["--path", "aliases", "--connections", "connections.yaml", "--state", str(self.state(state)), *options]
        return [repository or str(self.origin.bare), *given]

    def once(
        self,
        *options: str,
        repository: str | None = None,
        state: str = "state",
        env: Mapping[str, str] | None = None,
    ) -> Completed:
        """One look of an agent."""
        return run("sync", *self.options(repository, state, options), "--once", cwd=self.shop.folder, env=env)

    def begin(
        self,
        *options: str,
        repository: str | None = None,
        state: str = "state",
        interval: str = "200ms",
        env: Mapping[str, str] | None = None,
    ) -> Agent:
        """Start an agent."""
        pace = ("--interval", interval, "--listen", "127.0.0.1:0")
        return Agent(self.shop.folder, self.options(repository, state, (*pace, *options)), env or {})

    @contextmanager
    def following(
        self,
        *options: str,
        repository: str | None = None,
        state: str = "state",
        interval: str = "200ms",
        env: Mapping[str, str] | None = None,
    ) -> Iterator[Agent]:
        """An agent that has begun, until the end of the block."""
        agent = self.begin(*options, repository=repository, state=state, interval=interval, env=env)
        try:
            yield agent.ready()
            assert agent.end() == 0
        finally:
            agent.close()

    def nowhere(self, secret: str) -> bool:
        """Whether a secret is in no file that an agent wrote, the mirror among them."""
        folders = (self.shop.folder, self.state().parent)
        files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
        return not any(secret.encode() in path.read_bytes() for path in files if path.name not in PLACES_OF_SECRETS)

    def state(self, name: str = "state") -> Path:
        """The folder of an agent."""
        return self.shop.folder.parent / "states" / name

    @property
    def journal(self) -> Path:
        return self.shop.folder / "journal.db"


PLACES_OF_SECRETS = ("token.txt", "secret.txt")

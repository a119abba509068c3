"""A repository as its enemy makes it: trees, commits and signatures byte by byte, where git itself would refuse."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Event

from msgspec.structs import replace

from reconciler.git import Access, Commit, Repository, Signers
from reconciler.manifest import Overrides
from reconciler.sync.revision import Revision, read_revision
from reconciler.sync.settings import Settings

FILE, LINK, FOLDER, SUBMODULE = b"100644", b"120000", b"40000", b"160000"
WHO = b"Eve <eve@example.com> 1700000000 +0000"
MANIFEST = b"""\
apiVersion: aliasctl.dev/v1alpha1
kind: AliasSet
metadata: {name: search}
spec:
  connectionRef: {name: prod}
  aliases: [{name: products, collection: products_v1}]
"""
CONNECTION = """\
apiVersion: aliasctl.dev/v1alpha1
kind: MilvusConnection
metadata: {name: prod}
spec: {uri: "http://127.0.0.1:1", token: {env: OUR_TOKEN}}
"""


@dataclass(frozen=True)
class Entry:
    """A line of a tree object: a name, and the id of what it stands for."""

    mode: bytes
    name: bytes
    oid: str


@dataclass(frozen=True)
class Forge:
    """A bare repository at `folder` that takes any object."""

    folder: Path

    def git(self, *arguments: str, given: bytes = b"") -> str:
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("GIT_")},
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_CONFIG_NOSYSTEM": "1",
        }
        command = ["git", f"--git-dir={self.folder}", *arguments]
        done = subprocess.run(command, input=given, env=environment, check=True, capture_output=True)
        return done.stdout.decode("utf-8", "surrogateescape").strip()

    def object(self, kind: str, content: bytes) -> str:
        """Store an object, however wrong."""
        return self.git("hash-object", "-w", "--stdin", "--literally", "-t", kind, given=content)

    def blob(self, content: bytes) -> str:
        return self.object("blob", content)

    def file(self, name: str | bytes, content: bytes = MANIFEST) -> Entry:
        return Entry(FILE, os.fsencode(name), self.blob(content))

    def link(self, name: str, target: str | bytes) -> Entry:
        return Entry(LINK, os.fsencode(name), self.blob(os.fsencode(target)))

    def folder_of(self, name: str, *entries: Entry) -> Entry:
        return Entry(FOLDER, os.fsencode(name), self.tree(*entries))

    def tree(self, *entries: Entry) -> str:
        lines = (entry.mode + b" " + entry.name + b"\0" + bytes.fromhex(entry.oid) for entry in entries)
        return self.object("tree", b"".join(lines))

    def commit(
        self,
        *entries: Entry,
        parents: Sequence[str] = (),
        author: bytes = WHO,
        headers: bytes = b"",
        message: bytes = b"change\n",
    ) -> str:
        """A commit with these files, which `main` names from now on."""
        text = b"tree " + self.tree(*entries).encode() + b"\n"
        text += b"".join(b"parent " + parent.encode() + b"\n" for parent in parents)
        text += b"author " + author + b"\ncommitter " + author + b"\n" + headers + b"\n" + message
        return self.point(self.object("commit", text))

    def point(self, oid: str, ref: str = "refs/heads/main") -> str:
        """Let a ref name an object, unchecked."""
        path = self.folder / ref
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{oid}\n", encoding="ascii")
        return oid


def new_forge(folder: Path) -> Forge:
    """An empty one, which serves whatever is asked for."""
    subprocess.run(["git", "init", "--quiet", "--bare", "--template=", str(folder)], check=True)
    forge = Forge(folder)
    forge.git("config", "uploadpack.allowFilter", "true")
    return forge


@dataclass(frozen=True)
class Follower:
    """What the agent has of it: a mirror, and settings."""

    settings: Settings
    repository: Repository

    def fetch(self) -> Commit:
        """As each look begins."""
        return self.repository.fetch(self.repository.head())

    def revision(self) -> Revision:
        """The newest commit, as far as it can be used."""
        return read_revision(self.repository, self.fetch(), self.settings)


def follow(
    url: str,
    state: Path,
    *,
    path: str = "",
    ref: str = "main",
    signers: Signers | None = None,
    max_fetch_mib: int = 256,
    stop: Event | None = None,
    access: Mapping[str, object] | None = None,
) -> Follower:
    """Follow a repository, with a connection named prod."""
    connections = state.parent / "connections.yaml"
    connections.write_text(CONNECTION, encoding="utf-8")
    settings = Settings(
        access=replace(Access(url), **dict(access or {})),
        ref=ref,
        path=path,
        connections=connections,
        overrides=Overrides(),
        signers=signers or Signers(),
        interval=60,
        state=state,
        max_fetch_mib=max_fetch_mib,
    )
    settings.check()
    state.mkdir(mode=0o700)
    repository = settings.mirror(stop or Event())
    repository.prepare()
    return Follower(settings, repository)

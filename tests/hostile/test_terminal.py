"""Whoever names an alias, a file, a commit or a run commands no terminal: not by results, logs, errors or prompts.

Each command runs at a terminal, with the debug log, in colour, and what the terminal was sent is looked at.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reconciler.documents.plan_file import checksum
from tests.cli.command import Completed, run_at_terminal
from tests.cli.shop import Shop, alias_set, connection
from tests.hostile.mutations import ESCAPES
from tests.journals import documents, write
from tests.servers import ToyMilvus, status, toy_milvus
from tests.sync.origin import git

EVIL = "evil" + "".join(ESCAPES) + "\rALL GOOD"
"""A title for the window, a blank screen, a colour, text that runs backwards, and a line that is overwritten."""
OBEYED = ("\x1b]", "\x07", "\x1b[2J", "\x9b", "\u202e", "\x08", "\x7f", "\u2028", "\rALL GOOD")
"""What rich never sends by itself."""
SHOWN = "evil\\x1b]0;owned\\x07"


def harmless(completed: Completed, *, evil: bool = True) -> Completed:
    screen = completed.stdout + completed.stderr
    for sequence in OBEYED:
        assert sequence not in screen, repr(screen)
    assert not evil or SHOWN in screen, repr(screen)
    return completed


def at_terminal(folder: Path, *arguments: str, **options: Any) -> Completed:
    return run_at_terminal(*arguments, "--log-level", "debug", cwd=folder, **options)


@pytest.fixture
def evil_shop(shop: Shop) -> Shop:
    """Milvus Lite takes any name for an alias."""
    shop.point(**{EVIL: "v1", "a": "v1"})
    shop.want({"a": "v2"}, scope={"include": ["*"]})
    return shop


def test_names_from_the_server(evil_shop: Shop) -> None:
    """Read, planned, dropped, recorded, not brought back; and a run whose prompt is answered with no."""
    folder, manifests = evil_shop.folder, ("-f", "aliases.yaml")
    harmless(at_terminal(folder, "plan", *manifests, "--out", "plan.json", "--output", "text=plan.txt"))
    harmless(at_terminal(folder, "show", "plan.json"))
    harmless(at_terminal(folder, "status", *manifests))
    harmless(at_terminal(folder, "graph", *manifests, "--live"), evil=False)
    harmless(at_terminal(folder, "export", *manifests, "--database", evil_shop.database))
    asked = harmless(at_terminal(folder, "apply", *manifests, prompt="[y/N]", answer="n\n"))
    assert asked.code == 1
    harmless(at_terminal(folder, "apply", *manifests, "--yes", "--log-format", "console"))
    harmless(at_terminal(folder, "history", "--alias", EVIL))
    harmless(at_terminal(folder, "rollback", prompt="[y/N]", answer="y\n"))
    assert evil_shop.live == {"a": "v2"}, "we make no such alias"
    for path in folder.glob("*.txt"):
        assert "\x1b" not in path.read_text()


def test_a_plan_file_that_was_forged(evil_shop: Shop) -> None:
    """Everything in it that is no alias of the server's: the prompt names the connection."""
    evil_shop.want({"a": "v2"})
    evil_shop.plan("--out", "plan.json")
    path = evil_shop.folder / "plan.json"
    document = json.loads(path.read_text())
    [target] = document["targets"]
    target["connection"]["name"] = target["serverVersion"] = target["sets"][0]["source"]["file"] = EVIL
    target["steps"][0]["gates"] = [{"gate": EVIL, "result": "pass", "detail": EVIL, "figures": {EVIL: EVIL}}]
    document["tool"]["version"] = EVIL
    document["checksum"] = checksum(document)
    path.write_text(json.dumps(document))
    harmless(at_terminal(evil_shop.folder, "show", "plan.json"))
    asked = harmless(at_terminal(evil_shop.folder, "apply", "plan.json", prompt="[y/N]", answer="n\n"))
    assert "Apply 1 change to evil" in asked.stdout
    assert asked.code == 1


def test_a_journal_that_was_forged(shop: Shop) -> None:
    shop.want({"a": "v1"})
    assert shop.apply().code == 0
    journal = shop.folder / "journal.db"
    lines = documents(journal)
    forged: list[dict[str, Any]] = []
    for line in lines:
        texts: dict[str, Any] = {key: EVIL for key in ("user", "host", "message", "set") if key in line}
        forged.append({**dict(reversed(line.items())), **texts, "run": EVIL})
        if line["event"] == "runStarted":
            forged[-1] |= {"command": EVIL, "source": [EVIL], "tool": {"name": "aliasctl", "version": EVIL}}
            forged[-1]["provenance"] = dict.fromkeys(("commit", "author", "ref", "signature", "pipeline"), EVIL)
    write(journal, forged)
    harmless(at_terminal(shop.folder, "history"))
    harmless(at_terminal(shop.folder, "history", "evil"))
    harmless(at_terminal(shop.folder, "rollback", "--dry-run"))
    harmless(at_terminal(shop.folder, "status", "-f", "aliases.yaml", "--unreferenced"), evil=False)


def test_names_of_files_and_their_contents(tmp_path: Path) -> None:
    """What the reader lets through, such as text that runs backwards in a comment, is told as it is written."""
    folder = tmp_path / EVIL
    folder.mkdir()
    (folder / "broken.yaml").write_text('apiVersion: aliasctl.dev/v1alpha1\nkind: "Alias\\e[2JSet\\x07"\nmetadata: [\n')
    harmless(at_terminal(tmp_path, "validate", "-f", EVIL))
    harmless(at_terminal(tmp_path, "plan", "-f", ".", EVIL))
    harmless(at_terminal(tmp_path, "show", EVIL))
    harmless(at_terminal(tmp_path, "history", "--journal", EVIL + "none"))
    harmless(at_terminal(tmp_path, "set", f"{EVIL}=v1", "-f", EVIL))
    harmless(run_at_terminal(EVIL, cwd=tmp_path))
    manifests = [connection("http://localhost:1"), alias_set({"a": "v1"})]
    Shop("", "", None, folder).write("good.yaml", *manifests)
    good = folder / "good.yaml"
    good.write_text("# \u202e backwards\n" + good.read_text().replace("v1", "v1 # \u202e"))
    (folder / "broken.yaml").unlink()
    harmless(at_terminal(tmp_path, "set", "a=v2", "-f", EVIL, "--check"))
    harmless(at_terminal(tmp_path, "set", "a=v2", "-f", EVIL))


def test_whoever_made_a_commit(shop: Shop) -> None:
    """Git takes an escape code in the name of an author."""
    shop.want({"a": "v1"})
    git(shop.folder, "init", "--quiet")
    git(shop.folder, "add", "aliases.yaml")
    git(shop.folder, "commit", "--quiet", "--message", "x", "--author", "evil\x1b]0;owned\x07 <e@example.com>")
    assert at_terminal(shop.folder, "apply", "-f", "aliases.yaml", "--yes").code == 0
    started, *_ = documents(shop.folder / "journal.db")
    told = harmless(at_terminal(shop.folder, "history", started["run"]), evil=False)
    assert "commit by evil\\x1b]0;owned <e@example.com>" in told.stdout


@pytest.fixture
def liar() -> Iterator[ToyMilvus]:
    with toy_milvus(version=f"v2.6.4{EVIL}") as toy:
        yield toy


@pytest.mark.parametrize("answer", ["a code of Milvus's", "a status of gRPC's", "a name"])
def test_what_a_server_says(liar: ToyMilvus, answer: str, tmp_path: Path) -> None:
    """Its version, its reasons, and its names."""
    from pymilvus.grpc_gen import milvus_pb2

    words = EVIL.replace("\u2028", "")  # gRPC's own percent-encoding keeps the rest

    def lie(_request: bytes, context: Any) -> Any:
        if answer == "a status of gRPC's":
            import grpc

            context.abort(grpc.StatusCode.INTERNAL, words)
        if answer == "a name":
            return milvus_pb2.ListAliasesResponse(status=status(), aliases=[EVIL])
        return milvus_pb2.ListAliasesResponse(status=status(65535, words))

    liar.answers["ListAliases"] = lie
    Shop("", "", None, tmp_path).write("m.yaml", connection(liar.uri), alias_set({"a": "v1"}, scope={"include": ["*"]}))
    told = harmless(at_terminal(tmp_path, "version", "--uri", liar.uri))
    assert told.code == 0
    failed = harmless(at_terminal(tmp_path, "plan", "-f", "m.yaml"), evil=False)
    assert failed.code == 1
    assert "evil" in failed.stdout or answer == "a name"

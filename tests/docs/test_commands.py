"""Every command line of the documentation is run, page by page, on a Milvus Lite server of the page's own.

A page says in its first line what it starts from, in a comment that readers do not see; a part of a page may start anew
with another one:

    <!-- sandbox: collections c1 c2; aliases a=c1; manifests a=c1 -->
    <!-- sandbox: milvus 2.6.13; collections c1; aliases a=c1; readers shop=c1 -->

`databases` are further ones, which are empty. `rows` fills collections with rows of random vectors; `manifests` makes a
folder `aliases/` with a connection `local` and a set that wants those aliases; `receivers` adds two receivers of
notifications to the connection. `milvus` is an emulated server of that version, with authorization: MILVUS_TOKEN has
the token of root, and SHOP_TOKEN that of a user whose role `shop_role` may read the collection. Blocks marked `sh` are
run in order, in one folder; `python` blocks are run at their place, and their exit code is their last word.
"""

from __future__ import annotations

import os
import random
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from reconciler.core.model import Row
from reconciler.manifest import read
from tests.emulated_milvus.behaviour import VERSIONS
from tests.emulated_milvus.cluster import Cluster
from tests.emulated_milvus.proxy import Proxy
from tests.integrations.receivers import receiver
from tests.servers import MilvusAdmin, lite_server

from pymilvus import MilvusClient  # isort: skip

ROOT = Path(__file__).parents[2]
PAGES = sorted(path for path in (ROOT / "docs").glob("*.md") if "<!-- sandbox:" in path.read_text())
RECEIVERS = [
    {"name": "audit", "uriFrom": {"env": "AUDIT_URL"}, "secret": {"env": "AUDIT_SECRET"}},
    {"name": "chat", "format": "slack", "uriFrom": {"env": "SLACK_URL"}},
]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def blocks(page: Path, *languages: str) -> list[tuple[str, str]]:
    return blocks_in(page.read_text(), *languages)


def blocks_in(text: str, *languages: str) -> list[tuple[str, str]]:
    found = [(match[1], match[2]) for match in BLOCK.finditer(text)]
    return [(language, text) for language, text in found if language in languages]


def sandboxes(page: Path) -> Iterator[tuple[dict[str, list[str]], str]]:
    """The parts of a page: what each starts from, each word of its comment with what follows it, and its text."""
    for part in page.read_text().split("<!-- sandbox:")[1:]:
        comment, _, text = part.partition("-->")
        yield {words[0]: words[1:] for each in comment.split(";") if (words := each.split())}, text


@contextmanager
def started(folder: Path, work: Path, start: dict[str, list[str]]) -> Iterator[tuple[str, dict[str, str]]]:
    """A server with what a part of a page starts from: its address, and tokens by environment variable."""
    if "milvus" not in start:
        folder.mkdir()
        with lite_server(folder / "milvus") as uri, receiver() as server:
            prepare(work, uri, start)
            yield uri, {"AUDIT_URL": f"{server.uri}/hook", "AUDIT_SECRET": "secret", "SLACK_URL": server.uri}
        return
    cluster = Cluster(VERSIONS[start["milvus"][0]])
    with Proxy(cluster) as proxy:
        prepare(work, proxy.uri, start)
        cluster.authorization = True
        yield proxy.uri, secure(proxy.uri, dict(pair.split("=") for pair in start["readers"]))


def secure(uri: str, readers: dict[str, str]) -> dict[str, str]:
    """Make users who may read a collection; their tokens, and that of root, by environment variable."""
    tokens, client = {"MILVUS_TOKEN": "root:Milvus"}, MilvusClient(uri, token="root:Milvus")  # noqa: S106
    for name, collection in readers.items():
        client.create_user(name, "passw0rd")
        client.create_role(f"{name}_role")
        client.grant_role(name, f"{name}_role")
        for privilege in ("Query", "Search"):
            client.grant_privilege_v2(f"{name}_role", privilege, collection, db_name="default")
        tokens[f"{name.upper()}_TOKEN"] = f"{name}:passw0rd"
    client.close()
    return tokens


def prepare(folder: Path, uri: str, start: dict[str, list[str]]) -> None:
    admin = MilvusAdmin(uri)
    for database in start.get("databases", []):
        admin.create_database(database)
    for collection in start.get("collections", []):
        rows = random_rows() if collection in start.get("rows", []) else ()
        admin.create_collection(collection, replicas=1, rows=rows)
    for alias, _, collection in (pair.partition("=") for pair in start.get("aliases", [])):
        admin.client().create_alias(collection, alias)
    admin.close()
    if "manifests" in start:
        (folder / "aliases").mkdir()
        desired = [dict(zip(("name", "collection"), pair.split("="), strict=True)) for pair in start["manifests"]]
        documents = [
            ("MilvusConnection", "local", {"uri": uri, **({"notify": RECEIVERS} if "receivers" in start else {})}),
            ("AliasSet", "search", {"connectionRef": {"name": "local"}, "aliases": desired}),
        ]
        text = yaml.safe_dump_all(
            {"apiVersion": "aliasctl.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec}
            for kind, name, spec in documents
        )
        (folder / "aliases" / "search.yaml").write_text(text)


def random_rows() -> list[Row]:
    """A hundred, the same each time."""
    source = random.Random(7)  # noqa: S311 - no secret is made of it
    return [{"id": key, "vector": tuple(source.uniform(-1, 1) for _ in range(4))} for key in range(100)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_of_a_page_works_in_order(page: Path, tmp_path: Path) -> None:
    for number, (start, text) in enumerate(sandboxes(page)):
        folder = tmp_path / f"work-{number}"
        folder.mkdir()
        with started(tmp_path / f"server-{number}", folder, start) as (uri, tokens):
            run_blocks(text, uri, folder, tokens)


def run_blocks(text: str, uri: str, folder: Path, tokens: dict[str, str]) -> None:
    environment = {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(folder.parent),
        "PYTHONPATH": str(ROOT),
        **tokens,
    }
    for language, block in blocks_in(text, "sh", "python"):
        interpreter = ["bash", "-euo", "pipefail", "-c"] if language == "sh" else [sys.executable, "-c"]
        code = block.replace("http://localhost:19530", uri)
        done = subprocess.run(
            [*interpreter, code], cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, f"{block}\n{done.stdout}\n{done.stderr}"


@pytest.mark.parametrize("page", [ROOT / "README.md", *PAGES], ids=lambda page: page.name)
def test_every_manifest_of_a_page_is_one(page: Path, tmp_path: Path) -> None:
    """Whole documents as they stand; a part of a spec inside a set that has nothing else."""
    for number, (_, text) in enumerate(blocks(page, "yaml")):
        documents = list(yaml.safe_load_all(text))
        if "kind" not in documents[0]:
            spec = {"connectionRef": {"name": "local"}, **documents[0]}
            documents = [{"kind": "AliasSet", "metadata": {"name": "part"}, "spec": spec}]
            documents[0]["apiVersion"] = "aliasctl.dev/v1alpha1"
            text = yaml.safe_dump_all(documents)
        path = tmp_path / f"{number}.yaml"
        path.write_text(text)
        read([path])


@contextmanager
def running_demo(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Run the demo in a process group of its own, with temporary files in a folder."""
    environment = dict(
        os.environ,
        PATH=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        LC_ALL="C.UTF-8",
        TMPDIR=str(folder),
    )
    with subprocess.Popen(
        [ROOT / "demo" / "run"], env=environment, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as demo:
        yield demo


def server_of(lines: Iterable[str]) -> int:
    """Read what the demo prints up to the port of its server."""
    return next(int(found[1]) for line in lines if (found := re.search(r"http://127\.0\.0\.1:(\d+)", line)))


def assert_cleaned_up(port: int, folder: Path) -> None:
    assert list(folder.iterdir()) == []
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=1).close()


def comparable(line: str) -> str:
    """Without what differs from run to run: the port and the version of Milvus Lite, times, and IDs of runs."""
    line = re.sub(r"Milvus Lite [\d.]+ at http://127\.0\.0\.1:\d+", "Milvus Lite", line)
    line = re.sub(r"\bin [\d.]+ s\.", "in N s.", re.sub(r"\d{8}-\d{6}-[0-9a-f]{6}", "ID", line))
    return re.sub(r"after [\d.]+s$", "after", line)


def test_the_demo_prints_the_transcript_of_the_readme_and_a_report_and_cleans_up(tmp_path: Path) -> None:
    with running_demo(tmp_path) as demo:
        printed, _ = demo.communicate(timeout=300)
    assert demo.returncode == 0, printed
    *transcript, report = printed.splitlines()
    assert "overlap@5" in Path(report).read_text()
    assert [line for line in transcript if len(line) > 80] == []
    lines = [line for _, text in blocks(ROOT / "README.md", "console") for line in text.splitlines()]
    assert lines
    remaining = map(comparable, transcript)
    for line in lines:
        assert comparable(line) in remaining, f"the demo does not print, in this order: {line}"
    assert_cleaned_up(server_of(transcript), tmp_path)


@pytest.mark.parametrize(
    ("send", "stop"), [(os.killpg, signal.SIGINT), (os.kill, signal.SIGTERM), (os.kill, signal.SIGHUP)]
)
def test_a_demo_that_is_interrupted_cleans_up(
    send: Callable[[int, int], None], stop: signal.Signals, tmp_path: Path
) -> None:
    """A terminal interrupts all processes of the demo; its server ignores that, as background jobs do."""
    with running_demo(tmp_path) as demo:
        assert demo.stdout
        port = server_of(demo.stdout)
        send(demo.pid, stop)
        demo.communicate(timeout=60)
    assert demo.returncode != 0
    assert_cleaned_up(port, tmp_path)


def test_every_link_between_pages_leads_somewhere() -> None:
    for page in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")):
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} → {target}"

"""The recipes of CONTRIBUTING.md are carried out on a copy of the code, and what they add works."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers import MilvusAdmin, lite_server

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^<!-- (file|edit): (\S+) -->\n```\w+\n(.*?)^```", re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def changed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the code with everything that the recipes add."""
    folder = tmp_path_factory.mktemp("contributing")
    shutil.copytree(ROOT / "reconciler", folder / "reconciler", ignore=shutil.ignore_patterns("__pycache__"))
    blocks = BLOCK.findall((ROOT / "CONTRIBUTING.md").read_text())
    assert [kind for kind, _, _ in blocks].count("file") == 3
    for kind, path, text in blocks:
        if kind == "file":
            assert not (folder / path).exists()
            (folder / path).write_text(text)
        else:
            edit(folder / path, text)
    return folder


def edit(path: Path, diff: str) -> None:
    """Replace each run of removed lines, which must occur once, by the added lines after it."""
    text = path.read_text()
    for removed, added in re.findall(r"((?:^-.*\n)+)((?:^\+.*\n)+)", diff, re.MULTILINE):
        old, new = (re.sub(r"^.", "", lines, flags=re.MULTILINE) for lines in (removed, added))
        assert text.count(old) == 1, f"{path}: {old}"
        text = text.replace(old, new)
    path.write_text(text)


def run(folder: Path, *arguments: str) -> tuple[int, str]:
    environment = {**os.environ, "PYTHONPATH": str(folder), "ALIASCTL_JOURNAL": str(folder / "journal.db")}
    done = subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout + done.stderr


@pytest.fixture(scope="module")
def manifest(changed: Path) -> Iterator[str]:
    with lite_server(changed / "milvus") as uri:
        admin = MilvusAdmin(uri)
        for collection in ("v1", "v2"):
            admin.create_collection(collection, replicas=1)
        admin.client().create_alias("v1", "shop")
        admin.close()
        (changed / "shop.yaml").write_text(
            f"""
apiVersion: aliasctl.dev/v1alpha1
kind: MilvusConnection
metadata: {{name: local}}
spec: {{uri: "{uri}"}}
---
apiVersion: aliasctl.dev/v1alpha1
kind: AliasSet
metadata: {{name: shop}}
spec:
  connectionRef: {{name: local}}
  gates: {{described: {{minLength: 3}}}}
  aliases: [{{name: shop, collection: v2}}]
"""
        )
        yield "shop.yaml"


def test_a_gate_is_evaluated(changed: Path, manifest: str) -> None:
    code, output = run(changed, "-m", "reconciler", "plan", "-f", manifest, "--no-color")
    assert (code, "0 characters, need ≥ 3" in " ".join(output.split())) == (3, True), output


def test_a_gate_is_in_the_schema(changed: Path) -> None:
    code, output = run(changed, "-m", "reconciler", "schema", "AliasSet")
    assert (code, '"described"' in output) == (0, True)


def test_a_format_prints(changed: Path, manifest: str) -> None:
    assert run(changed, "-m", "reconciler", "plan", "-f", manifest, "--format", "names") == (3, "shop\n")


def test_a_command_runs(changed: Path, manifest: str) -> None:
    assert run(changed, "-m", "reconciler", "count", "-f", manifest) == (0, "1 aliases\n")
    assert "Print the number of desired aliases." in run(changed, "-m", "reconciler", "--help")[1]


def test_a_server_behaviour_is_in_the_page(changed: Path) -> None:
    code, output = run(changed, "-m", "reconciler.generate", "out")
    assert code == 0, output
    assert "An exact count reads every segment." in (changed / "out" / "docs" / "servers.md").read_text()
    assert "described" in (changed / "out" / "docs" / "reference" / "manifests.md").read_text()

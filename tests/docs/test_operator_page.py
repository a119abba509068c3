"""Every command of docs/operator.md is run, in order, on an API server of the page's own, and its table is the code's.

The operator runs as a process, as the installed account and with the installed arguments: there is nothing here that
would start its pod. It finds a Milvus Lite server where the page has its Milvus. Two commands are made to fit the API
server: installing is not validated by kubectl, because a server before 1.25 knows no CEL rules, which the definitions
carry; and uninstalling does not wait, because nothing here finishes the end of a namespace.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from reconciler.core.reasons import MEANINGS, Ready, Reason
from tests.docs.test_commands import ROOT, blocks, prepare
from tests.install.built import OVERLAYS, build, container
from tests.kubernetes.cluster import admin_of
from tests.kubernetes.control_plane import ADMIN, ControlPlane, control_plane_in, find_assets
from tests.kubernetes.operator_process import Operator
from tests.reasons import SYNC_ONLY
from tests.servers import MilvusAdmin, lite_server

PAGE = ROOT / "docs" / "operator.md"
MILVUS = "http://milvus.milvus.svc:19530"
BLOCK_TIMEOUT = 180.0
"""Seconds."""
FITTED = {
    "kubectl apply -k": "kubectl apply --validate=false -k",
    "kubectl delete -k": "kubectl delete --wait=false -k",
}
STALLS_SOMETIMES = Reason.CONNECTION_FAILED
"""What it means depends on why: it has a second row."""


def kubectl() -> str:
    found = shutil.which("kubectl")
    if found is None:
        give_up = pytest.fail if os.environ.get("REQUIRE_KUBERNETES") == "1" else pytest.skip
        give_up("there is no kubectl on the PATH; it must be 1.22 or later, for its kustomize")
    return found


@dataclass(frozen=True)
class Reader:
    """Somebody at a shell who follows the page."""

    plane: ControlPlane
    folder: Path
    milvus: str

    def run(self, text: str) -> str:
        """Run a block; what it prints."""
        for command, fitted in FITTED.items():
            text = text.replace(command, fitted)
        environment = {
            "PATH": os.pathsep.join(
                [str(Path(kubectl()).parent), str(Path(sys.executable).parent), os.environ["PATH"]]
            ),
            "HOME": str(self.folder),
            "KUBECONFIG": str(self.plane.kubeconfig(ADMIN, self.folder / "admin.kubeconfig")),
        }
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", text.replace(MILVUS, self.milvus)],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            timeout=BLOCK_TIMEOUT,
            check=False,
        )
        assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def installed_operator(self) -> Operator:
        """What the Deployment would run; not started yet."""
        token = admin_of(self.plane).service_account_token("aliasctl-operator", "aliasctl-system")
        kubeconfig = self.plane.kubeconfig_with_token(token, self.folder / "operator.kubeconfig")
        arguments = container(build(OVERLAYS / "cluster"))["args"]
        told = [argument.replace("$(POD_NAMESPACE)", "aliasctl-system") for argument in arguments]
        return Operator(kubeconfig, self.folder, *told)


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    find_assets()
    kubectl()
    line = PAGE.read_text().splitlines()[0]
    parts = line.removeprefix("<!-- cluster:").removesuffix("-->").split(";")
    start = {words[0]: words[1:] for part in parts if (words := part.split())}
    folder = tmp_path / "kubernetes"
    folder.mkdir()
    with lite_server(tmp_path / "milvus") as milvus, control_plane_in(folder) as plane:
        prepare(tmp_path, milvus, start)
        yield Reader(plane, tmp_path, milvus)


@pytest.mark.kubernetes
def test_every_command_of_the_page_works_in_order(reader: Reader) -> None:
    install, *others = [text for _, text in blocks(PAGE, "sh")]
    assert "kubectl apply -k" in install
    assert "kubectl delete -k" in others[-1]
    reader.run(install)
    operator = reader.installed_operator()
    with ExitStack() as ending:
        ending.callback(operator.stop)
        operator.start()
        for text in others[:-1]:
            reader.run(text)
        assert operator.terminate() == 0
    reader.run(others[-1])
    assert live(reader.milvus) == {"search_products": "products_v6", "search_reviews": "reviews_v2"}


def live(milvus: str) -> dict[str, str]:
    """Every alias and its collection."""
    admin = MilvusAdmin(milvus)
    client = admin.client()
    found = {alias: name for name in client.list_collections() for alias in client.list_aliases(name)["aliases"]}
    admin.close()
    return found


def test_the_table_of_reasons_is_the_codes() -> None:
    rows = re.findall(r"^\| `(\w+)` \|(.*?)\|(.*?)\|(.*?)\|.*\|$", PAGE.read_text(), re.MULTILINE)
    told = [(reason, *(cell.strip() for cell in cells)) for reason, *cells in rows]
    meant = [
        (str(reason), str(meaning.ready), "True" * meaning.reconciling, "True" * meaning.stalled)
        for reason, meaning in MEANINGS.items()
        if reason not in SYNC_ONLY
    ]
    stalled = (str(STALLS_SOMETIMES), str(Ready.FALSE), "", "True")
    assert sorted(told) == sorted([*meant, stalled])

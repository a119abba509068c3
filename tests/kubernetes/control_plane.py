"""A Kubernetes control plane as two processes on loopback: etcd and kube-apiserver, with RBAC.

There is no scheduler, kubelet or controller-manager: pods do not run, and a deleted namespace stays Terminating. The
programs are those that every envtest user has, in the folder that KUBEBUILDER_ASSETS names.
"""

from __future__ import annotations

import json
import os
import ssl
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pytest

from tests.kubernetes.process import Process
from tests.servers import free_port

ADMIN = "admin"
CALL_TIMEOUT = 60.0
ASSETS = "KUBEBUILDER_ASSETS"
PROGRAMS = ("etcd", "kube-apiserver")
HOST = "127.0.0.1"


def find_assets() -> Path:
    """The folder of the programs, or the test is skipped; with REQUIRE_KUBERNETES=1 it fails."""
    give_up = pytest.fail if os.environ.get("REQUIRE_KUBERNETES") == "1" else pytest.skip
    named = os.environ.get(ASSETS)
    if not named:
        give_up(f"{ASSETS} names no folder with {' and '.join(PROGRAMS)}")
    missing = [name for name in PROGRAMS if not os.access(Path(named, name), os.X_OK)]
    if missing:
        give_up(f"{ASSETS}={named} has no {' and no '.join(missing)}")
    return Path(named).absolute()


class ControlPlane:
    """A running control plane.

    Args:
        assets: the folder of etcd and kube-apiserver.
        folder: an empty folder for data, certificates and logs.
        users: who may log in beside the admin, who is in system:masters. They may do what RBAC grants them.
    """

    def __init__(self, assets: Path, folder: Path, users: Sequence[str] = ()) -> None:
        self._assets = assets
        self._folder = folder
        self._tokens = {user: uuid4().hex for user in (ADMIN, *users)}
        self._etcd_url = f"http://{HOST}:{free_port()}"
        self._port = free_port()
        self._write_credentials()
        self._etcd = self._start_etcd()
        try:
            self._api_server = self._start_api_server()
        except BaseException:
            self._etcd.kill()
            raise

    @property
    def url(self) -> str:
        return f"https://{HOST}:{self._port}"

    @property
    def admin_token(self) -> str:
        return self._tokens[ADMIN]

    @property
    def ca_file(self) -> Path:
        """What the API server's certificate is verified with."""
        return self._folder / "pki" / "apiserver.crt"

    def kubeconfig(self, user: str, path: Path) -> Path:
        """Write a kubeconfig file with this user's token; `path`."""
        return self.kubeconfig_with_token(self._tokens[user], path)

    def kubeconfig_with_token(self, token: str, path: Path) -> Path:
        """Write a kubeconfig file with a token, such as a service account's; `path`."""
        cluster = {"server": self.url, "certificate-authority": str(self.ca_file)}
        document = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "test",
            "clusters": [{"name": "test", "cluster": cluster}],
            "users": [{"name": "test", "user": {"token": token}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        }
        path.write_text(json.dumps(document, indent=2))
        return path

    def restart_api_server(self) -> None:
        """Stop the API server and start it again, at the same address, with the same data and certificate."""
        self.stop_api_server()
        self._api_server = self._start_api_server()

    def start_api_server(self) -> None:
        """After `stop_api_server`."""
        self._api_server = self._start_api_server()

    def stop_api_server(self) -> None:
        """Kill it: on SIGTERM it may wait a minute for the watches that its clients hold."""
        self._api_server.kill()

    def stop(self) -> None:
        self.stop_api_server()
        self._etcd.stop()

    def _write_credentials(self) -> None:
        lines = [f'{self.admin_token},{ADMIN},{ADMIN},"system:masters"']
        lines += [f"{token},{user},{user}" for user, token in self._tokens.items() if user != ADMIN]
        (self._folder / "tokens.csv").write_text("\n".join(lines) + "\n")
        command = ["openssl", "genrsa", "-out", str(self._service_account_key), "2048"]
        subprocess.run(command, check=True, capture_output=True)

    @property
    def _service_account_key(self) -> Path:
        return self._folder / "service-accounts.key"

    def _start_etcd(self) -> Process:
        command = [
            str(self._assets / "etcd"),
            f"--data-dir={self._folder / 'etcd'}",
            f"--listen-client-urls={self._etcd_url}",
            f"--advertise-client-urls={self._etcd_url}",
            f"--listen-peer-urls=http://{HOST}:{free_port()}",
            "--unsafe-no-fsync",
        ]
        process = Process(command, self._folder / "etcd.log")
        process.wait_for("healthy", lambda: _answers(f"{self._etcd_url}/health"))
        return process

    def _start_api_server(self) -> Process:
        key = self._service_account_key
        command = [
            str(self._assets / "kube-apiserver"),
            f"--etcd-servers={self._etcd_url}",
            f"--cert-dir={self.ca_file.parent}",
            f"--bind-address={HOST}",
            f"--advertise-address={HOST}",
            f"--secure-port={self._port}",
            "--insecure-port=0",
            "--service-cluster-ip-range=10.0.0.0/24",
            f"--service-account-key-file={key}",
            f"--service-account-signing-key-file={key}",
            "--service-account-issuer=https://kubernetes.default.svc",
            "--authorization-mode=RBAC",
            f"--token-auth-file={self._folder / 'tokens.csv'}",
            "--disable-admission-plugins=ServiceAccount",
        ]
        process = Process(command, self._folder / "kube-apiserver.log")
        try:
            process.wait_for("ready", self._is_ready)
        except BaseException:
            process.kill()
            raise
        return process

    def _is_ready(self) -> bool:
        if not self.ca_file.exists():  # it makes its certificate when it first starts
            return False
        return _answers(f"{self.url}/readyz", self.admin_token, self.ca_file)


def _answers(url: str, token: str = "", ca_file: Path | None = None) -> bool:
    context = ssl.create_default_context(cafile=ca_file) if ca_file else None
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"} if token else {})  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=CALL_TIMEOUT, context=context) as reply:  # noqa: S310
            return bool(reply.status == 200)
    except OSError:
        return False


@contextmanager
def control_plane_in(folder: Path, users: Sequence[str] = ()) -> Iterator[ControlPlane]:
    """A control plane with its files in an empty folder; skips or fails as `find_assets` does."""
    plane = ControlPlane(find_assets(), folder, users)
    try:
        yield plane
    finally:
        plane.stop()

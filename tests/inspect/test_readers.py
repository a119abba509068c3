"""Rights of readers at a move, on a real Milvus 2.3.5: there they count on the name of the alias."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reconciler.catalog import Catalog, Catalogs, connect
from reconciler.catalog.port import DataRead, ReadGrant
from reconciler.core.errors import ExitCode, PermissionDenied
from reconciler.core.gates import Gates
from reconciler.core.model import Connection, Credential, Propagation, Tls, Verify
from reconciler.core.plan import Verdict
from reconciler.core.report import Outcome, Reach
from reconciler.gates import evaluate_gates
from reconciler.gates.access import AccessGate
from reconciler.reconcile import apply_plan, make_plan
from tests import builders
from tests.cli.command import Completed, run
from tests.cli.shop import alias_set, connection, manifest
from tests.gates.judging import OFF, move
from tests.inspect.certificates import Certificates
from tests.inspect.people import PASSWORD, ROOT, SETTLING_SECONDS, People
from tests.inspect.servers import connection_spec
from tests.inspect.test_grants import Renewed
from tests.servers import connection_to

import grpc  # isort: skip

READER, ROLE = f"reader:{PASSWORD}", "reader_role"
READS = ("Query", "Search")


class Reader:
    """A user with a role whose grants a test chooses."""

    def __init__(self, people: People) -> None:
        self._people = people
        self._granted: set[tuple[str, str]] = set()
        people.client.create_user("reader", PASSWORD)
        people.client.create_role(ROLE)
        people.client.grant_role("reader", ROLE)
        self._client = people.connected(READER)

    def may_read(self, *names: str) -> None:
        """Grant Query and Search on these names and no others, and wait until the server has noticed."""
        wanted = {(privilege, name) for privilege in READS for name in names}
        for privilege, name in self._granted - wanted:
            self._people.client.revoke_privilege(ROLE, "Collection", privilege, name, db_name="default")
        for privilege, name in wanted - self._granted:
            self._people.client.grant_privilege(ROLE, "Collection", privilege, name, db_name="default")
        self._granted = wanted
        deadline = time.monotonic() + SETTLING_SECONDS
        while {name for name in ("moved", "v1", "v2") if self.reads(name)} != set(names):
            assert time.monotonic() < deadline, f"the server does not notice the grants on {names}"
            time.sleep(0.1)

    def reads(self, name: str) -> bool:
        try:
            self._client.query(name, filter="id == 1", output_fields=["id"])
            self._client.search(name, [[0.0, 0.0, 0.0, 0.0]], limit=1, anns_field="vector")
        except grpc.RpcError as error:
            if error.code() is not grpc.StatusCode.PERMISSION_DENIED:
                raise
            return False
        return True

    def close(self) -> None:
        self._client.close()


@pytest.fixture(scope="module")
def the_reader(people: People) -> Iterator[Reader]:
    made = Reader(people)
    people.client.insert("v2", [{"id": 3, "vector": [0.0, 0.0, 0.0, 3.0]}])
    yield made
    made.may_read()
    made.close()
    people.client.revoke_role("reader", ROLE)
    people.client.drop_role(ROLE)


@pytest.fixture
def reader(the_reader: Reader, people: People) -> Reader:
    people.point(moved="v1")
    return the_reader


def applied(people: People, certificates: Certificates, folder: Path) -> tuple[Completed, dict[str, Any]]:
    """Move the alias to v2 as root, proved with the rights of root and of the reader."""
    spec = connection_spec(certificates)
    documents = [
        connection(people.uri, **spec),
        connection(people.uri, "reader", **{**spec, "token": {"env": "READER"}}),
        alias_set(
            {"moved": "v2"},
            gates={"access": {}},
            verify={"propagation": {"timeout": "20s"}, "endpoints": [{"name": "reader"}]},
        ),
    ]
    (folder / "aliases.yaml").write_text(manifest(*documents))
    env = {"TOKEN": ROOT, "READER": READER}
    completed = run("apply", "-f", "aliases.yaml", "--yes", "--format", "json", cwd=folder, env=env)
    [step] = completed.document["targets"][0]["steps"]
    return completed, dict(step)


@pytest.mark.parametrize(
    ("granted", "result"), [(("moved",), "verified"), (("v1",), "unknown"), ((), "unknown")], ids=str
)
def test_the_name_of_the_alias_counts_before_and_after(
    granted: tuple[str, ...], result: str, reader: Reader, people: People, certificates: Certificates, tmp_path: Path
) -> None:
    reader.may_read(*granted)
    completed, step = applied(people, certificates, tmp_path)
    assert (completed.code, step["outcome"]) == (0, "done")
    assert [item["result"] for item in step["propagation"]] == ["verified", result]
    assert reader.reads("moved") is (result == "verified")
    [gate] = [item for item in step["gates"] if item["gate"] == "access"]
    assert (gate["result"], "name of the alias" in gate["detail"]) == ("pass", True)
    assert ("denied, as before the move" in (step.get("message") or "")) is (result == "unknown")


def test_rights_that_are_gone_since_the_move_fail_its_proof(
    reader: Reader, people: People, certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A move takes none there, so somebody revokes them at that moment."""
    monkeypatch.setenv("ROOT", ROOT)
    monkeypatch.setenv("READER", READER)
    reader.may_read("moved")

    def connected(connection: Connection, database: str, *, create: bool = False) -> Catalog:
        catalog = connect(connection, database)
        alter = catalog.alter_alias

        def alter_and_revoke(alias: str, collection: str) -> None:
            alter(alias, collection)
            reader.may_read()

        catalog.alter_alias = alter_and_revoke  # type: ignore[method-assign]
        return catalog

    tls = Tls(ca=Credential(file=certificates.pem("ca")))
    home = connection_to(people.uri, token=Credential("ROOT"), tls=tls, timeout=30.0)
    endpoint = connection_to(people.uri, token=Credential("READER"), tls=tls, timeout=30.0)
    verify = Verify(propagation=Propagation(20.0), endpoints=(endpoint,))
    with Catalogs(connected) as catalogs:
        plan = make_plan([builders.alias_set({"moved": "v2"}, connection=home, verify=verify)], catalogs=catalogs)
        report = apply_plan(plan, catalogs=catalogs)
    [result] = report.results
    assert (result.outcome, result.code, report.exit_code) == (
        Outcome.FAILED,
        "PropagationDenied",
        ExitCode.INCOMPLETE,
    )
    assert [item.reach for item in result.propagation] == [Reach.VERIFIED, Reach.DENIED]
    assert "PrivilegeQuery: permission deny to reader" in (result.message or "")


class TestGrants:
    """Those of a real server, which says that it is a newer one."""

    @pytest.fixture
    def newer(self, check_limits: str, certificates: Certificates) -> Iterator[Renewed]:
        relay = Renewed(check_limits, certificates, "v2.6.13")
        yield relay
        relay.stop()

    def opened(self, newer: Renewed, token: str, monkeypatch: pytest.MonkeyPatch) -> Catalog:
        monkeypatch.setenv("TOKEN", token)
        return connect(connection_to(newer.uri, token=Credential("TOKEN"), timeout=30.0), "default")

    def test_the_gate_access_finds_who_would_lose_access(
        self, newer: Renewed, reader: Reader, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        catalog = self.opened(newer, ROOT, monkeypatch)
        assert catalog.requires_token() is True
        for names, verdict in ((("v1",), Verdict.FAIL), (("v1", "v2"), Verdict.PASS), (("moved",), Verdict.PASS)):
            reader.may_read(*names)
            assert catalog.read_grants()[ROLE] == {ReadGrant(read, name) for read in DataRead for name in names}
            step = move(Gates(OFF, AccessGate()), "v1", "v2", alias="moved")
            (result,) = evaluate_gates([step], catalog)[0].gate_results
            assert result.verdict is verdict, result
            assert (f"{ROLE} (Query, Search)" in result.detail) is (verdict is Verdict.FAIL)
        catalog.close()

    def test_a_user_may_not_read_the_grants_of_others(
        self, newer: Renewed, reader: Reader, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        catalog = self.opened(newer, READER, monkeypatch)
        with pytest.raises(PermissionDenied) as refused:
            catalog.read_grants()
        assert refused.value.privilege == "SelectOwnership"
        catalog.close()

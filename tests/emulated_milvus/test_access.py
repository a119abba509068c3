"""Readers with tokens of their own, on servers that differ in whose privileges count, with the real command."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from reconciler.catalog import Catalog, connect
from reconciler.catalog.milvus_grants import read_grants
from reconciler.catalog.port import DataRead, ReadGrant
from reconciler.core.errors import PermissionDenied
from reconciler.core.gates import Gates
from reconciler.core.model import Credential
from reconciler.core.plan import Verdict
from reconciler.gates import evaluate_gates
from reconciler.gates.access import AccessGate
from tests.cli.command import Completed, run
from tests.cli.shop import alias_set, connection, manifest
from tests.emulated_milvus.calls import Call
from tests.emulated_milvus.proxy import Proxy
from tests.emulated_milvus.stage import Stage
from tests.gates.judging import OFF, move
from tests.servers import connection_to

from pymilvus import MilvusClient  # isort: skip

ROOT, PASSWORD = "root:Milvus", "s3cr3t-TOKEN"
QUERY, SEARCH = DataRead
BY_ALIAS, SEARCH_BY_COLLECTION, BY_COLLECTION = "2.5.18", "2.6.11", "2.6.13"
NEWER = pytest.mark.parametrize("stage", [BY_COLLECTION, "3.0.1"], indirect=True)
ONE_VERSION = pytest.mark.parametrize("stage", [BY_COLLECTION], indirect=True)


@dataclass
class Guarded:
    """A server with authorization on which `a` points to `old`, and a folder with a manifest that wants it at `new`."""

    stage: Stage
    root: Any
    folder: Path

    def user(self, name: str, *grants: tuple[str, str]) -> str:
        """The token of a user with a role `NAME_role`, which has these grants: (privilege or group, on)."""
        self.root.create_user(name, PASSWORD)
        self.root.create_role(f"{name}_role")
        self.root.grant_role(name, f"{name}_role")
        for privilege, on in grants:
            self.grant(name, privilege, on)
        return f"{name}:{PASSWORD}"

    def grant(self, user: str, privilege: str, on: str, database: str = "default") -> None:
        self.root.grant_privilege_v2(f"{user}_role", privilege, on, db_name=database)

    def want(self, collection: str = "new", **spec: Any) -> None:
        uri = self.stage.proxy.uri
        documents = [
            connection(uri, token={"env": "TOKEN"}),
            connection(uri, "reader", token={"env": "READER"}),
            alias_set({"a": collection}, **spec),
        ]
        (self.folder / "aliases.yaml").write_text(manifest(*documents))

    def run(self, command: str, *arguments: str, token: str = ROOT, reader: str = "") -> Completed:
        env = {"TOKEN": token, "READER": reader}
        return run(command, "-f", "aliases.yaml", *arguments, cwd=self.folder, env=env)

    def catalog(self, token: str, monkeypatch: pytest.MonkeyPatch) -> Catalog:
        monkeypatch.setenv("TOKEN", token)
        return connect(connection_to(self.stage.proxy.uri, token=Credential("TOKEN")), "default")

    @property
    def alias(self) -> str:
        return str(self.root.describe_alias("a")["collection_name"])


@pytest.fixture
def guarded(stage: Stage, tmp_path: Path) -> Iterator[Guarded]:
    stage.client.create_alias("old", "a")
    stage.cluster.authorization = True
    root = MilvusClient(stage.proxy.uri, token=ROOT, dedicated=True)
    yield Guarded(stage, root, tmp_path)
    root.close()
    stage.cluster.authorization = False


def step(completed: Completed) -> dict[str, Any]:
    [target] = completed.document["targets"]
    [found] = target["steps"]
    return dict(found)


PROOF = {"propagation": {"timeout": "20s"}, "endpoints": [{"name": "reader"}]}
GATES: dict[str, Any] = {"access": {}}


class TestProof:
    @NEWER
    def test_a_reader_who_loses_access_fails_the_run(self, guarded: Guarded) -> None:
        reader = guarded.user("reader", ("Query", "old"), ("Search", "old"))
        guarded.want(verify=PROOF)
        applied = guarded.run("apply", "--yes", "--format", "json", reader=reader)
        found = step(applied)
        assert (applied.code, found["outcome"], found["code"]) == (5, "failed", "PropagationDenied")
        assert [(item["result"], item.get("connection")) for item in found["propagation"]] == [
            ("verified", None),
            ("denied", "reader"),
        ]
        assert "PrivilegeQuery: permission deny to reader" in found["message"]
        assert 'grant_privilege_v2("ROLE", "Query", "new", db_name="default")' in found["message"]
        again = guarded.run("apply", "--yes", reader=reader)
        assert (again.code, "denied now" in again.stdout) == (1, True), "nothing was written, and it is no success yet"
        guarded.grant("reader", "Query", "new")
        guarded.grant("reader", "Search", "new")
        assert guarded.run("apply", "--yes", reader=reader).code == 0
        assert PASSWORD not in applied.stdout + again.stdout

    @ONE_VERSION
    def test_a_revert_gives_the_access_back(self, guarded: Guarded) -> None:
        reader = guarded.user("reader", ("Query", "old"), ("Search", "old"))
        guarded.want(verify=PROOF, onFailure="Revert")
        applied = guarded.run("apply", "--yes", "--format", "json", reader=reader)
        assert (applied.code, step(applied)["outcome"], guarded.alias) == (5, "reverted", "old")

    @pytest.mark.parametrize(
        ("stage", "result"),
        [(BY_ALIAS, "verified"), (SEARCH_BY_COLLECTION, "denied"), (BY_COLLECTION, "denied")],
        indirect=["stage"],
    )
    def test_a_search_counts_by_the_name_that_its_version_checks(self, guarded: Guarded, result: str) -> None:
        """The reader may query by any name."""
        on = "a" if result == "verified" else "old"
        reader = guarded.user("reader", ("Query", "*"), ("Search", on))
        guarded.want(verify=PROOF)
        found = step(guarded.run("apply", "--yes", "--format", "json", reader=reader))
        assert found["propagation"][1]["result"] == result

    @pytest.mark.parametrize("stage", [BY_ALIAS, BY_COLLECTION], indirect=True)
    def test_a_reader_who_never_had_access_is_reported_and_not_blamed_on_the_move(self, guarded: Guarded) -> None:
        reader = guarded.user("reader")
        guarded.want(verify=PROOF)
        applied = guarded.run("apply", "--yes", "--format", "json", reader=reader)
        found = step(applied)
        assert (applied.code, found["outcome"], found["propagation"][1]["result"]) == (0, "done", "unknown")
        assert "reads through the alias are denied, as before the move" in found["message"]

    @ONE_VERSION
    def test_a_caller_who_may_not_read_proves_the_move_by_a_reader_who_may(self, guarded: Guarded) -> None:
        reader = guarded.user("reader", ("CollectionReadOnly", "*"))
        mover = guarded.user("mover", ("CreateAlias", "*"), ("DescribeAlias", "*"), ("GetLoadState", "*"))
        guarded.grant("mover", "ShowPartitions", "*")
        guarded.want(verify=PROOF)
        found = step(guarded.run("apply", "--yes", "--format", "json", token=mover, reader=reader))
        assert [item["result"] for item in found["propagation"]] == ["unknown", "verified"], found
        assert found["outcome"] == "done"

    @ONE_VERSION
    def test_check_tests_the_reader_before_the_move(self, guarded: Guarded) -> None:
        reader = guarded.user("reader", ("Query", "old"))
        guarded.want(verify=PROOF)
        checked = guarded.run("check", "--format", "json", reader=reader)
        _, endpoint = checked.document["targets"]
        query = next(item for item in endpoint["conditions"] if item["condition"] == "Query")
        assert (checked.code, query["result"]) == (1, "missing")
        assert query["detail"] == "the privilege Query is missing on new"
        guarded.grant("reader", "Query", "new")
        assert guarded.run("check", reader=reader).code == 0


class TestGate:
    @pytest.mark.parametrize(
        ("stage", "granted", "code"),
        [
            (BY_ALIAS, "a", 0),
            (SEARCH_BY_COLLECTION, "old", 3),
            (BY_COLLECTION, "old", 3),
            ("3.0.1", "old", 3),
            ("cloud", "old", 3),
        ],
        indirect=["stage"],
    )
    def test_a_move_that_takes_access_is_blocked_and_the_grant_that_it_names_helps(
        self, guarded: Guarded, granted: str, code: int
    ) -> None:
        guarded.user("reader", ("Search", granted))
        guarded.want(gates=GATES)
        planned = guarded.run("plan")
        assert planned.code == code, planned.stdout
        if not code:
            assert guarded.run("apply", "--yes").code == 0
            return
        assert "1 of 1 role would lose access to a, need 0: reader_role (Search)" in planned.stdout
        assert guarded.run("apply", "--yes").code == 3
        assert guarded.alias == "old"
        call = 'grant_privilege_v2("reader_role", "Search", "new", db_name="default")'
        assert call in planned.stdout
        eval(f"client.{call}", {"client": guarded.root})  # noqa: S307 - as an administrator would
        assert guarded.run("apply", "--yes").code == 0
        assert guarded.alias == "new"

    @ONE_VERSION
    @pytest.mark.parametrize(
        ("group", "on", "loses"),
        [
            ("CollectionReadOnly", "old", True),
            ("CollectionReadOnly", "*", False),
            ("CollectionAdmin", "old", True),
            ("All", "*", False),
            ("*", "old", True),
            ("DatabaseReadOnly", "*", None),
            ("ClusterReadOnly", "*", None),
            ("searching", "old", True),
            ("searching", "*", False),
            ("loading", "old", None),
        ],
    )
    def test_groups_of_privileges_are_what_they_contain(
        self, guarded: Guarded, group: str, on: str, loses: bool | None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """None: the group has nothing to do with reads."""
        for name, contained in (("searching", ["Search", "IndexDetail"]), ("loading", ["Load"])):
            guarded.root.create_privilege_group(name)
            guarded.root.add_privileges_to_group(name, contained)
        guarded.user("reader")
        kind = "Global" if group == "All" else "Collection"
        guarded.root.grant_privilege("reader_role", kind, group, on, db_name="default")
        catalog = guarded.catalog(ROOT, monkeypatch)
        (result,) = evaluate_gates([move(Gates(OFF, AccessGate()), "old", "new")], catalog)[0].gate_results
        catalog.close()
        assert result.verdict is (Verdict.FAIL if loses else Verdict.PASS)
        assert result.figures["roles"] == (0 if loses is None else 1)

    @ONE_VERSION
    @pytest.mark.parametrize(
        ("may", "lacks"),
        [((), "SelectOwnership"), (("SelectOwnership",), "ListPrivilegeGroups"), (("ClusterReadOnly",), "")],
    )
    def test_a_caller_who_may_not_read_grants_learns_what_is_missing(
        self, guarded: Guarded, may: tuple[str, ...], lacks: str
    ) -> None:
        guarded.root.create_privilege_group("searching")
        guarded.root.add_privileges_to_group("searching", ["Search"])
        guarded.user("reader", ("searching", "*"))
        token = guarded.user("mover", *[(privilege, "*") for privilege in ("CreateAlias", "DescribeAlias")])
        for privilege in ("GetLoadState", "ShowPartitions"):
            guarded.grant("mover", privilege, "*")
        for privilege in may:
            guarded.grant("mover", privilege, "*", "*")
        guarded.want(gates=GATES)
        planned = guarded.run("plan", token=token)
        assert planned.code == (3 if lacks else 0), planned.stdout
        assert (f"the privilege {lacks} is missing" in planned.stdout) is bool(lacks)
        checked = guarded.run("check", "--format", "json", token=token)
        [target] = checked.document["targets"]
        found = next(item for item in target["conditions"] if item["condition"] == "SelectOwnership")
        assert (found["result"], checked.code) == (("missing", 1) if lacks else ("ok", 0)), checked.stdout
        if lacks:
            assert found["remedy"] == f'grant_privilege_v2("ROLE", "{lacks}", "*", db_name="*")'
            assert found["remedy"] in planned.stdout

    @ONE_VERSION
    def test_without_authorization_nothing_is_lost(self, guarded: Guarded) -> None:
        """The token is sent, and the server takes any."""
        guarded.user("reader", ("Query", "old"))
        guarded.stage.cluster.authorization = False
        guarded.want(gates=GATES)
        planned = guarded.run("plan", "--format", "json")
        [result] = [item for item in step(planned)["gates"] if item["gate"] == "access"]
        assert (planned.code, result["result"]) == (0, "notApplicable")
        assert "authorization is off" in result["detail"]


@pytest.mark.parametrize("stage", [BY_COLLECTION], indirect=True)
class TestCatalog:
    def test_a_server_that_asks_for_a_token_is_told_from_one_that_takes_any(
        self, guarded: Guarded, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        catalog = guarded.catalog(ROOT, monkeypatch)
        assert catalog.requires_token() is True
        guarded.stage.cluster.authorization = False
        assert catalog.requires_token() is False
        catalog.close()

    def test_a_connection_without_a_token_is_not_enough_to_see_that_authorization_is_off(
        self, guarded: Guarded, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A gateway may answer `Connect` by itself, and then every privilege counts all the same."""
        answered = Proxy._call

        def call(proxy: Proxy, method: str, request: Any, metadata: dict[str, str]) -> Call:
            if method == "Connect":
                return Call(proxy.cluster, proxy.cache, method, "default", "")
            return answered(proxy, method, request, metadata)

        monkeypatch.setattr(Proxy, "_call", call)
        guarded.user("reader", ("Query", "old"))
        catalog = guarded.catalog(ROOT, monkeypatch)
        assert catalog.requires_token() is True
        catalog.close()
        guarded.want(gates=GATES)
        assert "1 of 1 role would lose access" in guarded.run("plan").stdout

    def test_only_those_who_may_read_the_grants_of_all_roles(
        self, guarded: Guarded, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        catalog = guarded.catalog(guarded.user("mover"), monkeypatch)
        with pytest.raises(PermissionDenied) as refused:
            catalog.read_grants()
        assert refused.value.privilege == "SelectOwnership"
        catalog.close()


@pytest.mark.parametrize("name", ["GroupReadOnly", "GroupReadWrite", "GroupAdmin", "ReadOnly"])
def test_groups_are_known_by_the_names_that_2_4_gives_them(name: str) -> None:
    grant = {"object_type": "Collection", "object_name": "old", "db_name": "default", "privilege": name}
    assert read_grants("default", [grant], {}) == {ReadGrant(QUERY, "old"), ReadGrant(SEARCH, "old")}
    assert read_grants("other", [grant], {}) == frozenset()

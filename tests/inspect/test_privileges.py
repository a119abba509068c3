"""Tokens and privileges on a real server: what is missing is named, and nothing is done that was not permitted."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.cli.command import Completed, run
from tests.cli.shop import alias_set, connection, manifest
from tests.inspect.certificates import Certificates
from tests.inspect.people import PRIVILEGES, ROLE, SETTLING_SECONDS, People
from tests.inspect.servers import connection_spec
from tests.reliability.tally import Tally

ALL_GATES = {"loaded": {}, "indexed": {}, "rows": {"min": 0}, "canary": {"minOverlap": 0}}
CALLS = {"Load": "GetLoadState", "IndexDetail": "DescribeIndex"}
"""How Milvus calls what needs a privilege of another name."""


@dataclass
class Scene:
    """A folder with a manifest about a guarded server, on which `moved` is at v1."""

    folder: Path
    people: People
    certificates: Certificates
    tried: Tally

    def want(self, aliases: dict[str, str | None], **spec: Any) -> None:
        settings = connection_spec(self.certificates)
        text = manifest(connection(self.people.uri, **settings), alias_set(aliases, **spec))
        (self.folder / "aliases.yaml").write_text(text)

    def run(self, command: str, *arguments: str, token: str | None) -> Completed:
        """A command with this token; None for a connection without one. No output or file has a password."""
        chosen = ["-f", "aliases.yaml"]
        if token is None:
            chosen += ["--uri", self.people.uri, "--tls-ca", self.certificates.pem("ca")]
        token = token or "nobody:s3cr3t-UNUSED"
        with self.tried.case(faults=1):
            completed = run(command, *chosen, *arguments, cwd=self.folder, env={"TOKEN": token})
            secret = token.partition(":")[2].encode()
            for path in self.folder.rglob("*"):
                assert path.is_dir() or secret not in path.read_bytes(), path
            assert secret.decode() not in completed.stdout + completed.stderr
        return completed


@pytest.fixture
def scene(tmp_path: Path, people: People, certificates: Certificates, tally: Callable[[str, str], Tally]) -> Scene:
    people.point(moved="v1")
    made = Scene(tmp_path, people, certificates, tally("Tokens and privileges", "Milvus 2.3.5"))
    made.want({"moved": "v2", "new": "v1"}, gates=ALL_GATES)
    return made


def results(completed: Completed) -> dict[str, str]:
    [target] = completed.document["targets"]
    return {item["condition"]: item["result"] for item in target["conditions"]}


def missing(completed: Completed) -> dict[str, Any]:
    """The one condition that is missing."""
    [target] = completed.document["targets"]
    [found] = [item for item in target["conditions"] if item["result"] == "missing"]
    return dict(found)


class TestTokens:
    @pytest.mark.parametrize("command", ["plan", "apply", "check"])
    @pytest.mark.parametrize(
        ("token", "said"), [("root:wr0ng-s3cr3t", "auth check failure"), (None, "missing authorization")]
    )
    def test_that_are_wrong_or_missing_are_named(
        self, command: str, token: str | None, said: str, scene: Scene
    ) -> None:
        yes = ["--yes"] if command == "apply" else []
        refused = scene.run(command, *yes, token=token)
        assert refused.code == 1
        told = refused.stdout if command == "check" else refused.stderr
        [line] = [splitline for splitline in told.splitlines() if "token missing or rejected" in splitline]
        assert said in line
        assert scene.people.aliases == {"moved": "v1"}

    def test_check_says_what_holds_and_what_to_do(self, scene: Scene) -> None:
        wrong = scene.run("check", "--format", "json", token="root:wr0ng-s3cr3t")  # noqa: S106 - it is none
        assert missing(wrong)["condition"] == "token"
        assert "environment variable TOKEN" in missing(wrong)["remedy"]
        found = results(wrong)
        assert (found.pop("address"), found.pop("tls"), found.pop("token")) == ("ok", "ok", "missing")
        assert set(found.values()) == {"unknown"}
        assert "--token-env" in missing(scene.run("check", "--format", "json", token=None))["remedy"]


class TestPrivileges:
    def test_of_one_who_has_them_all(self, scene: Scene) -> None:
        """That each can be found missing below means nothing unless this is enough."""
        token = scene.people.lacking()
        checked = scene.run("check", "--format", "json", token=token)
        assert checked.code == 0, checked.stdout
        assert set(results(checked).values()) == {"ok", "notNeeded"}
        assert scene.people.aliases == {"moved": "v1"}, "check writes nothing"
        scene.want({"moved": "v2", "new": "v1", "temp": None}, gates=ALL_GATES)
        scene.people.point(moved="v1", temp="v1")
        applied = scene.run("apply", "--yes", token=token)
        assert (applied.code, scene.people.aliases) == (0, {"moved": "v2", "new": "v1"}), applied.stdout

    @pytest.mark.parametrize("privilege", PRIVILEGES)
    def test_check_names_the_one_that_is_missing_and_the_grant(self, privilege: str, scene: Scene) -> None:
        scene.want({"moved": "v2", "temp": None}, gates=ALL_GATES)
        scene.people.point(moved="v1", temp="v1")
        checked = scene.run("check", "--format", "json", token=scene.people.lacking(privilege))
        found = missing(checked)
        assert (checked.code, checked.document["exitCode"]) == (1, 1)
        assert found["condition"] == CALLS.get(privilege, privilege)
        assert f"the privilege {privilege} is missing" in found["detail"]
        name = "*" if PRIVILEGES[privilege] == "Global" else "v2" if privilege == "IndexDetail" else "v1"
        assert found["remedy"].startswith(
            f'grant_privilege("ROLE", "{PRIVILEGES[privilege]}", "{privilege}", "{name}", db_name="default")'
        )
        assert scene.people.aliases == {"moved": "v1", "temp": "v1"}

    def test_the_grant_that_check_asks_for_is_the_one_that_helps(self, scene: Scene) -> None:
        token = scene.people.lacking("CreateAlias", "Query")
        checked = scene.run("check", "--format", "json", token=token)
        [target] = checked.document["targets"]
        ways_out = [item["remedy"] for item in target["conditions"] if item["result"] == "missing"]
        assert len(ways_out) == 2
        for text in ways_out:
            call, _, rest = text.partition(")")
            arguments = [part.rpartition("=")[2].strip('" ') for part in call.partition("(")[2].split(",")]
            kind, privilege, name, database = arguments[1:]
            for each in ("v1", "v2") if rest == ", and so on for each of them" else (name,):
                scene.people.grant(kind, privilege, each, database)
        scene.people.resolve()
        assert scene.run("check", token=token).code == 0

    @pytest.mark.parametrize("privilege", ["ListAliases", "DescribeCollection"])
    def test_without_those_to_read_nothing_is_planned(self, privilege: str, scene: Scene) -> None:
        token = scene.people.lacking(privilege)
        for command in (["plan"], ["apply", "--yes"]):
            refused = scene.run(*command, token=token)
            assert (refused.code, refused.stdout) == (1, "")
            assert f"the privilege {privilege} is missing" in refused.stderr
        assert scene.people.aliases == {"moved": "v1"}

    @pytest.mark.parametrize("privilege", ["Load", "IndexDetail", "Query"])
    def test_without_those_of_the_gates_nothing_moves(self, privilege: str, scene: Scene) -> None:
        token = scene.people.lacking(privilege)
        planned = scene.run("plan", "--gates", "all", token=token)
        applied = scene.run("apply", "--yes", token=token)
        assert (planned.code, applied.code) == (3, 3)
        assert f"the privilege {privilege} is missing" in planned.stdout
        assert f"the privilege {privilege} is missing" in applied.stdout
        assert scene.people.aliases == {"moved": "v1"}

    def test_without_the_one_to_search_the_canary_holds_the_alias(self, scene: Scene) -> None:
        """The new alias, which has nothing to be compared with, is planned all the same."""
        planned = scene.run("plan", "--gates", "all", token=scene.people.lacking("Search"))
        [line] = [splitline for splitline in planned.stdout.splitlines() if " moved " in splitline]
        assert planned.code == 0
        assert line.endswith("BLOCKED")
        assert re.search(r"canary .*v1 cannot be searched: ", planned.stdout)
        assert "the privilege Search is missing" in planned.stdout

    @pytest.mark.parametrize(("privilege", "aliases"), [("CreateAlias", {"new": "v1"}), ("DropAlias", {"moved": None})])
    def test_without_those_to_write_a_plan_is_made_and_not_done(
        self, privilege: str, aliases: dict[str, str | None], scene: Scene
    ) -> None:
        scene.want(aliases)
        token = scene.people.lacking(privilege)
        assert scene.run("plan", "--detailed-exitcode", token=token).code == 2
        applied = scene.run("apply", "--yes", "--format", "json", token=token)
        [step] = applied.document["targets"][0]["steps"]
        assert (step["outcome"], step["code"]) == ("failed", "PermissionDenied")
        assert f"the privilege {privilege} is missing" in step["message"]
        assert scene.people.aliases == {"moved": "v1"}
        assert applied.code == 1


def test_the_list_of_databases_takes_a_privilege_of_its_own(scene: Scene) -> None:
    """The message has the call that grants it. Then databases that may be listed and not read are named."""
    token = scene.people.lacking()
    if "closed" not in scene.people.client.list_databases():
        scene.people.client.create_database("closed")
    refused = scene.run("status", "--all-databases", token=token)
    assert refused.code == 1
    assert "cannot list the databases: " in refused.stderr
    call = 'grant_privilege("ROLE", "Global", "ListDatabases", "*", db_name="*")'
    assert call in refused.stderr
    scene.people.client.grant_privilege(ROLE, "Global", "ListDatabases", "*", db_name="*")
    try:
        end = time.monotonic() + SETTLING_SECONDS
        while (shown := scene.run("status", "--all-databases", token=token)).stdout == "" and time.monotonic() < end:
            time.sleep(1)
        assert shown.code == 1
        assert "Not read: main / closed: " in shown.stdout
        assert "the privilege ListAliases is missing" in shown.stdout
        assert "moved" in shown.stdout
    finally:
        scene.people.client.revoke_privilege(ROLE, "Global", "ListDatabases", "*", db_name="*")

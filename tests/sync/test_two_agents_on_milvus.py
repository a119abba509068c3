"""Two agents on one branch, one over http and one over ssh, and a real Milvus, through all that may come."""

from __future__ import annotations

import pytest

from tests.sync.keys import SshKey
from tests.sync.servers import TOKEN_ENV, WITH_TOKEN, GitOverHttp, GitOverSsh
from tests.sync.stage import FILE, Stage


@pytest.mark.parametrize("any_stage", ["milvus"], indirect=True)
def test_signed_merges_are_applied_whatever_else_comes_and_nothing_flaps(
    any_stage: Stage, http: GitOverHttp, ssh: GitOverSsh, robins_key: SshKey
) -> None:
    stage, shop, origin = any_stage, any_stage.shop, any_stage.origin
    (shop.folder / "allowed").write_text(robins_key.allowed_as("robin@example.com"))
    signed = ("--allowed-signers", "allowed")
    with (
        stage.following(*signed, *WITH_TOKEN, repository=http.url(), env=TOKEN_ENV, state="one") as item,
        stage.following(*signed, *ssh.options, repository=ssh.url(origin.bare), state="two") as two,
    ):
        first = stage.merge({"a": "v2"}, signer=robins_key)
        for agent in (item, two):
            agent.found("Succeeded", first)
        assert shop.live == {"a": "v2"}

        unsigned = stage.merge({"a": "v3"})
        for agent in (item, two):
            agent.found("SignatureInvalid", unsigned, in_force=first)
        assert shop.live == {"a": "v2"}

        origin.back_to(first)
        forced = origin.commit({FILE: stage.manifest({"a": "v3"})}, "Another history", robins_key)
        origin.push("+HEAD:refs/heads/main")
        for agent in (item, two):
            agent.found("Succeeded", forced)
            agent.event("the history was rewritten")
        assert shop.live == {"a": "v3"}

        http.down()
        gone = item.found("GitUnreachable")
        back = stage.merge({"a": "v1"}, signer=robins_key)
        two.found("Succeeded", back, done=1)
        assert shop.live == {"a": "v1"}
        http.up()
        item.found("Succeeded", back, since=item.log.index(gone))
        item.looks(2)
        two.looks(2)
        moves = [record for agent in (item, two) for record in agent.log if record.get("done")]
        assert (shop.live, {record["attempted"] for record in moves}) == ({"a": "v1"}, {first, forced, back})
        assert len(moves) <= 5, "who came second found it done, but for the moment in which both saw the old place"

"""What an agent tells at log level debug while Milvus refuses it: none of it has a secret, whatever the server says."""

from __future__ import annotations

from collections.abc import Callable

from tests.cli.secrets import IN_KEY, TOKEN, shown
from tests.reliability.tally import Tally
from tests.servers import talkative_milvus
from tests.sync.stage import Stage


def test_none_in_log_status_metrics_mirror_or_journal(stage: Stage, tally: Callable[[str, str], Tally]) -> None:
    tried = tally("Secrets in outputs, at log level debug", "the sync agent")
    given = {"TOKEN": TOKEN, "HOOK": IN_KEY}
    options = ("--webhook-secret-env", "HOOK", "--log-level", "debug")
    with talkative_milvus(TOKEN) as milvus:
        stage.connect_to(milvus.uri)
        stage.merge({"a": "v2"})
        with tried.case(faults=1), stage.following(*options, env=given) as agent:
            assert "token missing or rejected" in str(agent.found("ConnectionFailed"))
            refused = agent.request("/hook", b"{}", X_Hub_Signature_256="sha256=" + "0" * 64)
            assert refused.status == 401
            told = [
                refused.text,
                *(agent.request(path).text for path in ("/status", "/metrics", "/readyz", "/healthz")),
            ]
            assert "token missing or rejected" in told[1]
            assert shown("\n".join([*told, *map(str, agent.log), *agent.noise]).encode()) == []
    folders = (stage.shop.folder, stage.state().parent)
    for path in (path for folder in folders for path in folder.rglob("*") if path.is_file()):
        assert shown(path.read_bytes()) == [], path

"""The agent drops an absent alias that dangles."""

from __future__ import annotations

from pathlib import Path

from tests.cli.shop import open_shop
from tests.emulated_milvus.behaviour import VERSIONS
from tests.emulated_milvus.cluster import Cluster
from tests.emulated_milvus.proxy import Proxy
from tests.servers import MilvusAdmin
from tests.sync.conftest import set_stage
from tests.sync.origin import Origin


def test_it_is_dropped_and_then_everything_is_up_to_date(origin: Origin, tmp_path: Path) -> None:
    (tmp_path / "agent").mkdir()
    with Proxy(Cluster(VERSIONS["2.5.4"])) as proxy:
        admin = MilvusAdmin(proxy.uri)
        stage = set_stage(open_shop(proxy.uri, "default", admin, tmp_path / "agent"), origin)
        stage.shop.point(gone="v3")
        admin.drop_collection("v3")
        stage.merge({"a": "v1", "gone": None})
        done = stage.once()
        assert (done.code, "gone   (dangling)   done" in done.stdout) == (0, True), done
        admin.client().create_alias("v1", "gone")
        admin.close()

"""`serverVersion` in the MilvusConnection has the effect that messages promise, and a wrong one is reported."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest

from reconciler.catalog import Catalogs, connect
from reconciler.core.plan import BlockReason, TargetPlan
from reconciler.inspect.access import check_access
from reconciler.inspect.conditions import Result, Subject
from reconciler.reconcile import make_plan
from tests.builders import alias_set
from tests.emulated_milvus.behaviour import VERSIONS
from tests.emulated_milvus.cluster import Cluster
from tests.emulated_milvus.proxy import Proxy
from tests.servers import MilvusAdmin, connection_to

PARTIAL = "Zilliz Cloud Vector Database(Compatible with Milvus 2.6)"
REMEDY = "set serverVersion in the MilvusConnection to the version that runs"


@dataclass
class Server:
    """A server with the aliases `search` and `search_products`, whose manifests state a version or "" for none."""

    uri: str

    def planned(self, stated: str) -> TargetPlan:
        """Return the plan to drop `search`."""
        desired = alias_set({"search": None}, connection=connection_to(self.uri, server_version=stated))
        with Catalogs(connect) as catalogs:
            return make_plan([desired], catalogs=catalogs).targets[0]

    def checked(self, stated: str) -> tuple[Result, str, str | None]:
        """Return result, detail and remedy of the check of its version."""
        desired = alias_set({"search": None}, connection=connection_to(self.uri, server_version=stated))
        with Catalogs(connect) as catalogs:
            [found] = check_access([desired], catalogs)
        [version] = [each for each in found.conditions if each.subject is Subject.VERSION]
        return version.result, version.detail, version.remedy


@pytest.fixture
def reporting(request: pytest.FixtureRequest) -> Iterator[Server]:
    base, version, tags = request.param
    with Proxy(Cluster(replace(VERSIONS[base], version=version, build_tags=tags))) as proxy:
        admin = MilvusAdmin(proxy.uri)
        admin.create_collection("old", replicas=1)
        for alias in ("search", "search_products"):
            admin.client().create_alias("old", alias)
        yield Server(proxy.uri)
        admin.close()


def block(plan: TargetPlan) -> str:
    [step] = plan.steps
    assert not step.blocked or step.blocked.reason is BlockReason.LOSES_OTHERS
    return step.blocked.message if step.blocked else ""


@pytest.mark.parametrize("reporting", [("2.5.18", "unknown-20260608", "")], indirect=True)
def test_the_remedy_of_a_block_lifts_it(reporting: Server) -> None:
    assert block(reporting.planned("")).endswith(f"or {REMEDY}")
    assert reporting.checked("")[0] is Result.UNKNOWN
    assert not block(reporting.planned("2.5.18"))
    assert reporting.checked("2.5.18")[0] is Result.OK


@pytest.mark.parametrize("reporting", [("2.6.4", "unknown-20260608", PARTIAL)], indirect=True)
def test_a_stated_patch_completes_a_partial_version(reporting: Server) -> None:
    assert reporting.planned("2.6.4").server_version == f"{PARTIAL}, stated to be 2.6.4"
    assert "stuck readers cannot be refreshed" in reporting.checked("2.6.8")[1]
    assert "stuck readers are refreshed by altering again" in reporting.checked("2.6.4")[1]
    assert not reporting.planned("2.6.4").notices


@pytest.mark.parametrize("reporting", [("2.4.15", "2.4.15-gpu-cuda12.2", "")], indirect=True)
def test_a_number_of_something_else_does_not_widen_the_version(reporting: Server) -> None:
    assert block(reporting.planned("2.4.15")).startswith("this Milvus (before 2.5) drops by prefix")


@pytest.mark.parametrize(
    ("reporting", "stated"),
    [(("2.4.15", "2.4.15", ""), "2.5.18"), (("2.5.18", "2.5.18", ""), "2.4.15"), (("2.5.18", "2.6", ""), "2.4.15")],
    indirect=["reporting"],
)
def test_a_contradiction_is_reported_and_the_cautious_side_counts(reporting: Server, stated: str) -> None:
    plan = reporting.planned(stated)
    assert block(plan)
    [notice] = [each for each in plan.notices if "serverVersion" in each]
    assert notice.startswith(f"the server does not report {stated}, so every guard assumes the worse of both versions;")
    result, detail, remedy = reporting.checked(stated)
    assert result is Result.UNKNOWN
    assert f"stated to be {stated}: they contradict each other" in detail
    assert remedy == REMEDY

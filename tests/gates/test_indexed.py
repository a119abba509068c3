"""The gate `indexed`."""

from __future__ import annotations

import pytest

from reconciler.core.errors import PermissionDenied
from reconciler.core.gates import Gates
from reconciler.core.model import Field, Index
from reconciler.core.plan import Verdict
from reconciler.gates.indexed import IndexedGate
from tests.builders import server, vector_schema
from tests.gates.judging import OFF, asked, failing

GATES = Gates(OFF, IndexedGate())
DONE = Index("vector", "HNSW", "L2")
OTHER = Index("image", "HNSW", "L2")


@pytest.mark.parametrize(
    ("indexes", "verdict", "detail"),
    [
        ((DONE, OTHER), Verdict.PASS, ""),
        ((DONE,), Verdict.FAIL, "c2: image has no index; create one"),
        (
            (DONE, Index("image", "HNSW", "L2", finished=True, pending_rows=1200)),
            Verdict.FAIL,
            "c2: the index of image lacks 1,200 rows; wait until it is built",
        ),
        (
            (DONE, Index("image", "HNSW", "L2", finished=False)),
            Verdict.FAIL,
            "c2: the index of image is not finished; wait until it is built",
        ),
        ((), Verdict.FAIL, "c2: vector has no index; create one; image has no index; create one"),
    ],
)
@pytest.mark.parametrize("current", ["c1", None])
def test_every_vector_field_has_a_finished_index_that_lacks_no_row(
    indexes: tuple[Index, ...], verdict: Verdict, detail: str, current: str | None
) -> None:
    made = server("c1")
    made.create_collection("c2", schema=vector_schema(4, Field("image", "FLOAT_VECTOR", dimension=2)), indexes=indexes)
    result = asked(made, GATES, current)
    assert (result.verdict, result.detail) == (verdict, detail)
    assert result.figures == {"fields": 2, "pendingRows": sum(index.pending_rows for index in indexes)}


@pytest.mark.parametrize("method", ["schema", "indexes"])
def test_what_may_not_be_read_is_unknown(method: str) -> None:
    result = asked(failing(server("c1", "c2"), PermissionDenied("no"), (method, "c2")), GATES)
    assert (result.verdict, result.detail) == (Verdict.UNKNOWN, "the indexes of c2 cannot be read: no")

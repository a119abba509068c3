"""What the process has loaded that talks to Milvus, and that pandas still works for whoever needs it."""

from __future__ import annotations

import subprocess
import sys

CONNECT = "import sys; import reconciler.catalog.milvus; "
"""What the first connection imports."""


def printed(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def test_a_connection_does_not_import_pandas() -> None:
    assert printed(f"{CONNECT} print('pandas' in sys.modules)") == "False"


def test_whoever_imports_pandas_afterwards_gets_pandas() -> None:
    assert printed(f"{CONNECT} import pandas; print(pandas.DataFrame({{'a': [1, 2]}}).a.sum())") == "3"


def test_pymilvus_still_knows_a_data_frame_and_the_types_in_it() -> None:
    frames = "import pandas; from pymilvus.orm import schema, types; frame = pandas.DataFrame({'a': [1]}); "
    asked = "print(schema.is_valid_insert_data(frame), schema.is_valid_insert_data(7), types.infer_dtype_bydata([1.0]))"
    assert printed(CONNECT + frames + asked) == "True False 101"


def test_pandas_that_is_there_already_is_what_pymilvus_gets() -> None:
    asked = "from pymilvus.orm import schema; print(schema.pd is pandas, sys.modules['pandas'] is pandas)"
    assert printed(f"import pandas; {CONNECT} {asked}") == "True True"


def test_a_pymilvus_that_needs_more_of_pandas_gets_it() -> None:
    load = (
        "def load():\n    import pandas\n    assert pandas.DataFrame({'a': [1]}).shape == (1, 1)\n    return pandas\n"
    )
    asked = "from reconciler.catalog.without_pandas import without_pandas\nprint(without_pandas(load).__version__ > '')"
    assert printed(load + asked) == "True"

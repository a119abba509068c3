"""`python -m reconciler` is `aliasctl`."""

from __future__ import annotations

import gc

ALLOCATIONS_BETWEEN_COLLECTIONS = 200_000
"""Imports and large catalogs make many objects and few cycles: with Python's 700, garbage collection takes a third of a
plan."""


def main() -> None:
    """Run the command line and exit with a documented code."""
    gc.set_threshold(ALLOCATIONS_BETWEEN_COLLECTIONS)
    from reconciler.cli.main import main as run

    try:
        run()
    finally:
        gc.freeze()  # as it ends, Python looks for cycles: among the objects of all modules that takes 10 ms


if __name__ == "__main__":
    main()

"""The shop of the command line's own tests."""

from tests.cli.conftest import admin, interruptible, shop

__all__ = ["admin", "interruptible", "shop"]

"""The shop of the command line's own tests."""

from tests.cli.conftest import admin, shop

__all__ = ["admin", "shop"]

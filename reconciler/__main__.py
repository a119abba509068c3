"""`python -m reconciler` is `aliasctl`."""

from reconciler.cli.main import main

__all__ = ["main"]

if __name__ == "__main__":
    main()

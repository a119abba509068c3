"""The command line: thin commands over `reconcile`. It prints, asks and exits; it decides nothing about aliases."""

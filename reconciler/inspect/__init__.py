"""Read-only questions to a server: privileges, alias status, unreferenced collections."""

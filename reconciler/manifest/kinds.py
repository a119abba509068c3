"""What the kinds of manifests are called."""

from __future__ import annotations

GROUP = "aliasctl.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
KINDS = ("AliasSet", "MilvusConnection")

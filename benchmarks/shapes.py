"""Catalogs of a given size, as our manifests, as an octoDNS zone and as a Terraform configuration."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

Pointing = Mapping[str, str]
"""Each alias and its collection."""

ALIASES_A_SET = 1000
"""The most that an AliasSet may list."""
ZONE = "example.com."
UNGATED = "{loaded: {enabled: false}}"


def collection_names(count: int) -> list[str]:
    return [f"products_bge_m3_v{number:05}" for number in range(count)]


def dealt(aliases: int, collections: int, prefix: str = "products_search") -> dict[str, str]:
    """So many aliases, dealt out over so many collections."""
    names = collection_names(collections)
    return {f"{prefix}_{number:06}": names[number % collections] for number in range(aliases)}


def moved(pointing: Pointing, count: int) -> dict[str, str]:
    """The same with so many aliases, drawn at random but each time the same ones, on the next collection."""
    names = sorted(set(pointing.values()))
    following = dict(pairwise([*names, names[0]]))
    chosen = random.Random(7).sample(sorted(pointing), count)  # noqa: S311 - no secret is made of it
    return {**pointing, **{alias: following[pointing[alias]] for alias in chosen}}


def write_manifest(path: Path, pointing: Pointing, uri: str, *, gates: str = "") -> Path:
    """A connection and as many sets as it takes.

    Args:
        gates: the sets' gates, in YAML; "" for the default.
    """
    lines = [*_head("MilvusConnection", "main"), f"spec: {{uri: {uri}}}"]
    names = list(pointing)
    for start in range(0, len(names), ALIASES_A_SET):
        lines += ["---", *_head("AliasSet", f"products-{start // ALIASES_A_SET}"), "spec:"]
        lines += ["  connectionRef: {name: main}", *([f"  gates: {gates}"] if gates else []), "  aliases:"]
        lines += [
            f"    - {{name: {name}, collection: {pointing[name]}}}" for name in names[start : start + ALIASES_A_SET]
        ]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")
    return path


def write_pointing(path: Path, pointing: Pointing) -> Path:
    """As JSON, for the scripts."""
    path.write_text(json.dumps(pointing))
    return path


def _head(kind: str, name: str) -> list[str]:
    return ["apiVersion: aliasctl.dev/v1alpha1", f"kind: {kind}", f"metadata: {{name: {name}}}"]


def write_zone(folder: Path, pointing: Pointing) -> Path:
    """A zone file for octoDNS's YamlProvider: each alias a CNAME."""
    folder.mkdir(parents=True, exist_ok=True)
    records = (f"{_host(name)}:\n  type: CNAME\n  value: {_host(target)}.{ZONE}\n" for name, target in pointing.items())
    path = folder / f"{ZONE}yaml"
    path.write_text("---\n" + "".join(records))
    return path


def _host(name: str) -> str:
    return name.replace("_", "-")


def write_terraform(folder: Path, pointing: Pointing) -> Path:
    """A configuration with a `terraform_data` resource for each alias; Terraform has that kind built in."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "main.tf"
    path.write_text(
        "".join(
            f'resource "terraform_data" "{name}" {{\n  input = "{target}"\n}}\n' for name, target in pointing.items()
        )
    )
    return path

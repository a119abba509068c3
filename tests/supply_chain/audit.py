"""Asks for the known vulnerabilities of every package that an installation with all extras has.

    python -m tests.supply_chain.audit PIP_AUDIT [--where-reachable]

Exit code 0: none is known. 1: there are some, or nobody could be asked; with --where-reachable the latter is
said, and is no error.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable, Mapping
from importlib.metadata import distribution
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PROJECT = "milvus-alias-reconciler"
EXTRAS = ("lite", "git", "operator")
KNOWN_BAD = {"jinja2": "2.4.1"}
"""Whoever does not know that this one is vulnerable knows nothing."""


def installed() -> dict[str, str]:
    """The versions of all that an installation with all extras needs, as far as it is installed here."""
    found: dict[str, str] = {}
    waiting = [(PROJECT, frozenset(EXTRAS))]
    while waiting:
        name, extras = waiting.pop()
        for item in map(Requirement, distribution(name).requires or ()):
            desired = any(item.marker.evaluate({"extra": extra}) for extra in ("", *extras)) if item.marker else True
            needed = canonicalize_name(item.name)
            if desired and needed not in found and needed != PROJECT:
                found[needed] = distribution(needed).version
                waiting.append((needed, frozenset(item.extras)))
    return found


def vulnerabilities(pip_audit: str, versions: Mapping[str, str]) -> tuple[list[str], list[str]]:
    """What is known against some packages, and those of which nothing could be learned."""
    with TemporaryDirectory() as folder:
        requirements = Path(folder) / "requirements.txt"
        requirements.write_text("".join(f"{name}=={version}\n" for name, version in sorted(versions.items())))
        command = [pip_audit, "--no-deps", "--disable-pip", "--requirement", str(requirements), "--format", "json"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    try:
        answers: list[dict[str, Any]] = json.loads(done.stdout)["dependencies"]
    except ValueError:
        print(done.stderr.strip()[-500:])
        return [], sorted(versions)
    bad = [
        f"{answer['name']} {answer['version']}: {known['id']}"
        for answer in answers
        for known in answer.get("vulns", ())
    ]
    return bad, sorted({*versions} - {canonicalize_name(answer["name"]) for answer in answers if "vulns" in answer})


def audit(pip_audit: str) -> Iterable[str]:
    """The reasons why this is no clean audit."""
    known, _ = vulnerabilities(pip_audit, KNOWN_BAD)
    if not known:
        yield "NOT AUDITED: the advisories of PyPI cannot be reached from here"
        return
    versions = installed()
    found, unknown = vulnerabilities(pip_audit, versions)
    yield from found
    yield from (f"{name}: nothing could be learned about it" for name in unknown)
    print(f"{len(versions)} packages audited, {len(found)} known vulnerabilities")


def main(pip_audit: str, *options: str) -> int:
    reasons = list(audit(pip_audit))
    print("\n".join(reasons))
    tolerated = "--where-reachable" in options and all(reason.startswith("NOT AUDITED") for reason in reasons)
    return 0 if tolerated else bool(reasons)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

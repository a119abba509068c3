"""Find the commit that a folder has checked out, and the pipeline that runs aliasctl."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from reconciler.core.provenance import Provenance
from reconciler.git.checkout import read_checkout

log = logging.getLogger(__name__)
_FORM = "--format=%H%x00%an <%ae>%x00%G?%x00%GS"
_SIGNATURES = {"G": "good", "U": "good, by a key of unknown trust", "B": "bad", "N": "none"}


def of_checkout(path: Path) -> Provenance:
    """Return the commit at a path, and whether the files differ from it; empty outside of Git, or without git.

    The user's own git settings and keys apply, because it is their checkout.
    """
    folder = path if path.is_dir() else path.parent
    shown = _git(folder, "log", "-1", "--no-show-signature", _FORM)
    parts = (shown or "").rstrip("\n").split("\0")
    if len(parts) != 4:
        return Provenance()
    commit, author, verdict, signer = parts
    state = _SIGNATURES.get(verdict, "not verified")
    return Provenance(
        commit=commit,
        author=author,
        ref=(_git(folder, "symbolic-ref", "--short", "--quiet", "HEAD") or "").strip(),
        signature=f"{state}, by {signer}" if verdict == "G" and signer else state,
        modified=bool(_git(folder, "status", "--porcelain", "--", str(path.absolute()))),
    )


def of_pipeline(environment: Mapping[str, str]) -> Provenance:
    """Return the page of the current pipeline, and the ref that it runs for.

    By the variables of GitHub Actions, GitLab CI and Jenkins; `ALIASCTL_PIPELINE_URL` takes precedence.
    """
    github = "{GITHUB_SERVER_URL}/{GITHUB_REPOSITORY}/actions/runs/{GITHUB_RUN_ID}"
    for form in ("{ALIASCTL_PIPELINE_URL}", "{CI_PIPELINE_URL}", github, "{BUILD_URL}"):
        try:
            url = form.format_map(environment)
        except KeyError:
            continue
        if _is_page(url):
            ref = environment.get("CI_COMMIT_REF_NAME") or environment.get("GITHUB_REF_NAME") or ""
            return Provenance(pipeline=url, ref=ref)
    return Provenance()


def _is_page(url: str) -> bool:
    """Return whether a text is a web address without credentials."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname) and "@" not in parts.netloc


def _git(folder: Path, *arguments: str) -> str | None:
    answer = read_checkout(folder, *arguments)
    if answer is None:
        return None
    if "dubious ownership" in answer.stderr:
        log.warning(
            "the commit of the manifests is not recorded: git refuses the folder %(folder)s, which belongs to another "
            "user; git config --global --add safe.directory %(folder)s accepts it",
            {"folder": folder.absolute()},
        )
    return answer.stdout if answer.returncode == 0 else None

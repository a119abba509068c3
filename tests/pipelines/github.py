"""GitHub as far as the shipped workflows meet it: its API, and a runner that does what their YAML says.

The runner gives a job's token the permissions that the job asks for, less for a request from a fork, and the API holds
the token to them: a permission too few fails the job here as it does there.
"""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.pipelines.conditions import holds
from tests.pipelines.forge import (
    PINNED,
    READ_TOKEN,
    WRITE_TOKEN,
    Answer,
    Ran,
    Request,
    run_script,
    runner_environment,
)
from tests.pipelines.repository import CI, Repository

NAME, ID, FORK_ID = "acme/aliases", 1, 2
BOT = "github-actions[bot]"
SECRETS = {"MILVUS_READ_TOKEN": READ_TOKEN}
ENVIRONMENTS = {"milvus": {"MILVUS_WRITE_TOKEN": WRITE_TOKEN}}


@dataclass
class Artifact:
    name: str
    file: str
    content: bytes
    head_repository: int
    head_branch: str
    expired: bool = False


@dataclass
class GitHubApi:
    """Comments and artifacts, and what each token may do with them."""

    comments: list[dict[str, Any]] = field(default_factory=list)
    artifacts: list[Artifact] = field(default_factory=list)
    tokens: dict[str, Mapping[str, str]] = field(default_factory=dict)

    def __call__(self, request: Request) -> Answer:
        if request.path.startswith("/blobs/"):
            return Answer(200, zipped(self.artifacts[int(request.path.rpartition("/")[2])]))
        permissions = self.tokens.get(request.headers["Authorization"].removeprefix("Bearer "), {})
        path = request.path.removeprefix(f"/repos/{NAME}")
        if path.startswith("/actions/"):
            return self._artifacts(request, path) if permissions.get("actions") == "read" else Answer(403)
        return self._comments(request, path) if permissions.get("pull-requests") == "write" else Answer(403)

    def _artifacts(self, request: Request, path: str) -> Answer:
        if found := re.fullmatch(r"/actions/artifacts/(\d+)/zip", path):
            return Answer(302, headers={"Location": f"/blobs/{found[1]}"})
        listed = [
            {
                "id": number,
                "expired": artifact.expired,
                "created_at": f"2026-11-01T00:{number:02}:00Z",
                "workflow_run": {
                    "repository_id": ID,
                    "head_repository_id": artifact.head_repository,
                    "head_branch": artifact.head_branch,
                },
            }
            for number, artifact in enumerate(self.artifacts)
            if artifact.name == request.query["name"]
        ]
        return Answer(200, {"artifacts": listed})

    def _comments(self, request: Request, path: str) -> Answer:
        if request.method == "GET":
            size, page = int(request.query["per_page"]), int(request.query["page"])
            return Answer(200, self.comments[size * (page - 1) : size * page])
        body = json.loads(request.body)["body"]
        if request.method == "POST":
            self.say(BOT, body)
        else:
            self.comments[int(path.rpartition("/")[2])]["body"] = body
        return Answer(200, {})

    def say(self, who: str, body: str) -> None:
        self.comments.append({"id": len(self.comments), "user": {"login": who}, "body": body})


def zipped(artifact: Artifact) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr(artifact.file, artifact.content)
    return content.getvalue()


def pull_request(*, fork: bool = False) -> dict[str, Any]:
    """The event of a pull request, as far as the workflows look at it."""
    head = "stranger/aliases" if fork else NAME
    return {
        "event_name": "pull_request",
        "ref": "refs/pull/7/merge",
        "event": {
            "pull_request": {"number": 7, "head": {"repo": {"full_name": head}}},
            "repository": {"default_branch": "main"},
        },
    }


def on_main(event_name: str) -> dict[str, Any]:
    return {"event_name": event_name, "ref": "refs/heads/main", "event": {"repository": {"default_branch": "main"}}}


@dataclass
class GitHub:
    """The three workflows, on a runner. The API's address is `url`; `filled_in` is what the files leave open."""

    repository: Repository
    folder: Path
    url: str
    api: GitHubApi
    jobs: int = 0
    filled_in: dict[str, str] = field(default_factory=lambda: {"ALIASCTL": PINNED})

    def review(self, branch: str) -> Ran:
        return self._one("plan", pull_request(), self.repository.merged_with_main(branch))

    def review_from_outside(self, branch: str) -> Ran:
        return self._one("plan", pull_request(fork=True), self.repository.merged_with_main(branch), fork=True)

    def merged(self, commit: str) -> Ran:
        return self._one("apply", on_main("push"), commit)

    def plan_again(self, commit: str) -> Ran:
        return self._one("plan", on_main("workflow_dispatch"), commit)

    def drift(self, commit: str) -> Ran:
        return self._one("drift", on_main("schedule"), commit)

    @property
    def shown(self) -> str:
        """The plan, as the request shows it."""
        (body,) = [comment["body"] for comment in self.api.comments if comment["user"]["login"] == BOT]
        return str(body)

    def queued(self, commit: str) -> Ran:
        """Run the plan for a merge queue."""
        return self._one("plan", {"event_name": "merge_group", "ref": "refs/heads/gh-readonly-queue/main/pr-1"}, commit)

    def _one(self, workflow: str, event: Mapping[str, Any], commit: str, *, fork: bool = False) -> Ran:
        """Run the one job of a workflow that this event starts."""
        read = yaml.safe_load((CI / "github" / f"aliasctl-{workflow}.yml").read_text())
        read["env"].update(self.filled_in)
        github = {**event, "repository": NAME, "run_attempt": 1}
        (job,) = [
            job
            for job in read["jobs"].values()
            if holds(job.get("if", "'' == ''"), lambda n: at({"github": github}, n))
        ]
        self.jobs += 1
        return self._job(read, job, github, commit, fork)

    def _job(
        self, workflow: Mapping[str, Any], job: Mapping[str, Any], github: dict[str, Any], commit: str, fork: bool
    ) -> Ran:
        token = f"ghs_{self.jobs}"
        asked = job["permissions"]
        self.api.tokens[token] = dict.fromkeys(asked, "read") if fork else asked
        contexts: dict[str, Any] = {
            "github": {**github, "token": token},
            "secrets": {} if fork else {**SECRETS, **ENVIRONMENTS.get(job.get("environment", ""), {})},
            "steps": {},
        }
        ran, workspace = Ran(), self.folder / f"job-{self.jobs}"
        for step in job["steps"]:
            desired = {None: ran.code == 0, "always()": True, "failure()": ran.code != 0}.get(step.get("if"))
            if desired is None:  # a condition on the event, as of a job, goes with success()
                desired = ran.code == 0 and holds(step["if"], lambda name: at(contexts, name))
            if not desired:
                continue
            if "run" in step:
                self._script(
                    step, filled({**workflow.get("env", {}), **step.get("env", {})}, contexts), workspace, ran, contexts
                )
            elif "checkout" in step["uses"]:
                self.repository.checkout(commit, workspace)
            else:
                assert "upload-artifact" in step["uses"]
                self._upload(filled(step["with"], contexts), workspace, ran, fork, github)
        return ran

    def _script(
        self, step: Mapping[str, Any], environment: dict[str, str], workspace: Path, ran: Ran, contexts: dict[str, Any]
    ) -> None:
        assert "${{" not in step["run"], "what a stranger may have written must not become part of a script"
        outputs, summary = workspace.with_suffix(".outputs"), workspace.with_suffix(".summary")
        outputs.write_text("")
        known = {
            "GITHUB_ACTIONS": "true",
            "GITHUB_API_URL": self.url,
            "GITHUB_REPOSITORY": NAME,
            "GITHUB_OUTPUT": str(outputs),
            "GITHUB_STEP_SUMMARY": str(summary),
        }
        everything = {**runner_environment(self.folder), **known, **environment}
        code, log = run_script(step["run"], workspace, everything, "bash", "-e")
        ran.code = ran.code or code
        ran.log += log
        ran.summary = summary.read_text() if summary.exists() else ""
        ran.environments.append(everything)
        if "id" in step:
            pairs = dict(line.split("=", 1) for line in outputs.read_text().splitlines())
            contexts["steps"][step["id"]] = {"outputs": pairs}

    def _upload(self, desired: dict[str, str], workspace: Path, ran: Ran, fork: bool, github: dict[str, Any]) -> None:
        file = workspace / desired["path"]
        if not file.exists():
            assert desired["if-no-files-found"] == "ignore" or ran.code, f"no {file} to upload"
            return
        branch = github["ref"].rpartition("/")[2]
        head = FORK_ID if fork else ID
        self.api.artifacts.append(Artifact(desired["name"], file.name, file.read_bytes(), head, branch))


def at(contexts: Mapping[str, Any], path: str) -> str:
    """What stands at `a.b.c`; nothing where there is nothing, as GitHub has it."""
    value: Any = contexts
    for name in path.split("."):
        value = value.get(name, "") if isinstance(value, Mapping) else ""
    return str(value)


def filled(values: Mapping[str, Any], contexts: Mapping[str, Any]) -> dict[str, str]:
    """Values with what their `${{ }}` stand for."""
    return {
        name: re.sub(r"\$\{\{ (\S+) \}\}", lambda found: at(contexts, found[1]), str(value))
        for name, value in values.items()
    }

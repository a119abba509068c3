"""GitLab as far as the shipped pipeline meets it: its API, and a runner that does what the YAML says."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from string import Template
from typing import Any
from urllib.parse import parse_qs

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

ID, FORK_ID = "11", "22"
BOT, NOTE_TOKEN = "project_11_bot", "glpat-note"
SECRETS = {"MILVUS_READ_TOKEN": READ_TOKEN, "MILVUS_WRITE_TOKEN": WRITE_TOKEN, "GITLAB_NOTE_TOKEN": NOTE_TOKEN}


@dataclass
class GitLabApi:
    """Notes and packages, the project being public: anybody may read a package, only its own jobs may write one.

    Packages are stored elsewhere, as on GitLab.com: at `storage`, whose address is a secret.
    """

    storage: str = ""
    notes: list[dict[str, Any]] = field(default_factory=list)
    packages: dict[str, bytes] = field(default_factory=dict)
    tokens: dict[str, str] = field(default_factory=dict)

    def __call__(self, request: Request) -> Answer:
        if request.path.startswith("/stored/"):
            assert not {"job-token", "private-token", "authorization"} & {name.lower() for name in request.headers}
            return Answer(200, self.packages[request.path.removeprefix("/stored")])
        if "/packages/generic/" in request.path:
            return self._package(request)
        if request.headers.get("PRIVATE-TOKEN") != NOTE_TOKEN:
            return Answer(401)
        if request.path.endswith("/user"):
            return Answer(200, {"username": BOT})
        return self._note(request)

    def _package(self, request: Request) -> Answer:
        token = request.headers.get("JOB-TOKEN")
        project = request.path.split("/")[2]
        if token is not None and self.tokens[token] != project:
            return Answer(404)
        if request.method == "PUT":
            assert token, "a package was written by nobody"
            self.packages[request.path] = request.body
            return Answer(201, {"message": "201 Created"})
        if request.path not in self.packages:
            return Answer(404)
        return Answer(302, headers={"Location": f"{self.storage}/stored{request.path}"})

    def _note(self, request: Request) -> Answer:
        if request.method == "GET":
            size, page = int(request.query["per_page"]), int(request.query["page"])
            return Answer(200, self.notes[size * (page - 1) : size * page])
        (body,) = parse_qs(request.body.decode())["body"]
        if request.method == "POST":
            self.say(BOT, body)
        else:
            self.notes[int(request.path.rpartition("/")[2])]["body"] = body
        return Answer(200, {})

    def say(self, who: str, body: str) -> None:
        self.notes.append({"id": len(self.notes), "author": {"username": who}, "body": body})


@dataclass
class GitLab:
    """The pipeline, on a runner. The API's address is `url`; `filled_in` is what the file leaves open."""

    repository: Repository
    folder: Path
    url: str
    api: GitLabApi
    jobs: int = 0
    secrets: dict[str, str] = field(default_factory=SECRETS.copy)
    filled_in: dict[str, str] = field(default_factory=lambda: {"ALIASCTL": PINNED})

    def review(self, branch: str) -> Ran:
        return self._one(self._commit(branch), merge_request(ID), "plan")

    def review_from_outside(self, branch: str) -> Ran:
        return self._one(self._commit(branch), merge_request(FORK_ID), "plan-from-outside", fork=True)

    def merged(self, commit: str) -> Ran:
        return self._one(commit, on_main("push"), "apply")

    def plan_again(self, commit: str) -> Ran:
        return self._one(commit, on_main("web"), "plan")

    def drift(self, commit: str) -> Ran:
        return self._one(commit, on_main("schedule"), "drift")

    @property
    def shown(self) -> str:
        (body,) = [note["body"] for note in self.api.notes if note["author"]["username"] == BOT]
        return str(body)

    def _commit(self, branch: str) -> str:
        """The head of the branch: merged results are not for everybody's GitLab."""
        self.repository.switch(branch)
        self.repository.push()
        return branch

    def _one(self, commit: str, event: Mapping[str, str], name: str, *, fork: bool = False) -> Ran:
        """Run a job that this event starts; there is no other that starts by itself."""
        read = yaml.safe_load((CI / "gitlab" / "gitlab-ci.yml").read_text())
        token = f"job-{self.jobs}"
        self.api.tokens[token] = event["CI_PROJECT_ID"]
        known = {**event, **({} if fork else self.secrets), "CI_API_V4_URL": self.url, "CI_JOB_TOKEN": token}
        jobs = {key: job for key, job in read.items() if "script" in job}
        started = [key for key, job in jobs.items() if any(starts(rule, known) for rule in job["rules"])]
        assert started == [name]
        self.jobs += 1
        return self._job(read, jobs[name], known, commit)

    def _job(self, read: Mapping[str, Any], job: Mapping[str, Any], known: Mapping[str, str], commit: str) -> Ran:
        workspace = self.repository.checkout(commit, self.folder / f"job-{self.jobs}")
        variables = {**read["variables"], **self.filled_in, **job.get("variables", {})}
        expanded = {name: Template(str(value)).safe_substitute(known) for name, value in variables.items()}
        environment = {**runner_environment(self.folder), **known, **expanded}
        script = "\n".join([*read["default"]["before_script"], *job["script"]])
        code, log = run_script(script, workspace, environment, "bash", "-eo", "pipefail")
        after, more = run_script(
            "\n".join(job.get("after_script", [])), workspace, environment, "bash", "-eo", "pipefail"
        )
        assert after == 0, more
        shown = [workspace / path for path in job.get("artifacts", {}).get("paths", [])]
        summary = "".join(path.read_text() for path in shown if path.exists() and path.suffix == ".md")
        return Ran(code, log + more, summary, [environment])


def merge_request(source: str) -> dict[str, str]:
    """The variables of a merge request's pipeline, which runs in the project of its source."""
    return {
        "CI_PIPELINE_SOURCE": "merge_request_event",
        "CI_DEFAULT_BRANCH": "main",
        "CI_PROJECT_ID": source,
        "CI_MERGE_REQUEST_IID": "7",
        "CI_MERGE_REQUEST_PROJECT_ID": ID,
        "CI_MERGE_REQUEST_SOURCE_PROJECT_ID": source,
    }


def on_main(source: str) -> dict[str, str]:
    return {
        "CI_PIPELINE_SOURCE": source,
        "CI_DEFAULT_BRANCH": "main",
        "CI_COMMIT_BRANCH": "main",
        "CI_PROJECT_ID": ID,
    }


def starts(rule: Mapping[str, Any], known: Mapping[str, str]) -> bool:
    """Whether a rule starts its job by itself; `changes` always hold here: the tests only change aliases."""
    assert re.fullmatch(r"[^()]*", rule["if"])
    return rule.get("when") != "manual" and holds(rule["if"], lambda name: known.get(name.removeprefix("$"), ""))

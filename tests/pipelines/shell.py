"""A CI system that only runs scripts: the shell form, with a folder for the plans that outlives its jobs."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from tests.pipelines.forge import READ_TOKEN, WRITE_TOKEN, Ran, run_script, runner_environment
from tests.pipelines.repository import Repository


@dataclass
class Shell:
    repository: Repository
    folder: Path
    jobs: int = 0
    given: dict[str, str] = field(default_factory=dict)

    @property
    def plans(self) -> Path:
        folder = self.folder / "plans"
        folder.mkdir(exist_ok=True)
        return folder

    def review(self, branch: str) -> Ran:
        return self._run("ci/plan", self.repository.merged_with_main(branch), MILVUS_TOKEN=READ_TOKEN)

    def review_from_outside(self, branch: str) -> Ran:
        script = 'ci/aliasctl-ci plan "$ALIASCTL_CI_PLANS/export.yaml"'
        return self._run(script, self.repository.merged_with_main(branch))

    def merged(self, commit: str) -> Ran:
        return self._run("ci/apply", commit, MILVUS_TOKEN=WRITE_TOKEN)

    def plan_again(self, commit: str) -> Ran:
        return self._run("ci/plan", commit, MILVUS_TOKEN=READ_TOKEN)

    def drift(self, commit: str) -> Ran:
        return self._run("ci/drift", commit, MILVUS_TOKEN=READ_TOKEN)

    def _run(self, script: str, commit: str, **given: str) -> Ran:
        self.jobs += 1
        workspace = self.repository.checkout(commit, self.folder / f"job-{self.jobs}")
        environment = {**runner_environment(self.folder), "ALIASCTL_CI_PLANS": str(self.plans), **self.given, **given}
        code, log = run_script(script, workspace, environment, "sh", "-e")
        plan = workspace / "aliasctl-out" / "plan.md"
        return Ran(code, log, plan.read_text() if plan.exists() else "", [environment])

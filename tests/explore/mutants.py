"""Small mutations of the core, as text to replace, each with the suite that finds it.

A promise that no mutation breaks would be no promise. `python -m tests.explore.mutants` prints which suite kills which
mutant; one that survives is a promise that is missing.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from tests.explore import cases
from tests.explore.explorer import Case, Violation, explore

ROOT = Path(__file__).parents[2]
FAULTS = 2
"""Maximum of faults in a case: each of these mutations needs no more."""
SECONDS = 300
"""After this time a mutant counts as killed: the core does not come to an end."""

SUITES: Mapping[str, Sequence[Case]] = {
    "faults": cases.SMALL,
    "anywhere": cases.ANYWHERE,
    "crashes": cases.CRASHES,
    "disk": cases.FULL_DISKS,
    "soak": cases.SOAKS,
    "propagation": cases.PROPAGATION,
}


class Mutant(NamedTuple):
    """A change of the core that must be found.

    Args:
        name: what it does.
        path: of the file, below `reconciler`.
        before: text that occurs once in the file.
        after: its replacement.
        killed_by: a suite that finds it.
    """

    name: str
    path: str
    before: str
    after: str
    killed_by: str


class Killed(NamedTuple):
    """How a suite found a mutant: the first line of the broken promise, or the error."""

    suite: str
    how: str


def write(mutant: Mutant, folder: Path) -> None:
    """Write the core with a mutation into a folder, beside the tests. Raises `ValueError` if its text is not there."""
    source = (ROOT / "reconciler" / mutant.path).read_text(encoding="utf-8")
    if source.count(mutant.before) != 1:
        raise ValueError(f"{mutant.path} has {source.count(mutant.before)} times: {mutant.before}")
    shutil.copytree(ROOT / "reconciler", folder / "reconciler", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "reconciler" / mutant.path).write_text(source.replace(mutant.before, mutant.after), encoding="utf-8")
    (folder / "tests").symlink_to(ROOT / "tests")
    (folder / "benchmarks").symlink_to(ROOT / "benchmarks")


def killers(mutant: Mutant, suites: Sequence[str] = tuple(SUITES)) -> list[Killed]:
    """Return the suites that find a mutant, of those to try."""
    with tempfile.TemporaryDirectory(prefix="aliasctl-mutant-") as folder:
        write(mutant, Path(folder))
        command = [sys.executable, "-B", "-m", "tests.explore.mutants", "--try", *suites]
        environment = {**os.environ, "PYTHONPATH": folder}
        try:
            ran = subprocess.run(
                command, cwd=folder, env=environment, capture_output=True, text=True, timeout=SECONDS, check=False
            )
        except subprocess.TimeoutExpired:
            return [Killed(suite, "it does not end") for suite in suites]
    if ran.returncode:
        return [Killed(suite, ran.stderr[-300:]) for suite in suites]
    return [Killed(*item) for item in json.loads(ran.stdout.splitlines()[-1])]


def attempt(suites: Sequence[str]) -> list[Killed]:
    """Explore suites with the core that is imported; return those in which a promise is broken."""
    found = []
    for suite in suites:
        try:
            for case in SUITES[suite]:
                explore(case, min(case.quick, FAULTS))
        except Violation as violation:
            found.append(Killed(suite, str(violation).splitlines()[0][:100]))
        except Exception as error:  # noqa: BLE001 - a core that fails in any other way is found, too
            found.append(Killed(suite, repr(error)[:100]))
    return found


def main(arguments: Sequence[str]) -> int:
    """Print which suite kills which mutant; with `--try`, what breaks in the core that is imported."""
    if arguments[:1] == ["--try"]:
        print(json.dumps(attempt(arguments[1:])))
        return 0
    survivors = 0
    print("| mutant | " + " | ".join(SUITES) + " |\n| --- |" + " --- |" * len(SUITES))
    for mutant in MUTANTS:
        found = {item.suite: item.how for item in killers(mutant)}
        survivors += not found
        print(f"| {mutant.name} | " + " | ".join("✗" if suite in found else "" for suite in SUITES) + " |", flush=True)
    print(f"{len(MUTANTS)} mutants, {survivors} survived")
    return survivors


ATTEMPT, REVERT, SET_RUN, SOAK = "execute/attempt.py", "execute/revert.py", "execute/set_run.py", "execute/soak.py"
PROPAGATION, DECISIONS, REPORT = "execute/propagation.py", "journal/decisions.py", "core/report.py"

MUTANTS = (
    Mutant(
        "a step is made wherever its alias is",
        ATTEMPT,
        "        if current != step.current:\n            found,",
        "        if False:\n            found,",
        "faults",
    ),
    Mutant("a lost answer is trusted", ATTEMPT, "    if done:\n", "    if done or not refused:\n", "faults"),
    Mutant("no intent is recorded", ATTEMPT, "        intend()\n", "        pass\n", "faults"),
    Mutant(
        "a call that timed out cannot have acted",
        ATTEMPT,
        "isinstance(error, (*NO_ANSWER, UnexpectedAnswer))",
        "isinstance(error, UnexpectedAnswer)",
        "faults",
    ),
    Mutant(
        "what cannot be read back was not written",
        ATTEMPT,
        "return End(Outcome.UNKNOWN, error.code, message, True, unanswered)",
        "return End(Outcome.FAILED, error.code, message, False, unanswered)",
        "faults",
    ),
    Mutant(
        "what is still where it was was not written",
        ATTEMPT,
        "    return End(Outcome.FAILED, error.code, message, wrote=not refused)\n",
        "    return End(Outcome.FAILED, error.code, message)\n",
        "faults",
    ),
    Mutant(
        "what others moved was not written",
        ATTEMPT,
        "message, wrote=not refused, third_place=found)",
        "message, third_place=found)",
        "faults",
    ),
    Mutant(
        "a refused call may have acted",
        ATTEMPT,
        "        if refused and not limited:\n            return End(Outcome.F",
        "        if False:\n            return End(Outcome.F",
        "faults",
    ),
    Mutant(
        "a third place is forgotten after a call",
        SET_RUN,
        "        if end.third_place:\n",
        "        if False:\n",
        "faults",
    ),
    Mutant(
        "a third place is forgotten in a revert",
        REVERT,
        "    return undo, describe_location(at)\n",
        '    return undo, ""\n',
        "faults",
    ),
    Mutant(
        "a revert forgets third places",
        REVERT,
        'if place := self._moved_by_others.get(step.alias, ""):',
        'if place := "":',
        "faults",
    ),
    Mutant(
        "only sure moves are reverted",
        SET_RUN,
        "        if end.wrote:\n",
        "        if end.outcome is Outcome.DONE:\n",
        "faults",
    ),
    Mutant(
        "the read-back of moves is not compared",
        SET_RUN,
        "if live[step.alias] != step.desired]",
        "if False]",
        "faults",
    ),
    Mutant(
        "the read-back of drops is not compared",
        SET_RUN,
        "            if step.alias in remaining:\n",
        "            if False:\n",
        "anywhere",
    ),
    Mutant(
        "a failure does not stop a set",
        SET_RUN,
        "            self._results.fail(f'\"{step.alias}\" failed: {end.message}')\n",
        "            pass\n",
        "faults",
    ),
    Mutant(
        "started steps do not look at failures",
        SET_RUN,
        "        if self._halt.is_set():\n            self._results.record(",
        "        if False:\n            self._results.record(",
        "faults",
    ),
    Mutant(
        "a rejection is not recorded",
        SET_RUN,
        "            self._context.record.decide_revert(self._target, made, self._results.failure)\n",
        "            pass\n",
        "crashes",
    ),
    Mutant(
        "a rejection is recorded late",
        SET_RUN,
        "            self._context.record.decide_revert(self._target, made, self._results.failure)\n",
        "            for step in reversed(made):\n"
        '                self._revert_step(step, Reverter(self._catalog, "", {}))\n'
        "            self._context.record.decide_revert(self._target, made, self._results.failure)\n",
        "crashes",
    ),
    Mutant(
        "the read-back of a revert is not compared",
        SET_RUN,
        "            if live[step.alias] != step.current:\n",
        "            if False:\n",
        "faults",
    ),
    Mutant(
        "a call that is on its way is said to be reverted",
        SET_RUN,
        "        if step.alias in self._unanswered and reverted and not end.wrote:\n",
        "        if False:\n",
        "faults",
    ),
    Mutant(
        "earlier moves are verified at the end",
        SET_RUN,
        "            self._verify_earlier_moves([move for move in pending if move.step.wave < wave[0].wave])\n",
        "            pass\n",
        "soak",
    ),
    Mutant("a soak that ends early counts", SET_RUN, "            elif failed:\n", "            elif False:\n", "soak"),
    Mutant(
        "a soak does not look where an alias is",
        SOAK,
        "        if found != step.desired:\n",
        "        if False:\n",
        "soak",
    ),
    Mutant(
        "a soak ends without the server", SOAK, "        if self._unreachable is None:\n", "        if True:\n", "soak"
    ),
    Mutant(
        "a soak ends too early",
        SOAK,
        "    end = start + seconds\n",
        "    end = start + seconds / 2\n",
        "soak",
    ),
    Mutant(
        "an error of the journal is not a result",
        "execute/set_results.py",
        "                result = replace(result, code=result.code or error.code, message=message)\n",
        "                pass\n",
        "disk",
    ),
    Mutant(
        "a correction forgets earlier calls",
        "execute/set_results.py",
        "        wrote = before.wrote or wrote\n",
        "",
        "faults",
    ),
    Mutant(
        "rejections do not count",
        "core/rejections.py",
        "    return step.desired == rejection.collection and",
        "    return False and",
        "crashes",
    ),
    Mutant("reverts are not completed", "core/pending_reverts.py", "    if not found:\n", "    if True:\n", "crashes"),
    Mutant(
        "a revert counts as finished once it is decided",
        DECISIONS,
        "            if past.begun or past.outcome is not Outcome.REVERTED:\n",
        "            if False:\n",
        "crashes",
    ),
    Mutant(
        "a move of a run that died counts as verified",
        DECISIONS,
        "    unfinished = not ended and ",
        "    unfinished = False and ",
        "soak",
    ),
    Mutant(
        "pending verification is not planned",
        "core/pending_verification.py",
        "    return replace(plan, pending_verification=tuple(found))\n\n\ndef saved",
        "    return plan\n\n\ndef saved",
        "soak",
    ),
    Mutant(
        "an incomplete run says that it wrote nothing",
        REPORT,
        "        if self.wrote:\n",
        "        if False:\n",
        "faults",
    ),
    Mutant(
        "a run with failures is complete",
        REPORT,
        "outcomes <= ACHIEVED and not marred",
        "not outcomes & {Outcome.UNKNOWN} and not marred",
        "faults",
    ),
    Mutant(
        "an alias is healed wherever it is",
        PROPAGATION,
        "if at == self._step.desired:",
        "if True:",
        "propagation",
    ),
    Mutant(
        "stale readers are no failure",
        PROPAGATION,
        "        if view.stuck_at:\n",
        "        if False:\n",
        "propagation",
    ),
    Mutant(
        "stale readers are forgotten after an alter",
        PROPAGATION,
        "return self._stale or (self._known if self._known and self._known.is_stale else None)\n",
        "return self._stale\n",
        "propagation",
    ),
    Mutant(
        "readers of a third collection are not stale",
        "execute/marks.py",
        "return Answer.THIRD if again",
        "return again if again",
        "propagation",
    ),
    Mutant(
        "stale readers are not healed",
        PROPAGATION,
        "        return stale and self.cancel()\n",
        "        return False\n",
        "propagation",
    ),
)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

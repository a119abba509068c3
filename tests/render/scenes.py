"""Plans and reports to draw, without any server."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from msgspec.structs import replace

from reconciler.core.model import Target
from reconciler.core.plan import Block, BlockReason, Figure, GateResult, Plan, SetPlan, Step, TargetPlan, Verdict
from reconciler.core.report import Outcome, Propagated, Reach, Report, StepResult, TargetReport
from reconciler.render.formats import HTML, MARKDOWN
from reconciler.render.results import plan_result, report_result
from tests.builders import LOCAL

MADE = "2026-11-24T03:00:00Z"
HOSTILE = (
    "<script>alert(1)</script>",
    "</script><img src=x onerror=alert(1)>",
    "</pre></details></code></td></table><h1>x</h1>",
    "a|b||c",
    "`code` ```block```",
    "[x](javascript:alert(1))",
    "![x](http://evil.example/x.png)",
    "@someone and @org/team",
    "#123 GH-1 !7 org/repo#1",
    "&lt;b&gt; &#64;x &amp;",
    "$(rm) $$x^2$$ **bold** _em_ ~~gone~~",
    "https://evil.example www.evil.example a@evil.example :tada:",
    "line\nbreak\r\n\n/close\n# heading",
    "\x1b[31mred\x1b[0m\x00",
    "\u202eabc\u2066\u200b",
    "{{ 7*7 }} {% raw %} {# x #}",
    '" onmouseover="alert(1)',
    "' --> <!-- aliasctl:report -->",
)
"""What nobody should call an alias, and Milvus Lite lets them."""


def move(alias: str, current: str | None, desired: str | None, **more: Any) -> Step:
    return replace(Step("shop", alias, current, desired), **more)


def blocked(alias: str, message: str, desired: str = "v9") -> Step:
    return move(alias, "v1", desired, blocked=Block(BlockReason.COLLECTION_MISSING, message))


def gate(name: str, verdict: Verdict, detail: str = "", **figures: Figure) -> GateResult:
    return GateResult(name, verdict, detail, figures)


def plan_of(
    *steps: Step, refusals: Iterable[str] = (), name: str = "prod", database: str = "default", unchanged: int = 0
) -> Plan:
    item = SetPlan("shop", tuple(steps), unchanged=unchanged, refusals=tuple(refusals))
    connection = replace(LOCAL, name=name)
    target = TargetPlan(Target(LOCAL.address, database), connection, (item,), "v2.6.4", len(steps) + unchanged, 8)
    return Plan((target,), MADE, "0.1.0")


def together(*plans: Plan) -> Plan:
    return Plan(tuple(target for plan in plans for target in plan.targets), MADE, "0.1.0")


def result(step: Step, outcome: Outcome, message: str | None = None) -> StepResult:
    reached = outcome is Outcome.DONE and step.current and step.desired
    proofs = (Propagated("localhost:19530", Reach.VERIFIED, reads=5),) if reached else ()
    return StepResult(step, outcome, None, message, MADE, MADE, outcome is Outcome.DONE, proofs)


def report_of(plan: Plan, *results: StepResult, run: str = "20261124-030000-4f2a9c") -> Report:
    return Report(plan, (TargetReport(plan.targets[0], tuple(results)),), MADE, MADE, run=run)


def busy_plan() -> Plan:
    """A bit of everything."""
    return plan_of(
        move("search_products", None, "products_v7", gate_results=(gate("loaded", Verdict.PASS),)),
        move(
            "search_reviews",
            "reviews_v1",
            "reviews_v2",
            wave=1,
            skipped_gates=("rows",),
            gate_results=(
                gate("loaded", Verdict.PASS),
                gate("canary", Verdict.PASS, "overlap@10 0.98 over 50 queries", k=10, overlap=0.98),
            ),
        ),
        move("search_legacy", "legacy_v1", None, prune=True, wave=2),
        blocked("search_ads", 'ads_v3 does not exist in database "default"', "ads_v3"),
        unchanged=38,
    )


def failed_report() -> Report:
    """What became of `busy_plan`: one move was made, one failed, and that ended the set."""
    plan = busy_plan()
    create, alter, drop, held = plan.steps
    return report_of(
        plan,
        result(create, Outcome.DONE),
        result(alter, Outcome.FAILED, 'the old collection still answers; the alias is at "reviews_v2"'),
        result(drop, Outcome.NOT_ATTEMPTED, "a failed step stopped the set"),
        result(held, Outcome.BLOCKED, held.blocked.message if held.blocked else None),
    )


def long_names(*, held: bool = False) -> Plan:
    """One move of four aliases in two waves, with names as long as those of a large company; `held`: it is blocked."""
    names = ("search_products_canary", "autocomplete_products", "products_live", "search_products_eu_west_1_mobile")
    before, after = "products_embedding_2026_11_v7", "products_embedding_2026_11_v8"
    block = Block(BlockReason.PROTECTED, "protected") if held else None
    moves = (move(name, before, after, wave=int(number > 0), blocked=block) for number, name in enumerate(names))
    return plan_of(*moves)


def hostile_plan(*texts: str) -> Plan:
    """A plan with these texts wherever somebody else's words can be."""
    steps = [
        step
        for number, text in enumerate(texts)
        for step in (
            move(text, text, f"{text}{number}", gate_results=(gate(text, Verdict.FAIL, text),), skipped_gates=(text,)),
            blocked(f"{text}!", text, text),
        )
    ]
    return together(
        *(plan_of(refusals=[text], name=text, database=text) for text in texts),
        plan_of(*steps, name=texts[0], database=texts[0]),
    )


def many(number: int) -> Plan:
    """So many moves, of which the last is blocked and the one before it a drop."""
    steps = [move(f"alias_{at:04}", f"products_v{at % 40}", f"products_v{at % 40 + 1}") for at in range(number - 2)]
    return plan_of(*steps, move("old_one", "products_v1", None), blocked("zz_held", "v9 does not exist"))


def plan_markdown(plan: Plan) -> str:
    return MARKDOWN.render(plan_result(plan))


def report_markdown(report: Report) -> str:
    return MARKDOWN.render(report_result(report))


def plan_html(plan: Plan) -> str:
    return HTML.render(plan_result(plan))


def report_html(report: Report) -> str:
    return HTML.render(report_result(report))

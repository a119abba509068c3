"""Files that are made to cost time and memory: of any size, and as hard to refuse as their kind can be."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

HEAD = "apiVersion: aliasctl.dev/v1alpha1\nkind: AliasSet\nmetadata: {name: x}\nspec:\n  connectionRef: {name: main}\n"
CONNECTION = (
    "apiVersion: aliasctl.dev/v1alpha1\nkind: MilvusConnection\nmetadata: {name: main}\n"
    "spec: {uri: 'http://127.0.0.1:1'}\n"
)
STEP = '{"action":"alter","alias":"a","from":"v1","to":"v2"}'


@dataclass(frozen=True)
class Bomb:
    """A file of approximately so many bytes, and the commands that read it.

    Args:
        name: what it is.
        file: its name.
        make: returns its content for a size and a source of randomness.
        commands: arguments after `aliasctl`, each without the file.
        valid: whether it may be accepted: then it only has to be read in time.
    """

    name: str
    file: str
    make: Callable[[int, Random], str]
    commands: tuple[tuple[str, ...], ...] = (("validate", "-f"),)
    valid: bool = False


def _filled(head: str, item: str | Callable[[int], str], tail: str = "") -> Callable[[int, Random], str]:
    """Return a maker of files that repeat an item until they are large enough."""

    def make(size: int, _: Random) -> str:
        length = len(item(100_000) if callable(item) else item)
        number = max(1, (size - len(head) - len(tail)) // length)
        return head + "".join(item(n) if callable(item) else item for n in range(number)) + tail

    return make


def _laughs(size: int, _: Random) -> str:
    """Each line names the one before ten times: the expansion grows tenfold with every 40 bytes."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, max(9, size // 2000))]
    return HEAD + "  aliases: []\n" + "\n".join(lines)


def _any_scalar(size: int, random: Random) -> str:
    scalars = ("1", "null", "1e9999", "0x1F", "2001-01-01", "'x'", "~", "yes", "{}", "[]", "-1", ".inf", "{name: 1}")
    return HEAD + "  aliases: [" + ", ".join(random.choice(scalars) for _ in range(size // 5)) + "]\n"


def _deep(size: int, _: Random) -> str:
    return HEAD + "  aliases: " + "[" * (size // 2) + "]" * (size // 2)


def _globs(size: int, random: Random) -> str:
    """Sets of one database whose scopes are hard to tell apart: many stars, and letters that all have."""
    documents, length, number = [CONNECTION], 0, 0
    while length < size:
        globs = [
            "*" + "*".join(random.choice("abcd") for _ in range(random.randint(4, 20))) + f"*{number:03}{place:02}x*"
            for place in range(64)
        ]
        document = (
            HEAD.replace("name: x", f"name: s{number}") + f"  scope: {{include: {json.dumps(globs)}}}\n  aliases: []\n"
        )
        documents.append(document)
        length, number = length + len(document), number + 1
    return "---\n".join(documents)


def _many_sets(size: int, _: Random) -> str:
    documents = [CONNECTION]
    documents += [
        HEAD.replace("name: x", f"name: s{n}")
        + f"  scope: {{include: ['s{n}_*']}}\n  aliases: [{{name: s{n}_a, collection: c}}]\n"
        for n in range(size // 190)
    ]
    return "---\n".join(documents)


PLAN = '{"kind":"Plan","formatVersion":2,"targets":['
REPORT = '{"kind":"Report","formatVersion":2,"targets":['
READ_PLAN = (("show",), ("apply", "--yes"))
BOMBS = (
    Bomb("list of numbers", "m.yaml", _filled(HEAD + "  aliases: [", "1,", "]\n")),
    Bomb(
        "list of wrong entries",
        "m.yaml",
        _filled(HEAD + "  aliases:\n", lambda n: f"  - {{name: a{n}, colection: v1}}\n"),
    ),
    Bomb("list of anything", "m.yaml", _any_scalar),
    Bomb("the same alias many times", "m.yaml", _filled(HEAD + "  aliases:\n", "  - {name: a, collection: v}\n")),
    Bomb("unknown fields", "m.yaml", _filled(HEAD, lambda n: f"  field{n:06}: x\n")),
    Bomb("the same key many times", "m.yaml", _filled(HEAD, "  aliases: []\n")),
    Bomb("one long name", "m.yaml", _filled(HEAD + "  aliases: [{collection: v1, name: ", "x", "}]\n")),
    Bomb("one long comment", "m.yaml", _filled(HEAD + "  aliases: []\n", "# x\n"), valid=True),
    Bomb("deep nesting", "m.yaml", _deep),
    Bomb("aliases of YAML within each other", "m.yaml", _laughs),
    Bomb("anchors", "m.yaml", _filled(HEAD + "  aliases: [", lambda n: f"&a{n:06} x,", "]\n")),
    Bomb("documents of others", "m.yaml", _filled(CONNECTION, "---\nkind: x\n"), valid=True),
    Bomb("empty documents", "m.yaml", _filled(CONNECTION, "---\n"), valid=True),
    Bomb("wrong documents", "m.yaml", _filled("", "---\napiVersion: aliasctl.dev/v1alpha1\nkind: AliasSet\n")),
    Bomb("sets with scopes of their own", "m.yaml", _many_sets, valid=True),
    Bomb("scopes that are hard to tell apart", "m.yaml", _globs, valid=True),
    Bomb("one number of many digits", "m.yaml", _filled(HEAD + "  interval: ", "9", "\n  aliases: []\n")),
    Bomb(
        "JSON list of numbers",
        "m.json",
        _filled('{"apiVersion":"aliasctl.dev/v1alpha1","kind":"AliasSet","spec":{"aliases":[', "1,", "1]}}"),
    ),
    Bomb(
        "export",
        "m.yaml",
        _filled(CONNECTION + "---\n" + HEAD + "  aliases:\n", lambda n: f"  - {{name: a{n}, collection: v{n}}}\n"),
        (("validate", "-f"), ("plan", "-f", "good.yaml", "--against")),
        valid=True,
    ),
    Bomb("plan of numbers", "plan.json", _filled(PLAN, "1,", "1]}"), READ_PLAN),
    Bomb(
        "plan of wrong steps",
        "plan.json",
        _filled(PLAN + '{"sets":[{"steps":[', STEP + ",", STEP + "]}]}]}"),
        READ_PLAN,
    ),
    Bomb("deep plan", "plan.json", lambda size, _: PLAN + "[" * (size // 2) + "]" * (size // 2) + "]}", READ_PLAN),
    Bomb(
        "plan of keys",
        "plan.json",
        _filled('{"kind":"Plan","formatVersion":2', lambda n: f',"k{n:06}":1', "}"),
        READ_PLAN,
    ),
    Bomb("report of numbers", "report.json", _filled(REPORT, "1,", "1]}"), (("rollback", "--yes"),)),
    Bomb(
        "report of wrong steps",
        "report.json",
        _filled(REPORT + '{"steps":[', STEP + ",", STEP + "]}]}"),
        (("rollback", "--yes"),),
    ),
)

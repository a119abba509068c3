"""Readers in tight loops, in processes of their own, as applications read through an alias while it moves."""

from __future__ import annotations

import multiprocessing
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from reconciler.catalog import milvus_client as _quiet  # noqa: F401 - before gRPC and pymilvus, which it silences
from reconciler.core.model import PrimaryKey, Row

from grpc import RpcError  # isort: skip
from pymilvus import MilvusClient, MilvusException  # isort: skip

TIMEOUT = 10.0
NOT_FOUND = ("error 100:", "error 1600:")
"""How the answers begin that say there is no such alias or collection."""
SOMETHING_ELSE = "rows of no collection:"
"""How the answers begin that no collection gives."""


@dataclass(frozen=True, slots=True)
class Question:
    """A query by keys through an alias. `rows` has what each collection would answer, the keys being the field `id`."""

    uri: str
    database: str
    alias: str
    rows: Mapping[str, Mapping[PrimaryKey, Row]]

    @property
    def keys(self) -> list[PrimaryKey]:
        return sorted({key for rows in self.rows.values() for key in rows}, key=str)

    @property
    def fields(self) -> list[str]:
        return sorted({name for rows in self.rows.values() for row in rows.values() for name in row})


Answers = dict[str, Counter[str]]
"""By alias: how often each answer came. An answer is a collection's name, or begins as one of the above, or `error`."""


@contextmanager
def reading(*questions: Question, processes: int = 1, threads: int = 3) -> Iterator[Answers]:
    """Ask all the time, from when each reader has had its first answer.

    Args:
        questions: the readers take them in turn.
        processes: one can read some 300 times a second.
        threads: readers in each process.

    Yields:
        What was answered; filled when the block ends.
    """
    spawn = multiprocessing.get_context("spawn")  # gRPC does not survive a fork
    stop, results = spawn.Event(), spawn.Queue()
    started = spawn.Barrier(processes * threads + 1)
    readers = [
        spawn.Process(target=_read_on, args=(questions, threads, started, stop, results)) for _ in range(processes)
    ]
    answers: Answers = {question.alias: Counter() for question in questions}
    for reader in readers:
        reader.start()
    try:
        started.wait(60)
        yield answers
    finally:
        stop.set()
        for _ in readers:
            for alias, counted in results.get(timeout=60):
                answers[alias] += counted
        for reader in readers:
            reader.join()


def _read_on(questions: tuple[Question, ...], threads: int, started: Any, stop: Any, results: Any) -> None:
    """One process."""

    def loop(number: int) -> tuple[str, Counter[str]]:
        question = questions[number % len(questions)]
        client = MilvusClient(question.uri, db_name=question.database, timeout=TIMEOUT, dedicated=True)
        counted = Counter([_answer(client, question)])
        started.wait(60)
        while not stop.is_set():
            counted[_answer(client, question)] += 1
        client.close()
        return question.alias, counted

    with ThreadPoolExecutor(threads) as pool:
        results.put(list(pool.map(loop, range(threads))))


def _answer(client: Any, question: Question) -> str:
    try:
        found = client.query(
            question.alias,
            filter=f"id in {question.keys}",
            output_fields=["id", *question.fields],
            consistency_level="Bounded",
            timeout=TIMEOUT,
            retry_times=0,
        )
    except MilvusException as error:
        return f"error {error.code}: {error.message}"
    except RpcError as error:
        return f"error {error.code().name}: {error.details()}"
    rows = {row["id"]: {name: _plain(row.get(name)) for name in question.fields} for row in found}
    for collection, expected in question.rows.items():
        if rows == expected:
            return collection
    return f"{SOMETHING_ELSE} {rows}"


def _plain(value: Any) -> object:
    """Vectors as lists, whatever pymilvus keeps them in."""
    return list(value) if hasattr(value, "__iter__") and not isinstance(value, str) else value

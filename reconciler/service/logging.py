"""Logs: structlog to standard error, for people or as JSON. Standard output is for results.

The operator and the agent log through structlog. Libraries and the other commands log through `logging`; their entries
take the same form, and structlog is imported only when there is one.
"""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal, TextIO

from reconciler.core.errors import AliasctlError
from reconciler.core.text import printable, printable_lines

if TYPE_CHECKING:
    from structlog.types import EventDict, Processor

LogFormat = Literal["console", "json"]
LEVELS = ("debug", "info", "warning", "error")


def configure_logging_when_needed(log_format: LogFormat, level: str, *, color: bool) -> None:
    """Call `configure_logging` before the first log entry, for processes that log through `logging` only."""
    logger = logging.getLogger("reconciler")
    logger.handlers = [_FirstEntry(lambda: configure_logging(log_format, level, color=color))]
    logger.setLevel(level.upper())
    logger.propagate = False


class _FirstEntry(logging.Handler):
    """Configures logging at the first entry, which is then handled like all others."""

    def __init__(self, configure: Callable[[], None]) -> None:
        super().__init__()
        self._configure = configure

    def emit(self, record: logging.LogRecord) -> None:
        self._configure()
        logging.getLogger(record.name).handle(record)


class _ToStderr(logging.StreamHandler[TextIO]):
    """Writes to what standard error is at the moment: the live block of a run takes it over for a while."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> TextIO:  # type: ignore[override]
        return sys.stderr


def configure_logging(log_format: LogFormat, level: str, *, color: bool, also: Sequence[str] = ()) -> None:
    """Configure structlog and `logging` for this process.

    `log_format`: `console` for people, `json` for one JSON object per line. `also`: loggers of third parties whose
    warnings are shown in the same form.
    """
    import structlog

    renderer: Processor = (
        structlog.processors.JSONRenderer() if log_format == "json" else structlog.dev.ConsoleRenderer(colors=color)
    )
    common: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.ExceptionRenderer(lambda information: traceback_without_values(information[1])),
        _printable_values,
    ]
    threshold = getattr(logging, level.upper())
    structlog.configure(
        processors=[*common, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    _join_standard_logging(common, renderer, threshold, also)


def _join_standard_logging(
    common: list[Processor],
    renderer: Processor,
    threshold: int,
    also: Sequence[str],
) -> None:
    """Render records of `logging`, which library packages use, in the same form."""
    import structlog

    handler = _ToStderr()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
            foreign_pre_chain=[structlog.stdlib.ExtraAdder(), *common],
        )
    )
    for name, least in {"reconciler": threshold, **dict.fromkeys(also, max(threshold, logging.WARNING))}.items():
        logger = logging.getLogger(name)
        logger.handlers = [handler]
        logger.setLevel(least)
        logger.propagate = False


def traceback_without_values(error: BaseException | None) -> str:
    """Return a traceback without local variables and without the text of foreign errors: both may hold secrets."""
    chain: list[BaseException] = []
    while error and error not in chain:  # pymilvus raises errors that are their own cause
        chain.insert(0, error)
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return "\n".join(
        "".join(traceback.format_tb(each.__traceback__))
        + (f"{type(each).__name__}: {each}" if isinstance(each, AliasctlError) else type(each).__name__)
        for each in chain
    )


def _printable_values(_logger: object, _method: str, event: EventDict) -> EventDict:
    return {
        key: (printable_lines if key == "exception" else printable)(value) if isinstance(value, str) else value
        for key, value in event.items()
    }

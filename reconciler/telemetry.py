"""Logs: structlog to standard error, for people or as JSON. Standard output belongs to results."""

from __future__ import annotations

import logging
import sys
from contextlib import suppress
from typing import Literal

import stamina
import structlog

from reconciler.printable import printable

LogFormat = Literal["console", "json"]
LEVELS = ("debug", "info", "warning", "error")


def configure_logging(log_format: LogFormat, level: str, *, color: bool) -> None:
    """Set structlog up for this process.

    Args:
        log_format: `console` for people, `json` for one JSON object a line.
        level: the least severe level to show; one of `LEVELS`.
        color: whether to colour the log for people.
    """
    renderer: structlog.types.Processor = (
        structlog.processors.JSONRenderer() if log_format == "json" else structlog.dev.ConsoleRenderer(colors=color)
    )
    common: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _printable_values,
    ]
    threshold = getattr(logging, level.upper())
    structlog.configure(
        processors=[*common, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    stamina.instrumentation.set_on_retry_hooks([_on_retry])
    _join_standard_logging(common, renderer, threshold)


def _join_standard_logging(
    common: list[structlog.types.Processor], renderer: structlog.types.Processor, threshold: int
) -> None:
    """The catalog logs as a library does, through `logging`: show that in the same form."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
            foreign_pre_chain=[structlog.stdlib.ExtraAdder(), *common],
        )
    )
    ours = logging.getLogger("reconciler")
    ours.handlers = [handler]
    ours.setLevel(threshold)
    ours.propagate = False


def _printable_values(_logger: object, _method: str, event: structlog.types.EventDict) -> structlog.types.EventDict:
    return {key: printable(value) if isinstance(value, str) else value for key, value in event.items()}


def _on_retry(details: stamina.instrumentation.RetryDetails) -> None:
    with suppress(OSError):  # a log that nobody reads must not end the work
        structlog.get_logger().info("trying again", attempt=details.retry_num + 1, reason=str(details.caused_by))

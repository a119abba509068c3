"""The signals that end a process."""

from __future__ import annotations

import signal


def ending_signals() -> frozenset[signal.Signals]:
    """Return SIGINT, SIGTERM and SIGHUP; the latter not under nohup, which has it ignored."""
    ending = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
    return frozenset(ending - {signal.SIGHUP} if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN else ending)

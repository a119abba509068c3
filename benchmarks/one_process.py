"""Runs one command and writes down what it cost: `python -I -S one_process.py RESULT STDOUT STDERR COMMAND…`.

A program of its own, and a small one: Linux counts the memory of whoever starts a process towards the peak of what is
started, and the benchmark itself has gRPC and more in memory.
"""

import json
import os
import sys
import time


def main(result: str, stdout: str, stderr: str, *command: str) -> None:
    """Write `result`: seconds, CPU seconds (user and system), the peak of resident memory in bytes, exit code."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    opened = [(os.POSIX_SPAWN_OPEN, fd, path, flags, 0o600) for fd, path in ((1, stdout), (2, stderr))]
    nothing = (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0)
    started = time.perf_counter()
    pid = os.posix_spawnp(command[0], command, os.environ, file_actions=[nothing, *opened])
    _, status, used = os.wait4(pid, 0)
    figures = {
        "seconds": time.perf_counter() - started,
        "cpu_seconds": used.ru_utime + used.ru_stime,
        "peak_bytes": used.ru_maxrss * 1024,  # Linux counts KiB
        "code": os.waitstatus_to_exitcode(status),
    }
    with open(result, "w") as file:  # noqa: PTH123 - pathlib would be in this process's memory
        json.dump(figures, file)


if __name__ == "__main__":
    main(*sys.argv[1:])

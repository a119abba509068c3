"""What the benchmark ran on, and with which versions."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version
from pathlib import Path

CLIENTS = ("pymilvus", "grpcio", "PyYAML")


def describe_machine() -> dict[str, str]:
    """Linux only, like the rest of the benchmark. The load is that of the minute before."""
    return {
        "processor": f"{_field('/proc/cpuinfo', 'model name')}, {os.cpu_count()} cores",
        "memory": f"{int(_field('/proc/meminfo', 'MemTotal').split()[0]) / 1e6:.0f} GB",
        "system": f"{platform.system()} {platform.release()}",
        "load before": f"{os.getloadavg()[0]:.2f}",
    }


def describe_versions() -> dict[str, str]:
    """Of ourselves and what we run on; the peers add theirs."""
    ours = {"aliasctl": version("milvus-alias-reconciler"), "Python": platform.python_version()}
    return ours | {name: version(name) for name in CLIENTS}


def _field(path: str, name: str) -> str:
    lines = Path(path).read_text().splitlines()
    return next(line.partition(":")[2].strip() for line in lines if line.startswith(name))

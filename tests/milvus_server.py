"""Runs a real Milvus 2.3.5 on this machine, no container, until SIGTERM or SIGINT.

    python -m venv /tmp/milvus && /tmp/milvus/bin/pip install milvus==2.3.5 'setuptools<81'
    /tmp/milvus/bin/python tests/milvus_server.py /tmp/milvus-data 19530 [authorization_enabled=true …]

Prints `ready http://127.0.0.1:PORT` when it answers, after some 8 s; then run the tests with
`MILVUS_URI=http://127.0.0.1:PORT`. One a machine: its embedded etcd always takes port 2380. After SIGTERM it needs some
seconds to end; wait for that before starting again on the same data.
"""

from __future__ import annotations

import signal
import sys
import threading

SETTING_VALUES = {"true": True, "false": False}


def main(base_dir: str, port: str, *settings: str) -> None:
    from milvus import MilvusServer

    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())

    server = MilvusServer()
    server.set_base_dir(base_dir)
    server.listen_port = int(port)
    for setting in settings:
        key, value = setting.split("=", 1)
        server.config.set(key, int(value) if value.isdigit() else SETTING_VALUES.get(value, value))
    server.start()
    try:
        print(f"ready http://127.0.0.1:{server.listen_port}", flush=True)
        stop.wait()
    finally:
        server.stop()


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])

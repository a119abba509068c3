"""A TCP connection to a port of this machine that can be cut."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress


class Wire:
    """A TCP proxy on loopback that can cut every connection, and then refuse, accept or swallow new ones.

    `to` is the port that new connections lead to. Where nobody listens there, they end at once.
    """

    def __init__(self, port: int) -> None:
        self.to = port
        self._sockets: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.uri = f"http://127.0.0.1:{self.port}"
        self.swallows = False
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self, *, refuse: bool = False) -> None:
        """End the connections there are; with `refuse` there will be no others."""
        for each in [*self._sockets, *([self._listener] if refuse else [])]:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                self._listener.close()
                return
            self._sockets.append(client)
            if not self.swallows:
                try:
                    server = socket.create_connection(("127.0.0.1", self.to))
                except OSError:
                    client.close()
                    continue
                self._sockets.append(server)
                threading.Thread(target=_pump, args=(client, server), daemon=True).start()
                threading.Thread(target=_pump, args=(server, client), daemon=True).start()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with source, sink, suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)

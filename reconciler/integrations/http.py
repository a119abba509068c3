"""A small HTTP client: one request, one answer, within a deadline, to the address that the connection names.

It stands on the standard library's `http.client`, because the libraries that we have (requests, httpx2) limit the time
between two bytes and not the whole, and look up the address by themselves, after any check of it.

- A request follows no redirect: its secret would go somewhere else.
- An address that only machines of the cloud provider have, such as that of instance metadata, is refused.
- An error names host and port, never the path, which can be secret, and never a header.
"""

from __future__ import annotations

import os
import socket
import ssl
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from http.client import HTTPConnection, HTTPException, IncompleteRead
from threading import Thread
from typing import Any, TypeAlias
from urllib.parse import SplitResult, unquote, urlsplit

from msgspec import Struct

from reconciler.core.errors import AliasctlError, IntegrationFailed, InvalidInput
from reconciler.core.model import HttpEndpoint, Tls
from reconciler.core.text import printable, shortened
from reconciler.credentials import Secrets, on_disk, pem_file, read_credential
from reconciler.files import KIB
from reconciler.integrations.addresses import refused
from reconciler.integrations.deadline import Channel, Deadline
from reconciler.proxy import proxy_variable
from reconciler.version import __version__

MAX_BYTES = 64 * KIB
"""Maximum size of an answer, unless the caller sets another one."""
MAX_TEXT = 300
"""Maximum length of text from an answer that is shown."""
CONNECT_SECONDS = 10.0
"""Maximum duration of a lookup, a connection and a TLS handshake each: only the wait for an answer ends when halted."""
_PORTS = {"http": 80, "https": 443}
Address: TypeAlias = tuple[int, tuple[Any, ...]]
"""A family, and an address of it: its first part is the IP address."""
_NO_SECRETS = "name env or file in the MilvusConnection"


class Response(Struct, frozen=True):
    """The answer of a system; `text` is for people: one printable line, without the secret."""

    status: int
    body: bytes
    text: str


class HttpClient:
    """Calls one system.

    Args:
        endpoint: its address and credentials.
        what: the system in messages, such as `hook "freeze"`.
        namespace: of the Kubernetes Secrets that the endpoint names.
        secrets: how Kubernetes Secrets are read; None if they cannot be.
        environment: has the variables of the proxy.
    """

    def __init__(
        self,
        endpoint: HttpEndpoint,
        what: str,
        *,
        namespace: str = "",
        secrets: Secrets | None = None,
        environment: Mapping[str, str] = os.environ,
    ) -> None:
        self._endpoint = endpoint
        self._what = what
        self._namespace = namespace
        self._secrets = secrets
        self._environment = environment
        self._secret: str | None = None

    @property
    def secret(self) -> str | None:
        """Return the token or signing key, read once; None if the endpoint has none. Raises `IntegrationFailed`."""
        if self._secret is None and (place := self._endpoint.secret):
            with self._clean_errors():
                self._secret = read_credential(place, "the secret", _NO_SECRETS, self._namespace, self._secrets)
        return self._secret

    def bearer(self) -> dict[str, str]:
        """Return the header that sends the secret as a token; none if there is no secret."""
        return {"Authorization": f"Bearer {self.secret}"} if self.secret else {}

    def get(self, path: str = "", *, headers: Mapping[str, str] = {}, max_bytes: int = MAX_BYTES) -> Response:
        """Send a GET; see `request`."""
        return self.request("GET", path, headers=headers, max_bytes=max_bytes)

    def post(
        self,
        body: bytes,
        *,
        headers: Mapping[str, str],
        path: str = "",
        max_bytes: int = MAX_BYTES,
        halted: Callable[[], bool] = lambda: False,
    ) -> Response:
        """Send a POST; see `request`."""
        return self.request("POST", path, body=body, headers=headers, max_bytes=max_bytes, halted=halted)

    def request(
        self,
        method: str,
        path: str = "",
        *,
        body: bytes | None = None,
        headers: Mapping[str, str] = {},
        max_bytes: int = MAX_BYTES,
        halted: Callable[[], bool] = lambda: False,
    ) -> Response:
        """Send one request, and return the answer whatever its status, except a redirect.

        Args:
            path: appended to that of the endpoint; can have a query, to which that of the endpoint is added.
            max_bytes: maximum size of the answer's body.
            halted: whether to give up waiting for the answer.

        Raises:
            IntegrationFailed: no answer in time, or none that can be used; `transient` if it may answer later.
        """
        deadline = Deadline(self._endpoint.timeout, halted)
        with self._clean_errors(), self._open(deadline) as (connection, prefix, extra):
            target = prefix + self._path(path)
            common = {"Accept-Encoding": "identity", "Connection": "close", "User-Agent": f"aliasctl/{__version__}"}
            connection.request(method, target, body=body, headers={**common, **extra, **headers})
            response = connection.getresponse()
            content = response.read(max_bytes + 1)
            if response.length and len(content) <= max_bytes:
                raise IncompleteRead(content)
        if len(content) > max_bytes:
            raise IntegrationFailed(f"{self.name} answers with more than {max_bytes // KIB} KiB")
        if 300 <= response.status < 400:
            message = f"{self.name} answers {response.status}, a redirect, which is not followed"
            raise IntegrationFailed(f"{message}; set uri to the final address")
        return Response(response.status, content, self.one_line(content.decode("utf-8", "replace")))

    def one_line(self, text: str, length: int = MAX_TEXT) -> str:
        """Return text of an answer for people: one line, without the secret, control characters as escapes."""
        if self._secret:
            text = text.replace(self._secret, "(secret)")
        return shortened(printable(" ".join(text[: 4 * length].split())), length)

    @property
    def name(self) -> str:
        """Return the system and its host, for messages."""
        return f"{self._what} at {printable(self._endpoint.host)}"

    @cached_property
    def _uri(self) -> SplitResult:
        """Return the parts of the address. Raises `IntegrationFailed`: it is none, as a plan file may have it."""
        try:
            uri = urlsplit(self._endpoint.uri)
            valid = uri.scheme in _PORTS and uri.hostname and uri.username is None and uri.port != 0
        except ValueError:  # of the port, or of an IPv6 address
            valid = False
        if not valid:
            raise IntegrationFailed(f"{self._what}: its uri is not http(s)://host[:port][/path]")
        return uri

    def _path(self, path: str) -> str:
        target = (self._uri.path.rstrip("/") if path else self._uri.path or "/") + path
        return f"{target}{'&' if '?' in target else '?'}{self._uri.query}" if self._uri.query else target

    @contextmanager
    def _clean_errors(self) -> Iterator[None]:
        """Turn what goes wrong into one error. Texts of the HTTP library can show headers, and so are left out."""
        try:
            yield
        except IntegrationFailed:
            raise
        except InvalidInput as error:
            raise IntegrationFailed(f"{self._what}: {error.in_one_line}") from None
        except AliasctlError as error:  # the Kubernetes API, which has the Secret, does not answer
            raise IntegrationFailed(f"{self._what}: {error}", transient=True) from None
        except TimeoutError:
            message = f"{self.name} did not answer in time (timeout: {self._endpoint.timeout:g} s)"
            raise IntegrationFailed(message, transient=True) from None
        except ssl.SSLCertVerificationError as error:
            reason = f"the certificate is not accepted: {error.verify_message}"
            raise IntegrationFailed(f"{self.name}: {reason}; check tls.caFile and tls.serverName") from None
        except ssl.SSLError as error:
            raise IntegrationFailed(f"{self.name}: no TLS connection: {error.reason or 'refused'}") from None
        except HTTPException as error:
            reason = f"no valid HTTP answer ({type(error).__name__})"
            raise IntegrationFailed(f"{self.name}: {reason}", transient=True) from None
        except OSError as error:
            reason = printable(error.strerror or type(error).__name__)
            raise IntegrationFailed(f"{self.name} cannot be reached: {reason}", transient=True) from None
        except (ValueError, UnicodeError):  # a header with a line break, whose text would show it
            reason = "the path or the secret has characters that no HTTP request can have"
            raise IntegrationFailed(f"{self.name}: {reason}") from None

    @contextmanager
    def _open(self, deadline: Deadline) -> Iterator[tuple[HTTPConnection, str, dict[str, str]]]:
        """Yield a connection, what stands before the path in a request, and headers for the proxy."""
        host, port = self._uri.hostname or "", self._uri.port or _PORTS[self._uri.scheme]
        proxy = self._proxy(host, port)
        headers = _proxy_headers(proxy)
        with self._connected(host, port, proxy, deadline) as plain:
            if self._uri.scheme == "http":
                yield _over(plain, host, port, deadline), f"http://{self._uri.netloc}" if proxy else "", headers
                return
            if proxy:
                _tunnel(plain, host, port, headers, deadline)
            with self._encrypted(plain, host, deadline) as encrypted:
                yield _over(encrypted, host, port, deadline), "", {}

    def _proxy(self, host: str, port: int) -> SplitResult | None:
        address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        variable = proxy_variable(address, self._environment)
        if not variable:
            return None
        value = self._environment[variable]
        proxy = urlsplit(value if "://" in value else f"http://{value}")
        if proxy.scheme != "http":
            raise IntegrationFailed(f"{self.name}: the proxy in {variable} must be http://host:port")
        return proxy

    def _connected(self, host: str, port: int, proxy: SplitResult | None, deadline: Deadline) -> socket.socket:
        """Connect to the proxy, or to a host by exactly those addresses of its name that were checked."""
        self._refuse(host)
        if proxy:
            return _connect(_addresses(proxy.hostname or "", proxy.port or 80, deadline), deadline)
        addresses = _addresses(host, port, deadline)
        for _, address in addresses:
            self._refuse(str(address[0]))
        return _connect(addresses, deadline)

    def _refuse(self, host: str) -> None:
        if reason := refused(host):
            raise IntegrationFailed(f"{self.name}: {reason}")

    def _encrypted(self, plain: socket.socket, host: str, deadline: Deadline) -> ssl.SSLSocket:
        settings = self._endpoint.tls or Tls()
        with on_disk(settings, self._namespace, self._secrets) as tls:
            ca, cert, key = (
                str(pem_file(credential, part, _NO_SECRETS)) if credential else None
                for credential, part in ((tls.ca, "ca"), (tls.cert, "cert"), (tls.key, "key"))
            )
            try:
                context = ssl.create_default_context(cafile=ca)
                if cert:
                    context.load_cert_chain(cert, key)
            except ssl.SSLError:
                raise IntegrationFailed(f"{self.name}: a PEM file of its tls settings cannot be used") from None
        plain.settimeout(deadline.left(CONNECT_SECONDS))
        return context.wrap_socket(plain, server_hostname=settings.server_name or host)


def _over(connected: socket.socket, host: str, port: int, deadline: Deadline) -> HTTPConnection:
    """Return an HTTP connection over a socket, which the caller closes."""
    connection = HTTPConnection(host, port)
    connection.sock = Channel(connected, deadline)
    return connection


def _tunnel(connected: socket.socket, host: str, port: int, headers: Mapping[str, str], deadline: Deadline) -> None:
    """Have a proxy connect to a server."""
    name = f"[{host}]" if ":" in host else host
    connection = _over(connected, host, port, deadline)
    connection.request("CONNECT", f"{name}:{port}", headers={"Host": f"{name}:{port}", **headers})
    status = connection.getresponse().status
    if status != 200:
        raise OSError(0, f"the proxy answers {status}")


def _connect(addresses: list[Address], deadline: Deadline) -> socket.socket:
    """Connect to the first address that answers; each may take its share of the time that is left."""
    for number, (family, address) in enumerate(addresses):
        connection = socket.socket(family, socket.SOCK_STREAM)
        try:
            connection.settimeout(deadline.left(CONNECT_SECONDS) / (len(addresses) - number))
            connection.connect(address)
        except OSError:
            connection.close()
            if number == len(addresses) - 1:
                raise
        else:
            return connection
    raise OSError(0, "no such host")


def _proxy_headers(proxy: SplitResult | None) -> dict[str, str]:
    if proxy is None or proxy.username is None:
        return {}
    credentials = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
    return {"Proxy-Authorization": f"Basic {b64encode(credentials.encode()).decode()}"}


def _addresses(host: str, port: int, deadline: Deadline) -> list[Address]:
    """Return the addresses of a host. The lookup has no timeout of its own, so it is abandoned if it takes too long."""
    found: list[Address] = []
    reasons: list[str] = []

    def look_up() -> None:
        try:
            found.extend((item[0], item[4]) for item in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except OSError as error:
            reasons.append(error.strerror or "no such host")
        except UnicodeError:
            reasons.append("no such host")

    lookup = Thread(target=look_up, daemon=True, name="lookup")
    lookup.start()
    lookup.join(deadline.left(CONNECT_SECONDS))
    if reasons:
        raise OSError(0, reasons[0])
    if lookup.is_alive():
        raise TimeoutError
    return found

"""Check a server: address, TLS, token, database, and what is known about its version."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

from reconciler.catalog import Catalog, lite_file
from reconciler.catalog.server_behaviour import STATE_VERSION, Realter, ServerBehaviour
from reconciler.catalog.server_version import OLDEST_SUPPORTED
from reconciler.core.errors import AuthenticationFailed, CatalogError, DatabaseNotFound, TlsFailed
from reconciler.core.model import Certainty, Connection, Credential
from reconciler.inspect.conditions import SERVER, Condition, Result, Subject
from reconciler.proxy import proxy_of

OTHER_DATABASE = "create it, or name another one in spec.database or --database"
TESTED = ("v2.3.5", "2.3.5", "milvus_lite-3.2")
GRPC_ROOTS = "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH"
REFRESHES = {
    Realter.HEALS: "stuck readers are refreshed by altering again, if possible",
    Realter.IGNORED: "stuck readers cannot be refreshed from here",
    Realter.NOT_NEEDED: "readers follow every move",
}


def server_conditions(connection: Connection, catalog: Catalog) -> Iterator[Condition]:
    """Yield the conditions of a server that accepted the connection and reported its version."""
    yield from _passed(connection, (Subject.ADDRESS, Subject.TLS, Subject.TOKEN))
    yield _version(catalog)


def database_condition(catalog: Catalog) -> Condition:
    """Check whether the database exists, by listing its collections, or its aliases if that is not permitted."""
    failure: CatalogError | None = None
    for read in (catalog.collections, catalog.alias_names):
        try:
            read()
        except DatabaseNotFound as error:
            return Condition(Subject.DATABASE, Result.MISSING, str(error), OTHER_DATABASE)
        except CatalogError as error:
            failure = failure or error
        else:
            return Condition(Subject.DATABASE, Result.OK, f'"{catalog.database}" exists')
    return Condition(Subject.DATABASE, Result.UNKNOWN, f"not checked: {failure}")


def failed_at(error: CatalogError, connection: Connection, subjects: Sequence[Subject]) -> list[Condition]:
    """Return the conditions of an unreachable server: those before the failure hold, later ones are unknown.

    `subjects`: of the conditions; those of an endpoint lack the database, which may be missing there all the same.
    """
    failed, remedy = _failed_subject(error, connection)
    place = SERVER.index(failed)
    before = [subject for subject in SERVER[:place] if subject in subjects]
    after = [subject for subject in subjects if subject not in SERVER[: place + 1]]
    return [
        *_passed(connection, before),
        Condition(failed, Result.MISSING, str(error), remedy),
        *(Condition(subject, Result.UNKNOWN, f"not checked, because of the {failed.words}") for subject in after),
    ]


def _failed_subject(error: CatalogError, connection: Connection) -> tuple[Subject, str]:
    match error:
        case TlsFailed():
            return Subject.TLS, _tls_remedy(error, connection)
        case AuthenticationFailed():
            if connection.token is None:
                return Subject.TOKEN, "give one: spec.token in the MilvusConnection, --token-env or --token-file"
            return Subject.TOKEN, f"check that the {_where(connection.token)} has a valid user:password or API key"
        case DatabaseNotFound():
            return Subject.DATABASE, OTHER_DATABASE
        case _:
            remedy = "check that the address is right, and that no firewall blocks it"
            plain = connection.uri.lower().startswith("http://")
            return Subject.ADDRESS, f"{remedy}; if the server speaks TLS only, write https://" if plain else remedy


def _tls_remedy(error: TlsFailed, connection: Connection) -> str:
    if not error.by_server:
        return "check that caFile contains the CA of the server's certificate, and that serverName is its name"
    if connection.tls is None or connection.tls.cert is None:
        return "give a client certificate: certFile, keyFile and caFile in spec.tls, or --tls-cert, --tls-key, --tls-ca"
    return "check that the client certificate is valid, and of an authority that the server trusts"


def _passed(connection: Connection, subjects: Sequence[Subject]) -> Iterator[Condition]:
    for subject in subjects:
        match subject:
            case Subject.ADDRESS:
                proxy = proxy_of(connection.address)
                through = f" through the proxy {proxy}" if proxy else ""
                yield Condition(subject, Result.OK, f"{connection.address} answers{through}")
            case Subject.TLS:
                yield _tls(connection)
            case Subject.TOKEN:
                yield _token(connection.token)
            case _:
                yield Condition(subject, Result.UNKNOWN, "not checked: the connection failed earlier")


def _token(token: Credential | None) -> Condition:
    if token is None:
        return Condition(Subject.TOKEN, Result.NOT_NEEDED, "none is given, and the server asks for none")
    detail = f"that of the {_where(token)} is not refused; a server without authorization takes any"
    return Condition(Subject.TOKEN, Result.OK, detail)


def _tls(connection: Connection) -> Condition:
    if lite_file(connection):
        return Condition(Subject.TLS, Result.NOT_NEEDED, "a local file")
    if not connection.uri.lower().startswith("https://"):
        traffic = "traffic, including the token," if connection.token else "traffic"
        return Condition(Subject.TLS, Result.NOT_NEEDED, f"off (http://): {traffic} is not encrypted")
    tls = connection.tls
    authority = f"the {_where(tls.ca)}" if tls and tls.ca else _default_authorities()
    name = f", as {tls.server_name}" if tls and tls.server_name else ""
    own = f"; ours, of the {_where(tls.cert)}, is not refused" if tls and tls.cert else ""
    return Condition(Subject.TLS, Result.OK, f"the server's certificate is verified by {authority}{name}{own}")


def _default_authorities() -> str:
    """Return which authorities gRPC trusts where none are given."""
    file = os.environ.get(GRPC_ROOTS)
    return f"the authorities in {file} ({GRPC_ROOTS})" if file else "the authorities that gRPC brings, not the system's"


def _where(credential: Credential) -> str:
    """Return where a credential is read from, never its content."""
    if credential.secret:
        return f"Secret {credential.secret.name}"
    return f"environment variable {credential.env}" if credential.env else f"file {credential.file}"


def _version(catalog: Catalog) -> Condition:
    reported, behaviour = catalog.server_version(), catalog.behaviour
    version = behaviour.version
    if version.highest < OLDEST_SUPPORTED and not behaviour.is_lite:
        return Condition(
            Subject.VERSION, Result.MISSING, f"{reported} cannot list its aliases", "upgrade to Milvus 2.3 or later"
        )
    if version.contradicted_by:
        detail = f"{reported}: they contradict each other, so every guard assumes the worse of both"
        return Condition(Subject.VERSION, Result.UNKNOWN, detail, STATE_VERSION)
    if not version.known and not behaviour.is_lite:
        detail = f"{reported} contains no Milvus version, so every guard assumes the worst case"
        return Condition(Subject.VERSION, Result.UNKNOWN, detail, STATE_VERSION)
    tested = "tested" if reported.startswith(TESTED) else "supported by its source code, not tested"
    handling = "one call at a time" if behaviour.one_call_at_a_time else REFRESHES[behaviour.realter]
    return Condition(Subject.VERSION, Result.OK, f"{reported} ({tested}); {handling}")


def known_problems(behaviour: ServerBehaviour) -> Iterator[str]:
    """Yield the known faults of a server, each with its remedy; those it may have as possible ones."""
    for row, certainty in behaviour.known_problems():
        yield row.problem if certainty is Certainty.YES else f"possibly: {row.problem}"

"""`aliasctl sync`."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import click
from platformdirs import user_state_path

from reconciler.cli import inputs, options, output
from reconciler.core.errors import AliasctlError, UsageError
from reconciler.core.model import Credential
from reconciler.git import Access, Signers
from reconciler.manifest import Overrides
from reconciler.render.text import report_lines
from reconciler.service.logging import LEVELS, configure_logging

_existing_file = click.Path(dir_okay=False, path_type=Path)


@click.command()
@click.argument("repository", metavar="REPO", type=options.word)
@click.option("--ref", default="main", show_default=True, type=options.word, help="A branch, tag, full ref or commit.")
@click.option("--path", default="", metavar="PATH", help="The folder or file of the manifests in the repository.")
@click.option(
    "--connections",
    required=True,
    type=options.file_path,
    metavar="PATH",
    help="The MilvusConnections, in a file or folder outside of the repository.",
)
@click.option("--connection", type=options.word, metavar="NAME", help="Use this MilvusConnection for every set.")
@click.option("--database", type=options.word, metavar="NAME", help="Use this database for every set.")
@click.option("--interval", type=options.duration, default="60s", show_default=True, metavar="DURATION")
@click.option("--once", is_flag=True, help="Look once, apply, and end with the exit code that apply would have.")
@click.option("--git-username", default="git", show_default=True, metavar="NAME", help="Goes with the token.")
@click.option(
    "--git-token-env", type=options.word, metavar="NAME", help="Environment variable with a token for http(s)."
)
@click.option("--git-token-file", type=options.file_path, metavar="FILE", help="File with a token for http(s).")
@click.option("--git-ca", type=_existing_file, metavar="FILE", help="PEM file of the server's certificate authority.")
@click.option("--ssh-key", type=_existing_file, metavar="FILE", help="Private key, such as a deploy key.")
@click.option("--ssh-known-hosts", type=_existing_file, metavar="FILE", help="Host keys to expect, and no others.")
@click.option(
    "--allowed-signers",
    type=_existing_file,
    metavar="FILE",
    help="Apply only commits signed by these SSH keys (ssh-keygen's ALLOWED SIGNERS).",
)
@click.option(
    "--openpgp-keys", type=_existing_file, metavar="FILE", help="Apply only commits signed by these OpenPGP keys."
)
@click.option(
    "--max-fetch-mib", type=click.IntRange(min=1), default=256, show_default=True, help="Most that a fetch may write."
)
@click.option(
    "--state",
    type=options.file_path,
    metavar="DIR",
    help="Folder of the mirror, for this agent alone; by default in the user's state folder.",
)
@options.journal_option
@click.option(
    "--listen",
    default="127.0.0.1:8080",
    show_default=True,
    metavar="HOST:PORT",
    help="For /healthz, /readyz, /metrics, /status and /hook.",
)
@click.option("--webhook-secret-env", type=options.word, metavar="NAME", help="Take webhooks signed with this secret.")
@click.option("--webhook-secret-file", type=options.file_path, metavar="FILE", help="The same, from a file.")
@click.option("--log-format", type=click.Choice(["json", "console"]), default="json", show_default=True)
@click.option("--log-level", type=click.Choice(LEVELS), default="info", show_default=True)
def sync(
    repository: str,
    ref: str,
    path: str,
    connections: Path,
    connection: str | None,
    database: str | None,
    interval: float,
    once: bool,
    git_username: str,
    git_token_env: str | None,
    git_token_file: Path | None,
    git_ca: Path | None,
    ssh_key: Path | None,
    ssh_known_hosts: Path | None,
    allowed_signers: Path | None,
    openpgp_keys: Path | None,
    max_fetch_mib: int,
    state: Path | None,
    journal: Path | None,
    listen: str,
    webhook_secret_env: str | None,
    webhook_secret_file: Path | None,
    log_format: str,
    log_level: str,
) -> int:
    """Follow a Git repository: make Milvus what the manifests at a ref say, and keep it so, until stopped.

    Needs git, and the extra [git].

    \b
      aliasctl sync https://git.example.com/search.git --path aliases/ --connections connections.yaml
      aliasctl sync git@git.example.com:search.git --ssh-key deploy_key --connections connections.yaml --once
    """
    if find_spec("prometheus_client") is None:
        raise AliasctlError("sync needs prometheus_client: pip install '.[git]' in a clone of aliasctl")
    from reconciler.sync.main import Sync
    from reconciler.sync.settings import Settings, key_of

    color = output.console(stderr=True).color_system is not None
    configure_logging("console" if log_format == "console" else "json", log_level, color=color)
    token = _secret(git_token_env, git_token_file, "--git-token")
    path = path.rstrip("/")
    settings = Settings(
        access=Access(repository, git_username, token, ssh_key, ssh_known_hosts, git_ca),
        ref=ref,
        path=path,
        connections=connections,
        overrides=Overrides(connection=connection, database=database),
        signers=Signers(allowed_signers, openpgp_keys),
        interval=interval,
        state=(state or user_state_path("aliasctl") / "sync" / key_of(repository, ref, path)).absolute(),
        max_fetch_mib=max_fetch_mib,
    )
    agent = Sync(settings, inputs.journal(journal))
    if not once:
        agent.run(listen, _secret(webhook_secret_env, webhook_secret_file, "--webhook-secret"))
        return 0
    finding = agent.once()
    if (report := finding.report) and report.plan.steps:
        for line in report_lines(report):
            click.echo(line.plain)
    return finding.exit_code


def _secret(env: str | None, file: Path | None, flag: str) -> Credential | None:
    if env and file:
        raise UsageError(f"give either {flag}-env or {flag}-file")
    if env:
        return Credential(env=env)
    return Credential(file=str(file.absolute())) if file else None

"""`aliasctl sync`: the Git sync agent."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import click
from platformdirs import user_state_path

from reconciler.cli import inputs, options, values
from reconciler.cli.help_page import Command
from reconciler.cli.output import Output
from reconciler.core.errors import AliasctlError, UsageError
from reconciler.core.model import Credential
from reconciler.git import Access, Signers
from reconciler.manifest import Overrides
from reconciler.render.results import report_result
from reconciler.service.logging import configure_logging
from reconciler.sync.settings import Settings, key_of

_PATH = click.Path(dir_okay=False, path_type=Path)


def _git_token(git_token_env: str | None, git_token_file: Path | None) -> Credential | None:
    return _secret("--git-token", git_token_env, git_token_file)


def _webhook_secret(webhook_secret_env: str | None, webhook_secret_file: Path | None) -> Credential | None:
    return _secret("--webhook-secret", webhook_secret_env, webhook_secret_file)


def _secret(flag: str, env: str | None, file: Path | None) -> Credential | None:
    if env and file:
        raise UsageError(f"give either {flag}-env or {flag}-file")
    if env:
        return Credential(env=env)
    return Credential(file=str(file.absolute())) if file else None


def _settings(
    access: Access,
    ref: str,
    path: str,
    connections: Path,
    overrides: Overrides,
    signers: Signers,
    interval: float,
    state: Path | None,
    max_fetch_mib: int,
    publish: Path | None,
) -> Settings:
    path = "/".join(part for part in path.rstrip("/").split("/") if part != ".")  # "." and "./aliases" are usual
    key = key_of(access.url, ref, path)
    state = state or inputs.in_state_folder(
        lambda: user_state_path("aliasctl") / "sync" / key, "the agent's folder with --state"
    )
    return Settings(
        access, ref, path, connections, overrides, signers, interval, state.absolute(), max_fetch_mib, publish
    )


access_options = options.option_group(
    "access",
    Access,
    click.argument("url", metavar="REPO", type=values.file_name),
    options.name_option(
        "--git-username", "username", default="git", show_default=True, help="User that the token belongs to."
    ),
    options.option_group(
        "token",
        _git_token,
        options.variable_option("--git-token-env", help="Environment variable with a token for http(s)."),
        options.file_option("--git-token-file", type=values.file_path, help="File with a token for http(s)."),
    ),
    options.file_option("--git-ca", "ca", type=_PATH, help="PEM file of the server's certificate authority."),
    options.file_option("--ssh-key", type=_PATH, help="Private key, such as a deploy key."),
    options.file_option("--ssh-known-hosts", "known_hosts", type=_PATH, help="Host keys to expect, and no others."),
)
signer_options = options.option_group(
    "signers",
    Signers,
    options.file_option(
        "--allowed-signers",
        type=_PATH,
        help="Apply only commits signed by these SSH keys (ssh-keygen's ALLOWED SIGNERS).",
    ),
    options.file_option(
        "--openpgp-keys", "keyring", type=_PATH, help="Apply only commits signed by these OpenPGP keys."
    ),
)
webhook_options = options.option_group(
    "webhook_secret",
    _webhook_secret,
    options.variable_option("--webhook-secret-env", help="Accept webhooks signed with the secret in this variable."),
    options.file_option(
        "--webhook-secret-file",
        type=values.file_path,
        help="Accept webhooks signed with the secret in this file.",
    ),
)


@click.command("sync", cls=Command)
@options.option_group(
    "settings",
    _settings,
    access_options,
    options.name_option("--ref", default="main", show_default=True, help="Branch, tag, full ref or commit."),
    click.option("--path", default="", metavar="PATH", help="Folder or file of the manifests in the repository."),
    click.option(
        "--connections",
        required=True,
        type=values.file_path,
        metavar="PATH",
        help="File or folder of the MilvusConnections, outside the repository.",
    ),
    options.set_target_options,
    signer_options,
    click.option(
        "--interval",
        type=values.duration(),
        default="60s",
        show_default=True,
        metavar="DURATION",
        help="Time between two reconciliations.",
    ),
    click.option(
        "--state",
        type=values.file_path,
        metavar="DIR",
        help="Folder of the mirror, for this agent alone; by default in the user's state folder.",
    ),
    click.option(
        "--max-fetch-mib",
        type=click.IntRange(min=1),
        default=256,
        show_default=True,
        metavar="N",
        help="Maximum size of a fetch, in MiB.",
    ),
    options.publish_option,
)
@click.option("--once", is_flag=True, help="Reconcile once, and exit with the code that apply would have.")
@options.journal_option
@options.listen_option("127.0.0.1:8080", help="Address of /, /healthz, /readyz, /metrics, /status and /hook.")
@options.allow_host_option
@options.no_status_page_option
@webhook_options
@options.log_options("json", "info", configure_logging)
@click.pass_obj
def command(
    output: Output,
    settings: Settings,
    once: bool,
    journal: Path | None,
    listen: str,
    allow_hosts: tuple[str, ...],
    no_status_page: bool,
    webhook_secret: Credential | None,
) -> int:
    """Run the Git sync agent.

    It reconciles Milvus with the manifests at a ref of a Git repository until it is stopped. Needs git, and the extra
    [git].

    \b
    Examples:
      aliasctl sync https://git.example.com/search.git --path aliases/ \\
        --connections connections.yaml
      aliasctl sync git@git.example.com:search.git --ssh-key deploy_key \\
        --connections connections.yaml --once
    """
    if find_spec("prometheus_client") is None:
        raise AliasctlError("sync needs prometheus_client: pip install '.[git]' in a clone of aliasctl")
    from reconciler.sync.main import Sync

    agent = Sync(settings, inputs.journal(journal))
    if not once:
        agent.run(listen, webhook_secret, allow_hosts=allow_hosts, with_status_page=not no_status_page)
        return 0
    finding = agent.once()
    if (report := finding.report) and report.plan.steps:
        output.print(report_result(report))
    return finding.exit_code

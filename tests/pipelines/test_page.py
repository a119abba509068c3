"""What docs/pipelines.md says to do in one's repository, done in order in one, with this project cloned beside it."""

from __future__ import annotations

from tests.cli.shop import Shop
from tests.docs.test_commands import ROOT, blocks
from tests.install.tools import kubectl
from tests.pipelines.forge import READ_TOKEN, run_script, runner_environment
from tests.pipelines.repository import IDENTITY
from tests.pipelines.shell import Shell


def test_every_command_for_ones_own_repository_works_in_order(shell: Shell, shop: Shop) -> None:
    kubectl()
    mine = shell.repository.mine
    shell.repository.want({"products": "v2"})
    (mine.parent / "milvus-alias-reconciler").symlink_to(ROOT)
    settings = [pair.partition("=") for pair in IDENTITY[1::2]]
    told = {f"GIT_CONFIG_KEY_{number}": name for number, (name, _, _) in enumerate(settings)}
    told |= {f"GIT_CONFIG_VALUE_{number}": value for number, (_, _, value) in enumerate(settings)}
    environment = {**runner_environment(shell.folder), **told, "GIT_CONFIG_COUNT": str(len(settings))}
    script = "\n".join(text for _, text in blocks(ROOT / "docs" / "pipelines.md", "shell"))
    code, log = run_script(script, mine, {**environment, "MILVUS_TOKEN": READ_TOKEN}, "bash", "-euo", "pipefail")
    assert (code, shop.live) == (0, {"products": "v2"}), log

"""One set through dev, staging and prod: what kustomize builds of the shipped overlays is what aliasctl plans."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml

from tests.cli.command import run
from tests.cli.shop import Shop, alias_set, manifest
from tests.install.tools import kubectl, output
from tests.pipelines.forge import runner_environment
from tests.pipelines.repository import Repository
from tests.pipelines.shell import Shell

ENVIRONMENTS = Path(__file__).parents[2] / "manifests" / "environments"
LIVE = {"search_products": "products_v1", "search_reviews": "reviews_v1"}
EXPECTED = {
    "dev": {"search_products": "products_v7", "search_reviews": "reviews_v3"},
    "staging": {"search_products": "products_v7", "search_reviews": "reviews_v2"},
    "prod": {"search_products": "products_v6", "search_reviews": "reviews_v2"},
}


def export(folder: Path, connection: str, database: str = "default") -> None:
    """What is live there, so that these servers are not asked."""
    live = alias_set(LIVE, connectionRef={"name": connection}, database=database)
    (folder / "export.yaml").write_text(manifest(live))


@pytest.mark.parametrize("environment", EXPECTED)
def test_an_overlay_plans_its_own_collections_on_its_own_server(environment: str, tmp_path: Path) -> None:
    built = output(kubectl(), "kustomize", ENVIRONMENTS / environment)
    assert run("validate", "--strict", "-f", "-", cwd=tmp_path, text=built).code == 0
    export(tmp_path, environment)
    planned = run("plan", "-f", "-", "--against", "export.yaml", "--format", "json", cwd=tmp_path, text=built)
    (target,) = planned.document["targets"]
    assert target["address"] == f"milvus.{environment}.example.com:19530"
    assert target["connection"]["token"] == {"env": f"MILVUS_{environment.upper()}_TOKEN"}
    assert {step["alias"]: step["to"] for step in target["steps"]} == EXPECTED[environment]


def test_an_overlay_that_forgets_a_collection_does_not_build(tmp_path: Path) -> None:
    shutil.copytree(ENVIRONMENTS, tmp_path / "environments")
    collections = tmp_path / "environments" / "prod" / "collections.yaml"
    collections.write_text(collections.read_text().replace("  search_reviews: reviews_v2\n", ""))
    built = subprocess.run(
        [kubectl(), "kustomize", collections.parent], capture_output=True, text=True, timeout=60, check=False
    )
    assert built.returncode != 0
    assert "search_reviews" in built.stderr


@pytest.mark.parametrize("environment", EXPECTED)
def test_one_file_serves_every_environment_with_two_flags(environment: str, tmp_path: Path) -> None:
    export(tmp_path, environment, "search")
    flags = ("--connection", environment, "--database", "search")
    files = ("-f", str(ENVIRONMENTS / "one-file"), "--against", "export.yaml")
    planned = run("plan", *files, *flags, "--format", "json", cwd=tmp_path)
    (target,) = planned.document["targets"]
    assert (target["address"], target["database"]) == (f"milvus.{environment}.example.com:19530", "search")


def test_an_overlay_goes_through_a_pipeline_under_a_key_of_its_own(shell: Shell, shop: Shop) -> None:
    kubectl()
    for collection in ("products_v6", "products_v7", "reviews_v2"):
        shop.admin.create_collection(collection, shop.database)
    shop.point(search_products="products_v6", search_reviews="reviews_v2")
    repository = shell.repository
    adopt(repository, shop)
    shell.given = {"ALIASCTL_CI_KUSTOMIZE": "aliases/prod", "ALIASCTL_CI_TARGET": f"--database {shop.database}"}
    repository.switch("promote")
    collections = repository.mine / "aliases" / "prod" / "collections.yaml"
    collections.write_text(collections.read_text().replace("products_v6", "products_v7"))
    repository.commit("products_v7 goes to production")
    reviewed = shell.review("promote")
    assert reviewed.code == 0, reviewed.log
    (kept,) = shell.plans.glob("*.json")
    assert re.fullmatch("[0-9a-f]{40}-prod-[0-9a-f]{12}", kept.stem)
    assert json.loads(kept.read_text())["targets"][0]["connection"]["name"] == "prod"
    applied = shell.merged(repository.merge("promote", "squash"))
    assert applied.code == 0, applied.log
    assert shop.live == {"products": "v1", "search_products": "products_v7", "search_reviews": "reviews_v2"}


def test_overlays_whose_folders_have_the_same_name_have_keys_of_their_own(shell: Shell, tmp_path: Path) -> None:
    mine = shell.repository.mine
    command = ["ci/aliasctl-ci", "key"]
    keys = [
        subprocess.run(
            command,
            cwd=mine,
            env={**runner_environment(tmp_path), "ALIASCTL_CI_KUSTOMIZE": overlay},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for overlay in ("aliases/team-a/prod", "aliases/team-b/prod", "aliases/team-a/prod")
    ]
    assert all(re.fullmatch("[0-9a-f]{40}-prod-[0-9a-f]{12}", key) for key in keys)
    assert (keys[0] == keys[2], keys[0] == keys[1]) == (True, False)


def adopt(repository: Repository, shop: Shop) -> None:
    """The shipped overlays in place of the repository's manifests, with this server in place of prod's."""
    (repository.mine / "aliases" / "shop.yaml").unlink()
    shutil.copytree(ENVIRONMENTS, repository.mine / "aliases", dirs_exist_ok=True)
    path = repository.mine / "aliases" / "prod" / "connection.yaml"
    connection = yaml.safe_load(path.read_text())
    connection["spec"] = {"uri": shop.uri, "token": {"env": "MILVUS_TOKEN"}}
    path.write_text(yaml.safe_dump(connection))
    repository.commit("Environments")
    repository.push()


def test_prefixes_and_generated_names_reach_every_reference_with_the_shipped_configuration(tmp_path: Path) -> None:
    shutil.copy(ENVIRONMENTS.parent / "kustomize" / "name-reference.yaml", tmp_path)
    keys = ("caSecretKeyRef", "certSecretKeyRef", "keySecretKeyRef")
    secret = {"name": "milvus", "key": "content"}
    spec = {
        "uri": "https://milvus:19530",
        "token": {"secretKeyRef": secret},
        "tls": dict.fromkeys(keys, secret),
    }
    search = {
        "connectionRef": {"name": "lab"},
        "verify": {"propagation": {"timeout": "10s"}, "endpoints": [{"name": "proxy"}]},
        "aliases": [{"name": "products", "collection": "products_v1"}],
    }
    documents = [document("MilvusConnection", name, spec) for name in ("lab", "proxy")]
    documents.append(document("AliasSet", "search", search))
    (tmp_path / "all.yaml").write_text(yaml.safe_dump_all(documents))
    kustomization = {
        "resources": ["all.yaml"],
        "namePrefix": "dev-",
        "secretGenerator": [{"name": "milvus", "literals": ["content=x"]}],
        "configurations": ["name-reference.yaml"],
    }
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
    built = list(yaml.safe_load_all(output(kubectl(), "kustomize", tmp_path)))
    by_name = {item["metadata"]["name"]: item for item in built}
    (generated,) = (name for name, item in by_name.items() if item["kind"] == "Secret")
    assert generated.startswith("dev-milvus-")
    made = by_name["dev-lab"]["spec"]
    assert made["token"]["secretKeyRef"]["name"] == generated
    assert {made["tls"][key]["name"] for key in keys} == {generated}
    made = by_name["dev-search"]["spec"]
    assert (made["connectionRef"]["name"], made["verify"]["endpoints"][0]["name"]) == ("dev-lab", "dev-proxy")


def document(kind: str, name: str, spec: Mapping[str, object]) -> dict[str, object]:
    return {"apiVersion": "aliasctl.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec}

"""What is read, from where, and what becomes of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from io import BytesIO, StringIO
from pathlib import Path

import pytest

from reconciler.core.errors import InvalidInput
from reconciler.core.gates import Gates, OnUnknown
from reconciler.core.model import Alias, Credential, Limits, OnFailure, Propagation, Scope, SecretKeyRef, Tls, Verify
from reconciler.gates import GATES, decode_gates
from reconciler.gates.canary import CanaryGate
from reconciler.gates.contract import ContractGate
from reconciler.gates.indexed import IndexedGate
from reconciler.gates.loaded import LoadedGate
from reconciler.gates.rows import RowsGate
from reconciler.gates.schema import SchemaGate
from reconciler.gates.schema_changes import SchemaPolicy
from reconciler.manifest import Manifests, check, load, read

REPOSITORY = Path(__file__).parents[2]
API = "apiVersion: aliasctl.dev/v1alpha1\n"
CONNECTION = API + "kind: MilvusConnection\nmetadata: {name: prod}\nspec: {uri: http://milvus}\n"
SET = API + "kind: AliasSet\nmetadata: {name: search}\nspec: {connectionRef: {name: prod}}\n"
FOREIGN = "apiVersion: v1\nkind: ConfigMap\ndata: {no: 1, on: 2, no: 3, since: 2026-01-01, <<: x}\n"


def text(content: str) -> Manifests:
    return read(["-"], stdin=BytesIO(content.encode()))


def problems(*paths: str | Path) -> list[str]:
    with pytest.raises(InvalidInput) as refusal:
        read(paths)
    return str(refusal.value).splitlines()


@pytest.mark.parametrize("folder", ["manifests/examples", "manifests/quickstart", "manifests/canary"])
def test_examples_are_valid(folder: str) -> None:
    manifests = read([REPOSITORY / folder])
    assert manifests.sets
    assert manifests.connections
    assert check(manifests, strict=True) == ()


def test_everything_a_connection_can_say(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(
        API + "kind: MilvusConnection\nmetadata: {name: prod, namespace: team}\nspec:\n"
        "  uri: https://Milvus.Example.com\n  token: {file: secrets/token}\n"
        "  tls: {caFile: ../ca.pem, certSecretKeyRef: {name: c, key: tls.crt}, keyFile: /k.pem, serverName: milvus}\n"
        "  timeout: 1m30.5s\n  concurrency: 2\n"
    )
    [connection] = read([tmp_path / "c.yaml"]).connections.values()
    assert (connection.namespace, connection.name) == ("team", "prod")
    assert (connection.uri, connection.address) == ("https://milvus.example.com:443", "milvus.example.com:443")
    assert connection.token == Credential(file=str(tmp_path / "secrets/token"))
    assert connection.tls == Tls(
        ca=Credential(file=str(tmp_path / "../ca.pem")),
        cert=Credential(secret=SecretKeyRef("c", "tls.crt")),
        key=Credential(file="/k.pem"),
        server_name="milvus",
    )
    assert (connection.timeout, connection.concurrency) == (90.5, 2)
    assert str(connection.source) == f"{tmp_path}/c.yaml:3:18"


def test_everything_a_set_can_say() -> None:
    [item] = text(
        API + "kind: AliasSet\nmetadata: {name: search, namespace: team}\nspec:\n"
        "  connectionRef: {name: prod}\n  database: shop\n"
        "  scope: {include: [a*, b?], exclude: [ab], protect: [aa]}\n"
        "  aliases:\n"
        "  - {name: a, collection: x, wave: 2, protect: true}\n"
        "  - {name: b, state: Absent}\n"
        "  - {name: c, collection: y, gates: {loaded: {enabled: false}}}\n"
        "  limits: {maxDrops: 0, maxChangePercent: 12.5, allowEmpty: true}\n"
        "  gates: {loaded: {replicas: 2}, onUnknown: Pass}\n"
        "  verify: {propagation: {timeout: 1m}, endpoints: [{name: proxy-1}, {name: proxy-2}], soak: 1h30m}\n"
        "  onFailure: Revert\n"
        "  suspend: true\n"
    ).sets
    gates = Gates(LoadedGate(replicas=2), on_unknown=OnUnknown.PASS)
    assert (item.namespace, item.name, item.connection_name, item.database) == ("team", "search", "prod", "shop")
    assert item.aliases == (
        Alias("a", "x", wave=2, protect=True, gates=gates),
        Alias("b", None, gates=gates),
        Alias("c", "y", gates=Gates(LoadedGate(enabled=False), on_unknown=OnUnknown.PASS)),
    )
    assert [str(alias.source) for alias in item.aliases] == ["<stdin>:9:12", "<stdin>:10:12", "<stdin>:11:12"]
    assert item.scope == Scope(("a*", "b?"), ("ab",), ("aa",))
    assert item.limits == Limits(max_drops=0, max_change_percent=12.5, allow_empty=True)
    assert item.verify == Verify(propagation=Propagation(60.0), soak=5400.0)
    assert {name: str(place) for name, place in item.endpoints.items()} == {
        "proxy-1": "<stdin>:14:59",
        "proxy-2": "<stdin>:14:76",
    }
    assert item.on_failure is OnFailure.REVERT
    assert item.suspend
    assert (str(item.source), str(item.connection_source)) == ("<stdin>:3:18", "<stdin>:5:25")


def test_what_a_set_does_not_say_has_its_default() -> None:
    [item] = text(SET).sets
    assert (item.namespace, item.database, item.aliases, item.suspend) == ("", None, (), False)
    assert (item.scope, item.limits) == (Scope(), Limits())
    assert (item.verify, item.endpoints, item.on_failure) == (Verify(), {}, OnFailure.STOP)
    [item] = text(SET.replace("}}", "}, aliases: [{name: a, collection: b}]}")).sets
    assert item.aliases[0].gates == Gates()


ALL_GATES = """
    loaded: {replicas: 2}
    indexed: {}
    schema: {policy: Identical, allowChanges: [title, $meta, body, title]}
    rows: {min: 1000, max: 2e3, minPercentOfCurrent: 95, maxPercentOfCurrent: 120.5}
    contract: {properties: {version: "3", embedding_model: bge-m3}}
    canary: {k: 5, minOverlap: 1, maxLatencyRatio: 2, sample: 50, field: embedding}
"""


def gates(of_the_set: str, of_the_alias: str = "{}") -> Gates:
    """The gates of an alias of a set."""
    spec = f"}}\n  gates: {of_the_set}\n  aliases: [{{name: a, collection: b, gates: {of_the_alias}}}]\n"
    [item] = text(SET.replace("spec: {", "spec:\n  ").replace("}}", spec)).sets
    return item.aliases[0].gates


def test_everything_gates_can_say() -> None:
    every = gates(ALL_GATES)
    assert every == Gates(
        LoadedGate(replicas=2),
        IndexedGate(),
        RowsGate(1000, 2000, 95.0, 120.5),
        SchemaGate(SchemaPolicy.IDENTICAL, frozenset({"$meta", "body", "title"})),
        ContractGate({"embedding_model": "bge-m3", "version": "3"}),
        CanaryGate(1.0, k=5, max_latency_ratio=2.0, sample=50, field="embedding"),
    )
    assert decode_gates(json.loads(json.dumps(every.specification()))) == every, "as a saved plan has them"


def test_what_gates_do_not_say_has_its_default() -> None:
    assert gates("{schema: {}, rows: {max: 7}, canary: {minOverlap: 0.5}}") == Gates(
        SchemaGate(SchemaPolicy.COMPATIBLE),
        RowsGate(max=7),
        CanaryGate(0.5, k=10, sample=20),
    )
    [item] = text(SET.replace("}}", "}, verify: {propagation: {}}}")).sets
    assert item.verify == Verify(propagation=Propagation(30.0))


def test_the_same_number_is_the_same_wish_however_it_is_written() -> None:
    item, other = (
        gates(f"{{rows: {{min: {whole}, minPercentOfCurrent: {percent}}}, canary: {{minOverlap: {overlap}}}}}")
        for whole, percent, overlap in (("1000", "95", "1"), ("1e3", "95.0", "1.0"))
    )
    assert json.dumps(item.specification()) == json.dumps(other.specification())


def test_an_alias_has_gates_of_its_own_instead_of_those_of_the_set_by_that_name() -> None:
    own = gates(ALL_GATES, "{rows: {min: 1}, schema: {}}")
    assert (own.get(RowsGate), own.get(SchemaGate)) == (RowsGate(min=1), SchemaGate())
    assert own.get(CanaryGate) == gates(ALL_GATES).get(CanaryGate)


@pytest.mark.parametrize("name", GATES)
def test_a_gate_can_be_off(name: str) -> None:
    """With nothing else said about it, or all of it; for the whole set, or one alias."""
    others = [settings for gate, settings in gates(ALL_GATES).settings.items() if gate != name]
    all_but_one = Gates(*others, *([LoadedGate(enabled=False)] if name == "loaded" else []))
    assert not all_but_one.has(name)
    assert gates(ALL_GATES, f"{{{name}: {{enabled: false}}}}") == all_but_one
    turned_off = ALL_GATES.replace(f"{name}: {{", f"{name}: {{enabled: false, ").replace(", }", "}")
    assert gates(turned_off) == all_but_one


def test_what_kubectl_exports_is_read() -> None:
    exported = """
apiVersion: v1
kind: List
metadata: {resourceVersion: ""}
items:
- apiVersion: aliasctl.dev/v1alpha1
  kind: AliasSet
  metadata:
    annotations:
      kubectl.kubernetes.io/last-applied-configuration: |
        {"apiVersion":"aliasctl.dev/v1alpha1","kind":"AliasSet"}
    creationTimestamp: "2026-11-22T13:50:00Z"
    finalizers: [aliasctl.dev/orphan]
    generation: 3
    managedFields: [{manager: kubectl, fieldsV1: {"f:spec": {}}}]
    name: search
    namespace: team
    ownerReferences: [{kind: Application, name: x}]
    resourceVersion: "42"
    uid: 8a2c
  spec: {connectionRef: {name: prod}}
  status: {observedGeneration: 3, conditions: []}
- {apiVersion: v1, kind: Secret}
- apiVersion: aliasctl.dev/v1alpha1
  kind: AliasSet
  metadata: {name: other}
  spec: {connectionRef: {nam: prod}}
"""
    with pytest.raises(InvalidInput) as refusal:
        text(exported)
    assert str(refusal.value) == '<stdin>:27:26: unknown field "nam"; did you mean "name"?'
    manifests = text(exported.replace("nam:", "name:"))
    assert [alias_set.name for alias_set in manifests.sets] == ["search", "other"]
    assert manifests.skipped == 1


def test_anchors_stand_for_what_they_name() -> None:
    [item] = text(
        SET.replace(
            "}}",
            "}, scope: {include: &names [a*]}, gates: &g {loaded: {}}, aliases: [{name: b, collection: c, gates: *g}]}",
        )
    ).sets
    assert item.aliases[0].gates.get(LoadedGate) == LoadedGate()


def test_json_may_have_tabs_and_a_mark(tmp_path: Path) -> None:
    document = {"apiVersion": "aliasctl.dev/v1alpha1", "kind": "AliasSet", "metadata": {"name": "search"}}
    document |= {"spec": {"connectionRef": {"name": "prod"}, "limits": {"maxDrop": 1}}}
    (tmp_path / "s.json").write_text("\ufeff" + json.dumps(document, indent="\t"))
    assert problems(tmp_path / "s.json") == [
        f'{tmp_path}/s.json:12:4: unknown field "maxDrop"; did you mean "maxDrops"?'
    ]


def test_folders_are_read_whole_and_in_order(tmp_path: Path) -> None:
    for number, name in enumerate(
        ["b/z.yml", "b/a.json", "c.yaml", "a.txt", ".git/x.yaml", ".hidden.yaml", "b/.x/y.yaml"]
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(
            SET.replace("search", f"s{number}") if number != 1 else json.dumps({"kind": "Plan", "formatVersion": 1})
        )
    (tmp_path / "b/loop").symlink_to(tmp_path)
    os.mkfifo(tmp_path / "pipe.yaml")
    (tmp_path / "empty.yaml").write_text("# nothing\n---\n")
    (tmp_path / "foreign.yaml").write_text(FOREIGN)
    manifests = read([tmp_path])
    assert [alias_set.name for alias_set in manifests.sets] == ["s2", "s0"]
    assert manifests.skipped == 2, "the plan and the ConfigMap"


def test_a_file_counts_once_however_often_it_is_named(tmp_path: Path) -> None:
    file = tmp_path / "s.yaml"
    file.write_text(SET)
    (tmp_path / "link.yaml").symlink_to(file)
    again = tmp_path / ".." / tmp_path.name / "s.yaml"
    for paths in ([tmp_path, file, again], [again, tmp_path], [tmp_path, tmp_path, file]):
        assert len(read(paths).sets) == 1


def test_paths_that_lead_nowhere_are_told_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    Path("foreign").mkdir()
    Path("foreign/x.yaml").write_text(FOREIGN)
    Path("dangling").mkdir()
    Path("dangling/x.yaml").symlink_to("nowhere")
    Path("s.yaml").write_text(SET)
    assert problems("missing", "empty", "foreign", "foreign/x.yaml", "dangling", "s.yaml/x", "n" * 300, "s.yaml") == [
        "dangling: no document of aliasctl.dev/v1alpha1 in this folder",
        "empty: no document of aliasctl.dev/v1alpha1 in this folder",
        "foreign: no document of aliasctl.dev/v1alpha1 in this folder",
        "foreign/x.yaml: no document of aliasctl.dev/v1alpha1 in this file",
        "missing: no such file or folder",
        f"{'n' * 300}: cannot be read: File name too long",
        "s.yaml/x: cannot be read: Not a directory",
    ]


def test_unreadable_folders_and_files_are_told(tmp_path: Path) -> None:
    (tmp_path / "secret").mkdir(mode=0)
    (tmp_path / "s.yaml").write_text(SET)
    (tmp_path / "s.yaml").chmod(0)
    if os.access(tmp_path / "s.yaml", os.R_OK):
        pytest.skip("this user may read everything")
    assert problems(tmp_path)[-2:] == [
        f"{tmp_path}/s.yaml: cannot be read: Permission denied",
        f"{tmp_path}/secret: cannot be read: Permission denied",
    ]


def test_problems_of_all_files_come_together_and_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("b.yaml").write_text(SET.replace("spec", "spek") + "---\n" + SET.replace("search", "x") + "--- [\n")
    Path("a.yaml").write_text(SET.replace("prod", "Prod").replace("search", "a"))
    Path("c.yaml").write_bytes(b"\xff")
    assert problems("b.yaml", "a.yaml", "c.yaml") == [
        'a.yaml:4:30: expected lower-case letters, digits, "-" and ".", a letter or digit at both ends, at most 253, '
        'found the string "Prod"',
        'b.yaml:4:1: unknown field "spek"; did you mean "spec"?',
        "b.yaml:11:1: this is not YAML: did not find expected node content while parsing a flow node",
        "c.yaml: not UTF-8 text (byte 1)",
    ]


def test_foreign_documents_are_counted_and_their_oddities_ignored() -> None:
    manifests = text(FOREIGN + "---\n" + SET + "---\n- a list\n---\n")
    assert (len(manifests.sets), manifests.skipped, manifests.warnings) == (1, 2, ())


@pytest.mark.parametrize(
    ("content", "cause"),
    [
        (
            "version https://git-lfs.github.com/spec/v1\noid sha256:1f2e3d4c\nsize 2210\n",
            'this is a Git LFS pointer; get the file itself with "git lfs pull"',
        ),
        (
            "$ANSIBLE_VAULT;1.1;AES256\n3962373866653133\n",
            "this file is encrypted with Ansible Vault; decrypt it first",
        ),
        ("404: Not Found", "this is the error page of a download, not a manifest"),
        ("<!DOCTYPE html>\n<html></html>\n", "this is the error page of a download, not a manifest"),
        ("some words", 'expected an object with apiVersion and kind, found the string "some words"'),
        (
            "- {apiVersion: aliasctl.dev/v1alpha1, kind: AliasSet}\n",
            'expected an object, found a list of objects; separate them with "---", or use kind: List',
        ),
    ],
)
def test_a_file_in_a_folder_that_holds_no_object_is_refused_with_its_cause(
    content: str, cause: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("aliases").mkdir()
    Path("aliases/set.yaml").write_text(SET)
    Path("aliases/reviews.yaml").write_text(content)
    assert problems("aliases") == [f"aliases/reviews.yaml:1:1: {cause}"]
    assert problems("aliases/reviews.yaml") == [f"aliases/reviews.yaml:1:1: {cause}"]


def test_files_of_other_tools_in_a_folder_are_skipped_with_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("set.YML").write_text(SET)
    Path("template.yaml").write_text(
        "metadata:\n  {{- with .Values.labels }}\n  labels: {{ toYaml . }}\n  {{- end }}\n"
    )
    Path("tsconfig.json").write_text('// comment\n{"strict": true}\n')
    Path("events.json").write_text('{"a":1}\n{"b":2}\n')
    Path("broken.yaml").symlink_to("nowhere.yaml")
    manifests = read(["."])
    assert len(manifests.sets) == 1
    assert [str(warning).partition(": this is not YAML")[0] for warning in manifests.warnings] == [
        "broken.yaml: skipped this symbolic link: it leads nowhere",
        "events.json:2:1: skipped this file",
        "template.yaml:2:5: skipped this file",
        "tsconfig.json:2:10: skipped this file",
    ]
    assert problems("template.yaml")
    Path("lost.yaml").write_text("kind: AliasSet\n{{ broken }}\n")
    assert [problem.partition(":")[0] for problem in problems(".")] == ["lost.yaml"]


def test_excluded_files_and_folders_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("charts/templates/x.yaml", "charts/x.yaml", "aliases/old.yaml"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text("kind: AliasSet\n")
    Path("aliases/set.yaml").write_text(SET)
    for patterns in (["charts", "*/old.yaml"], ["./charts/", "aliases/o*"], ["charts/*", "aliases/old.yaml"]):
        assert len(read(["."], exclude=patterns).sets) == 1
    assert len(problems(".")) == 3


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("<<<<<<< HEAD\n" + SET + "=======\n", "1:1: a merge conflict that is not resolved; choose one side"),
        (
            SET.replace("kind: AliasSet", "kind:\u00a0AliasSet"),
            "2:6: this is not YAML, probably because of the invisible character U+00A0 NO-BREAK SPACE; remove it",
        ),
        ("\ufeff\ufeff" + SET, "1:1: a byte order mark (U+FEFF) inside the file; remove it"),
        (
            SET.replace("connectionRef", "connecti\u043enRef"),
            'unknown field "connecti\u043enRef" (contains U+043E CYRILLIC SMALL LETTER O); '
            'did you mean "connectionRef"?',
        ),
    ],
)
def test_characters_that_look_right_are_named(content: str, problem: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        text(content)
    assert problem in str(refusal.value)


def test_our_kind_in_a_foreign_group_is_worth_a_warning() -> None:
    manifests = text(SET + "---\n" + SET.replace("aliasctl.dev", "alaisctl.dev"))
    assert manifests.skipped == 1
    assert [str(warning) for warning in manifests.warnings] == [
        '<stdin>:6:1: skipped this AliasSet: its apiVersion is "alaisctl.dev/v1alpha1", not aliasctl.dev/v1alpha1'
    ]


def test_standard_input_may_be_text_and_starts_paths_in_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    stdin = StringIO(CONNECTION.replace("http://milvus", "./live/milvus.db"))
    [connection] = read(["-", "-"], stdin=stdin).connections.values()
    assert connection.address == str(tmp_path.resolve() / "live/milvus.db")
    monkeypatch.setattr("sys.stdin", type("Stdin", (), {"buffer": BytesIO(SET.encode())}))
    assert len(read(["-"]).sets) == 1


def test_pipes_can_be_named(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.write(writer, SET.encode())
    os.close(writer)
    assert len(read([f"/dev/fd/{reader}"]).sets) == 1
    os.close(reader)


def test_a_lite_file_has_one_address_by_any_name(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "link").symlink_to("data")
    for number, uri in enumerate(["data/m.db", "./link/m.db", f"{tmp_path}/data/../data/m.db"]):
        (tmp_path / f"{number}.yaml").write_text(CONNECTION.replace("prod", f"c{number}").replace("http://milvus", uri))
    connections = read([tmp_path]).connections.values()
    assert {(connection.uri, connection.address) for connection in connections} == {
        (str(tmp_path.resolve() / "data/m.db"),) * 2
    }


def test_nothing_is_nothing() -> None:
    assert read([]) == Manifests()


def test_load_gives_sets_or_every_conflict(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(CONNECTION + "---\n" + SET)
    [item] = load(tmp_path)
    assert item.connection
    assert (item.connection.address, item.database) == ("milvus:19530", "default")
    clash = SET.replace("}}", "}, aliases: [{name: x, collection: y}]}")
    (tmp_path / "a.yaml").write_text(CONNECTION + "---\n" + clash + "---\n" + clash.replace("search", "other"))
    with pytest.raises(InvalidInput, match='alias "x" is also listed by AliasSet "search"'):
        load(tmp_path)


def test_check_warns_of_absent_connections_and_strictly_refuses() -> None:
    manifests = text(SET + "---\n" + CONNECTION.replace("name: prod", "name: prod, namespace: team"))
    [warning] = check(manifests)
    assert str(warning) == (
        '<stdin>:4:30: MilvusConnection "prod" is not among the manifests in namespace none (there is one in team); '
        "give its file with -f, or --uri"
    )
    with pytest.raises(InvalidInput, match="is not among the manifests"):
        check(manifests, strict=True)


def test_no_milvus_client_is_imported() -> None:
    script = "import sys, reconciler.manifest as m; m.read(sys.argv[1:]); print(*sys.modules)"
    examples = str(REPOSITORY / "manifests/examples")
    done = subprocess.run(
        [sys.executable, "-c", script, examples], capture_output=True, text=True, check=True, cwd=REPOSITORY
    )
    assert not {"pymilvus", "grpc", "kopf", "click", "rich"} & set(done.stdout.split())

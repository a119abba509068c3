"""`set`: the manifests get another collection, one line an alias, or stay as they are to the byte."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.cli.replace_files import Replacement, replace_all
from reconciler.core.errors import InvalidInput
from tests.cli.command import COLOUR, Completed, finish, run, run_at_terminal, start

SEARCH = """\
# what the shop searches
apiVersion: aliasctl.dev/v1alpha1
kind: AliasSet
metadata: {name: search}
spec:
  connectionRef: {name: prod}
  scope: {protect: [main_*]}
  aliases:
    - {name: products, collection: products_v1}   # since May
    - name: reviews
      collection: 'reviews_v1'
      protect: true

    - {name: old, state: Absent}
    - {name: main_page, collection: pages_v1}
"""
ADS = """\
apiVersion: aliasctl.dev/v1alpha1
kind: AliasSet
metadata: {name: ads, namespace: shop}
spec:
  connectionRef: {name: prod}
  database: ads
  aliases:
    - {name: products, collection: ads_v1}
    - {name: banners, collection: "banners_v1"}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "search.yaml").write_text(SEARCH)
    (tmp_path / "ads.yaml").write_text(ADS)
    return tmp_path


def set_in(folder: Path, *arguments: str) -> Completed:
    return run("set", *arguments, cwd=folder)


def contents(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Every file, hidden ones too, with its time of change."""
    return {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.iterdir() if path.is_file()}


def test_aliases_of_several_files_are_set_and_nothing_else_changes(folder: Path) -> None:
    done = set_in(folder, "reviews=reviews_v2", "old=old_v9", "banners=banners_v2", "-f", ".")
    assert (done.code, done.stdout.splitlines()) == (
        0,
        [
            "  ~ reviews   reviews_v1 → reviews_v2   search.yaml:10:13",
            "  ~ old       absent → old_v9   search.yaml:14:14",
            "  ~ banners   banners_v1 → banners_v2   ads.yaml:9:14",
            "Set: 3 changed.",
        ],
    )
    assert done.stderr == "reviews is protected: apply will need --allow-protected reviews\n"
    expected = SEARCH.replace("'reviews_v1'", "'reviews_v2'").replace("state: Absent", "collection: old_v9")
    assert (folder / "search.yaml").read_text() == expected
    assert (folder / "ads.yaml").read_text() == ADS.replace('"banners_v1"', '"banners_v2"')
    assert sorted(contents(folder)) == ["ads.yaml", "search.yaml"], "nothing is left beside them"


def test_what_is_as_wanted_already_is_not_written(folder: Path) -> None:
    before = contents(folder)
    done = set_in(folder, "reviews=reviews_v1", "main_page=pages_v1", "-f", ".")
    assert (done.code, done.stderr, contents(folder)) == (0, "", before)
    assert done.stdout.splitlines() == [
        "  = reviews     reviews_v1 already   search.yaml:10:13",
        "  = main_page   pages_v1 already   search.yaml:15:14",
        "No changes. 2 aliases up to date.",
    ]
    mixed = set_in(folder, "reviews=reviews_v1", "banners=banners_v2", "-f", ".")
    assert mixed.stdout.splitlines()[-1] == "Set: 1 changed, 1 unchanged."
    assert contents(folder)["search.yaml"] == before["search.yaml"]


def test_check_writes_nothing_and_prints_a_diff_that_git_applies(
    folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    (folder / "search.yaml").write_bytes(b"\xef\xbb\xbf" + SEARCH.replace("\n", "\r\n").rstrip().encode())
    before = contents(folder)
    asked = ("main_page=pages_v2", "banners=banners_v2", "-f", ".")
    with (tmp_path_factory.mktemp("diff") / "diff").open("w+b") as file:
        done = finish(start(["set", *asked, "--check"], folder, stdout=file))
        file.seek(0)
        diff = file.read()
    assert (done.code, contents(folder)) == (0, before)
    assert done.stderr.splitlines() == [
        "main_page is protected: apply will need --allow-protected main_page",
        "Set: 2 to change. Nothing was written.",
    ]
    changed = [line for line in diff.splitlines() if line[:1] in (b"-", b"+") and line[:3] not in (b"---", b"+++")]
    assert len(changed) == 4, "one line an alias"
    subprocess.run(["git", "apply", "--whitespace=nowarn"], cwd=folder, input=diff, check=True)
    applied = {name: data for name, (data, _) in contents(folder).items()}
    for name, (data, _) in before.items():
        (folder / name).write_bytes(data)
    assert set_in(folder, *asked).code == 0
    assert {name: data for name, (data, _) in contents(folder).items()} == applied
    idle = set_in(folder, *asked, "--check")
    assert (idle.code, idle.stdout, idle.stderr) == (0, "", "No changes. 2 aliases up to date.\n")


def test_a_terminal_shows_the_diff_in_colours_and_obeys_nothing_in_it(folder: Path) -> None:
    (folder / "search.yaml").write_text(SEARCH.replace("since May", "\u202e"))
    asked = ("set", "products=products_v2", "-f", "search.yaml", "--check")
    screen = run_at_terminal(*asked, cwd=folder).stdout
    assert COLOUR in screen
    assert "\\u202e" in screen
    assert COLOUR not in run_at_terminal(*asked, "--no-color", cwd=folder).stdout


def test_the_json_document_has_what_changed_and_the_diff(folder: Path) -> None:
    asked = ("main_page=pages_v2", "old=old_v9", "banners=banners_v1", "-f", ".", "--format", "json")
    tried = set_in(folder, *asked, "--check").document
    done = set_in(folder, *asked).document
    assert (tried.pop("written"), done.pop("written")) == (False, True)
    assert tried == done
    assert [(item["from"], item["to"], item["changed"], item["protected"]) for item in done["aliases"]] == [
        ("pages_v1", "pages_v2", True, True),
        (None, "old_v9", True, False),
        ("banners_v1", "banners_v1", False, False),
    ]
    assert done["aliases"][2]["set"] == "shop/ads"
    assert done["aliases"][2]["source"] == {"file": "ads.yaml", "line": 9, "column": 14}
    [file] = done["files"]
    assert file["file"] == "search.yaml"
    assert "\n+    - {name: old, collection: old_v9}\n" in file["diff"]
    assert set_in(folder, *asked).document["written"] is False


@pytest.mark.parametrize("name", ["search", "shop/ads", "ads"])
def test_an_alias_of_several_sets_is_set_in_the_one_that_is_named(name: str, folder: Path) -> None:
    refused = set_in(folder, "products=products_v2", "-f", ".")
    assert (refused.code, refused.stderr) == (
        1,
        'ads.yaml:8:14: error: alias "products" is listed in 2 AliasSets: "shop/ads" (ads.yaml:8:14), "search"'
        " (search.yaml:9:14); choose one with --set\n",
    )
    assert set_in(folder, "products=products_v2", "-f", ".", "--set", name).code == 0
    changed = [file for file in ("search.yaml", "ads.yaml") if "products_v2" in (folder / file).read_text()]
    assert changed == ["search.yaml" if name == "search" else "ads.yaml"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["banner=x", "-f", "ads.yaml"],
            'ads.yaml:3:18: error: no entry lists alias "banner"; a new one is added by hand, {name: banner,'
            ' collection: x} under spec.aliases of AliasSet "shop/ads"; did you mean "banners"?',
        ),
        (
            ["banners=x", "-f", ".", "--set", "search"],
            'search.yaml:4:18: error: alias "banners" is not in AliasSet "search" but in "shop/ads" (ads.yaml:9:14)',
        ),
        (["banners=x", "-f", ".", "--set", "serch"], '--set serch: no AliasSet has this name; did you mean "search"?'),
        (
            ["banners=x", "-f", ".", "--set", "zz"],
            '--set zz: no AliasSet has this name; there are "shop/ads", "search"',
        ),
        (
            ["banners=9x", "-f", "."],
            'Milvus takes no collection called "9x"; expected a letter or underscore, then letters, digits and',
        ),
        (["banners=a\nb", "-f", "."], 'Milvus takes no collection called "a\\nb"; expected'),
        (["banners", "-f", "."], '"banners" is not ALIAS=COLLECTION, such as search_products=products_v2'),
        (["banners=", "-f", "."], '"banners=" is not ALIAS=COLLECTION'),
        (
            ["banners=a", "old=o", "banners=b", "-f", "."],
            'error: alias "banners" is given twice, with a and with b; keep one',
        ),
        (["banners=a", "-f", "-"], "<stdin>: error: standard input cannot be edited; name the file"),
        (["banners=a", "-f", "/dev/null"], "/dev/null: error: is no regular file and cannot be edited; name one"),
        (["banners=a", "-f", "nowhere"], "nowhere: error: no such file or folder"),
        (
            ["reviews=r", "banners=banners", "-f", "."],
            "ads.yaml:9:14: error: after this edit: an alias cannot be its own collection; nothing was written",
        ),
        (
            ["reviews=old", "old=o", "-f", "."],
            'after this edit: alias "old" is also the collection of alias "reviews" at search.yaml:10:13;',
        ),
    ],
)
def test_what_cannot_be_set_is_refused_and_no_file_is_touched(arguments: list[str], message: str, folder: Path) -> None:
    before = contents(folder)
    for more in ([], ["--check"]):
        refused = set_in(folder, *arguments, *more)
        assert (refused.code, refused.stdout) == (1, "")
        assert message in refused.stderr
    assert contents(folder) == before


def test_manifests_that_are_wrong_before_are_not_edited(folder: Path) -> None:
    (folder / "ads.yaml").write_text(ADS.replace("database: ads\n", "databse: ads\n"))
    before = contents(folder)
    refused = set_in(folder, "reviews=reviews_v2", "-f", ".")
    assert (refused.code, contents(folder)) == (1, before)
    assert refused.stderr.startswith("ads.yaml:6:3: error: unknown field")


def test_an_unfit_place_in_one_file_keeps_the_other_as_it_was(folder: Path) -> None:
    (folder / "ads.yaml").write_text(
        ADS.replace('"banners_v1"', "&x banners_v1") + "    - {name: more, collection: *x}\n"
    )
    before = contents(folder)
    refused = set_in(folder, "reviews=reviews_v2", "banners=banners_v2", "-f", ".", "--format", "json")
    assert (refused.code, contents(folder)) == (1, before)
    assert refused.document["errors"][0]["source"] == {"file": "ads.yaml", "line": 9, "column": 23}


def test_a_symbolic_link_stays_and_the_file_keeps_its_mode(folder: Path) -> None:
    (folder / "real").mkdir()
    real = (folder / "ads.yaml").rename(folder / "real" / "ads.manifest")
    real.chmod(0o640)
    (folder / "link.yaml").symlink_to(real)
    assert set_in(folder, "banners=banners_v2", "-f", "link.yaml", "-f", "search.yaml").code == 0
    assert (folder / "link.yaml").is_symlink()
    assert real.read_text() == ADS.replace('"banners_v1"', '"banners_v2"')
    assert real.stat().st_mode & 0o777 == 0o640
    assert list(real.parent.iterdir()) == [real]


@pytest.mark.parametrize("more", [[], ["--check"]], ids=["set", "check"])
def test_a_read_only_file_is_left_alone_with_all_others(more: list[str], folder: Path) -> None:
    (folder / "ads.yaml").chmod(0o444)
    before = contents(folder)
    refused = set_in(folder, "reviews=reviews_v2", "banners=banners_v2", "-f", ".", *more)
    assert (refused.code, contents(folder)) == (1, before)
    assert refused.stderr.startswith("ads.yaml: error: is read-only; make it writable first (chmod u+w)\n")


def test_a_full_disk_loses_nothing(folder: Path) -> None:
    """The limit on the size of files stands in for it: the small file can be written, the large one cannot."""
    (folder / "search.yaml").write_text(SEARCH + "# padding\n" * 1000)
    before = contents(folder)
    small_files_only = ["sh", "-c", 'ulimit -f 8; exec "$0" "$@"']
    asked = ["set", "banners=banners_v2", "reviews=reviews_v2", "-f", "."]
    environment = {"PYTHONDONTWRITEBYTECODE": "1"}
    refused = finish(start(asked, folder, environment, through=small_files_only))
    assert (refused.code, contents(folder)) == (1, before)
    assert refused.stderr == "search.yaml: error: cannot be written: File too large; no file was changed\n"


def test_a_file_that_changed_meanwhile_is_not_overwritten(folder: Path) -> None:
    ads, search = folder / "ads.yaml", folder / "search.yaml"
    before = contents(folder)
    with pytest.raises(InvalidInput, match=r"ads\.yaml: was changed while it was read; nothing was written"):
        replace_all([Replacement(str(search), search.read_bytes(), b"new"), Replacement(str(ads), b"as read", b"new")])
    assert contents(folder) == before


@pytest.fixture
def mount_point(folder: Path) -> Iterator[Path]:
    """A file that another one is mounted on, as in a container: it cannot be replaced."""
    path = folder / "ads.yaml"
    mounted = subprocess.run(["mount", "--bind", path, path], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip("needs the right to mount")
    yield path
    subprocess.run(["umount", path], check=True)


def test_what_was_replaced_is_put_back_when_a_later_file_cannot_be(mount_point: Path) -> None:
    folder = mount_point.parent
    before = {name: data for name, (data, _) in contents(folder).items()}
    refused = set_in(folder, "reviews=reviews_v2", "banners=banners_v2", "-f", ".")
    assert (refused.code, {name: data for name, (data, _) in contents(folder).items()}) == (1, before)
    assert "ads.yaml: error: cannot be written: Device or resource busy; no file was changed" in refused.stderr

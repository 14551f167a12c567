"""Ready-made systems: read and linted with the map, told of by `concord check`, used by what-if, and live only when moved."""

import json
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from pipelines.commands import main
from pipelines.language.library import load_library
from pipelines.language.lint.report import lint_library
from pipelines.language.schema import MAP_DIR, IntegrationMap, MapProblem, load_map
from tests.map_draft import Draft

READY_MADE = sorted(path.stem for path in (MAP_DIR / "library").glob("*.yaml"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the map with one ready-made system, to be broken in one place."""
    folder = Draft(tmp_path).write()
    (folder / "library").mkdir()
    shelve(folder, magento())
    return folder


def magento() -> dict:
    return yaml.safe_load((MAP_DIR / "library/magento.yaml").read_text(encoding="utf-8"))


def shelve(folder: Path, told: dict) -> None:
    (folder / "library/magento.yaml").write_text(yaml.dump(told, sort_keys=False), encoding="utf-8")


def test_no_ready_made_system_is_live_and_each_would_be_a_sound_one(the_map: IntegrationMap) -> None:
    library = load_library()
    assert sorted(library) == READY_MADE
    assert not library.keys() & the_map.systems.keys()
    found = lint_library(the_map, library)
    assert [str(one) for one in found if one.severity != "hint"] == []
    assert [str(one) for one in found if one.place.file.startswith("map/library/")] == []


def test_what_the_map_must_say_of_one_once_it_is_live_is_a_hint(the_map: IntegrationMap) -> None:
    hints = [str(one) for one in lint_library(the_map, load_library())]
    assert [line for line in hints if "once woocommerce is live: records of refunds begin in woocommerce" in line]


def test_a_ready_made_system_that_spells_what_no_entity_has_is_found_in_its_own_file(folder: Path) -> None:
    told = magento()
    told["streams"]["orders"]["says"]["orders"]["fields"]["totl"] = "payload ->> '$.grand_total'"
    shelve(folder, told)
    (found,) = [one for one in lint_library(load_map(folder), load_library(folder)) if one.severity == "error"]
    assert str(found).startswith("map/library/magento.yaml: streams.orders.says.orders.fields")
    assert "totl" in str(found)
    assert "did you mean total?" in str(found)


def test_a_ready_made_system_that_is_live_already_is_found(folder: Path) -> None:
    (folder / "systems/magento.yaml").write_text(yaml.dump(magento(), sort_keys=False), encoding="utf-8")
    (found,) = [one for one in lint_library(load_map(folder), load_library(folder)) if one.severity == "error"]
    assert str(found) == "map/library/magento.yaml: system: magento is live already; delete this file"


@pytest.mark.parametrize(
    ("key", "value", "line"),
    [
        (
            "rle",
            "storefront",
            "map/library/magento.yaml: rle: the map knows no such key; mend its spelling or delete it",
        ),
        ("system", "woo", "map/library/magento.yaml: system: 'woo' is not the file's name; rename one of the two"),
    ],
)
def test_a_ready_made_system_that_cannot_be_read_is_named_with_the_fix(
    folder: Path, key: str, value: str, line: str
) -> None:
    shelve(folder, magento() | {key: value})
    with pytest.raises(MapProblem) as problem:
        load_library(folder)
    assert str(problem.value) == line


def test_the_lint_says_which_systems_are_ready_made_and_how_to_use_them() -> None:
    done = CliRunner().invoke(main, ["check"])
    assert done.exit_code == 0
    assert f"ready-made and not live: {', '.join(READY_MADE)}; move a file from map/library" in done.output
    assert json.loads(CliRunner().invoke(main, ["check", "--json"]).output)["library"] == READY_MADE


def test_what_if_reads_what_a_ready_made_system_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONCORD_DATABASE_URL", "postgresql://postgres@127.0.0.1:1/concord")
    found = json.loads(CliRunner().invoke(main, ["whatif", "--replace", "shopify=magento", "--json"]).output)
    assert (found["new_is_known"], found["new_is_ready_made"], found["new_role"]) == (True, True, "storefront")
    missing = {(one["entity"], one["field"]): one["missing"] for one in found["fields"]}
    assert missing["orders", "total"] == []
    assert missing["orders", "tip_total"] == ["spelling"]
    assert any("no stream of magento speaks of refunds" in line for line in found["lacks"])
    page = CliRunner().invoke(main, ["whatif", "--replace", "shopify=magento"]).output
    assert "it stands ready-made in map/library" in page
    assert "git mv pipelines/map/library/magento.yaml pipelines/map/systems/magento.yaml" in " ".join(page.split())

"""The map's files: what they may say, and what a person reads when they say something else."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from click.testing import CliRunner

from pipelines.commands import main
from pipelines.commands.schema import schema_of
from pipelines.language.schema import MAP_DIR, MapProblem, load_map, seconds
from tests.map_draft import Draft

FILES = sorted([*MAP_DIR.glob("systems/*.yaml"), *MAP_DIR.glob("entities/*.yaml")])


@pytest.fixture
def draft(tmp_path: Path) -> Draft:
    return Draft(tmp_path)


def problem_of(folder: Path) -> str:
    """What load_map says of a map that it refuses."""
    with pytest.raises(MapProblem) as refused:
        load_map(folder)
    return str(refused.value)


def test_the_map_is_read():
    told = load_map()
    assert told.entities["orders"].flows["orders_to_erp"].max_lag == 120
    assert [system.system for system in told.systems_named("erp")] == ["tryton"]
    assert [child.entity for child in told.children("orders")] == ["order_lines"]


def test_an_unknown_key_is_named_with_its_file(draft: Draft):
    draft.entities["orders"]["fields"]["total"]["ownr"] = "storefront"
    assert problem_of(draft.write()) == (
        "map/entities/orders.yaml: fields.total.ownr: the map knows no such key; mend its spelling or delete it"
    )


@pytest.mark.parametrize(("key", "fix"), [("owner", "owner: <system or role>"), ("type", "type: text")])
def test_a_missing_key_is_named_with_its_file(draft: Draft, key: str, fix: str):
    del draft.entities["orders"]["fields"]["total"][key]
    assert problem_of(draft.write()) == f"map/entities/orders.yaml: fields.total.{key}: is missing; add {fix}"


def test_a_reconciliation_needs_a_steward_and_a_schedule(draft: Draft):
    del draft.entities["orders"]["reconcile"]["storefront_and_erp"]["steward"]
    del draft.entities["orders"]["reconcile"]["storefront_and_erp"]["every"]
    assert problem_of(draft.write()).splitlines() == [
        "map/entities/orders.yaml: reconcile.storefront_and_erp.every: is missing; add every: ...",
        "map/entities/orders.yaml: reconcile.storefront_and_erp.steward: is missing; add steward: team:<name>",
    ]


def test_a_word_outside_a_closed_list_is_answered_with_the_list(draft: Draft):
    draft.systems["tryton"]["role"] = "crp"
    problem = problem_of(draft.write())
    assert problem.startswith("map/systems/tryton.yaml: role: ")
    assert "'erp'" in problem


def test_a_bad_duration_is_answered_with_a_good_one(draft: Draft):
    draft.entities["orders"]["flows"]["orders_to_erp"]["max_lag"] = "two minutes"
    assert problem_of(draft.write()) == (
        "map/entities/orders.yaml: flows.orders_to_erp.max_lag: 'two minutes' is not a duration; "
        "write a number and s, m, h or d, as in 15m"
    )


def test_durations_are_seconds():
    assert [seconds(text) for text in ("90s", "2m", "1h", "1 d")] == [90, 120, 3600, 86400]
    for text in ("", "5", "m", "-5m", "1.5h", "5m5s"):
        with pytest.raises(ValueError, match="is not a duration"):
            seconds(text)


def test_a_file_that_names_another_system_is_refused(draft: Draft):
    draft.systems["tryton"]["system"] = "odoo"
    assert problem_of(draft.write()) == (
        "map/systems/tryton.yaml: system: 'odoo' is not the file's name; rename one of the two"
    )


def test_a_file_without_its_first_key_is_refused(draft: Draft):
    del draft.entities["stock"]["entity"]
    assert problem_of(draft.write()) == "map/entities/stock.yaml: does not begin with `entity: stock`; add that line"


@pytest.mark.parametrize("text", ["entity: stock\n  key: [", "\tentity: stock", "- a\n- b", ""])
def test_a_file_that_is_no_yaml_is_refused_in_one_sentence(draft: Draft, text: str):
    folder = draft.write()
    (folder / "entities" / "stock.yaml").write_text(text)
    problem = problem_of(folder)
    assert problem.startswith("map/entities/stock.yaml: ")
    assert len(problem.splitlines()) == 1


def test_a_key_that_stands_twice_is_refused(draft: Draft):
    folder = draft.write()
    with (folder / "entities" / "stock.yaml").open("a") as file:
        file.write("meaning: Another meaning.\n")
    line = len((folder / "entities" / "stock.yaml").read_text().splitlines())
    assert problem_of(folder) == (
        f"map/entities/stock.yaml: line {line}: the key 'meaning' stands twice; mend this line"
    )


def test_a_file_in_another_encoding_is_refused(draft: Draft):
    folder = draft.write()
    (folder / "entities" / "stock.yaml").write_bytes("entity: stock\nmeaning: Größe\n".encode("latin-1"))
    assert problem_of(folder).startswith("map/entities/stock.yaml: is no YAML in UTF-8")


def test_an_empty_folder_is_no_map(tmp_path: Path):
    assert "has no systems/*.yaml" in problem_of(tmp_path)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_schema_for_editors_takes_every_file_of_the_map(path: Path):
    assert list(_validator(path).iter_errors(yaml.safe_load(path.read_text()))) == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_file_of_the_map_names_its_schema(path: Path):
    first = path.read_text().partition("\n")[0]
    assert first == f"# yaml-language-server: $schema=../schema/{_kind(path)}.json"


@pytest.mark.parametrize(
    ("file", "keys", "value"),
    [
        ("systems/tryton.yaml", ["role"], "crp"),
        ("systems/tryton.yaml", ["limits", "at_onse"], 1),
        ("systems/tryton.yaml", ["streams", "sales", "messages"], "all"),
        ("entities/orders.yaml", ["fields", "total", "required"], "perhaps"),
        ("entities/orders.yaml", ["flows", "orders_to_erp", "max_lag"], "soon"),
        ("entities/orders.yaml", ["flows", "orders_to_erp", "tier"], 4),
    ],
)
def test_the_schema_for_editors_refuses_what_the_map_refuses(tmp_path: Path, file: str, keys: list[str], value: object):
    told: Any = yaml.safe_load((MAP_DIR / file).read_text())
    place = told
    for key in keys[:-1]:
        place = place[key]
    place[keys[-1]] = value
    assert list(_validator(MAP_DIR / file).iter_errors(told))

    draft = Draft(tmp_path)
    kind, name = file.removesuffix(".yaml").split("/")
    getattr(draft, kind)[name] = told
    assert problem_of(draft.write()).startswith(f"map/{file}: {'.'.join(keys)}: ")


def test_the_written_schemas_are_up_to_date():
    answer = CliRunner().invoke(main, ["schema", "--check"])
    assert answer.exit_code == 0, answer.output


def _kind(path: Path) -> str:
    return {"systems": "system", "entities": "entity"}[path.parent.name]


def _validator(path: Path) -> jsonschema.Draft202012Validator:
    schema = json.loads(schema_of(_kind(path)))
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)

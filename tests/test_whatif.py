"""`concord whatif` names everything that a replacement touches, and refuses bad names with a sentence."""

import json
from itertools import permutations
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from pipelines.commands import main
from pipelines.definitions import build
from pipelines.language.lint.report import lint
from pipelines.language.queries import senders_of
from pipelines.language.schema import IntegrationMap, load_map
from pipelines.operations.whatif import replaced, touched
from pipelines.orchestration.checks.dbt_tests import read_dbt_tests
from resources.host.settings import ROOT
from tests.fixtures_world import World

DEAD = {"CONCORD_DATABASE_URL": "postgresql://postgres@127.0.0.1:1/concord"}


def whatif(*arguments: str) -> str:
    done = CliRunner().invoke(main, ["whatif", *arguments], env=DEAD)
    assert done.exit_code == 0, done.output
    return done.output


@pytest.fixture(scope="module")
def told() -> IntegrationMap:
    return load_map()


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    """What a machine reads of the ERP's replacement by one that the map lacks."""
    answer: dict[str, Any] = json.loads(whatif("--replace", "tryton=netsuite", "--json"))
    return answer


@pytest.fixture(scope="module")
def page() -> str:
    """What a person reads of it, each line as it is printed."""
    return whatif("--replace", "tryton=netsuite")


def test_every_flow_that_the_system_tells_takes_or_feeds_is_named_with_promise_tier_and_steward(told, found, page):
    expected = {
        name: (flow.tier, flow.steward)
        for name, (entity, flow) in told.flows.items()
        if "tryton" in senders_of(told, entity, flow) or told.systems["tryton"] in told.destinations(entity, flow)
    }
    assert {flow["flow"]: (flow["tier"], flow["steward"]) for flow in found["flows"]} == expected
    (delivered,) = [flow for flow in found["flows"] if flow["flow"] == "orders_to_erp"]
    assert (delivered["direction"], delivered["end"], delivered["promise"]) == ("out", "erp", "near realtime, 2m")
    assert all(name in page for name in expected)


def test_every_field_that_it_owns_tells_or_takes_is_named_with_the_normaliser_to_be_said_anew(told, found, page):
    erp = told.systems["tryton"]
    takes = {(entity, field) for entity, fields in erp.takes.items() for field in fields}
    tells = {
        (entity, field)
        for stream in erp.streams.values()
        for entity, says in stream.says.items()
        for field in says.fields
    }
    fields = {(one["entity"], one["field"]): one for one in found["fields"]}
    assert fields.keys() == takes | tells
    for key in takes:
        assert fields[key]["kept_as"] == erp.stores[key[0]][key[1]]
        assert {"taking it", "normaliser"} <= set(fields[key]["missing"])
    for key in tells:
        assert fields[key]["told_in"]
        assert "spelling" in fields[key]["missing"]
    owned = {key for key, one in fields.items() if one["owned_as"]}
    assert ("orders", "erp_number") in owned
    assert ("products", "title") in owned
    assert ("stock", "on_hand") in owned  # by its location
    assert ("orders", "total") not in owned
    assert fields["orders", "currency"]["kept_as"] == "upper(value)"
    assert all(field in page for _, field in fields)


def test_its_locations_words_and_streams_are_named(told, found, page):
    assert found["locations"] == ["MAIN", "STORE"]
    (words,) = found["words"]
    assert (words["stream"], words["entity"], words["field"]) == ("sales", "orders", "status")
    assert words["words"]["quotation"] == "placed"
    assert [stream["stream"] for stream in found["streams"]] == [*told.systems["tryton"].streams]
    assert "Move locations: [MAIN, STORE]" in page
    assert "map the words of netsuite to ours for orders.status" in page


def test_every_proof_that_compares_it_is_named_with_its_steward(told, found):
    expected = {
        name: proof.steward
        for entity in told.entities.values()
        for name, proof in entity.reconcile.items()
        if {"tryton", "erp"} & set(proof.between)
    }
    assert {proof["proof"]: proof["steward"] for proof in found["proofs"]} == expected
    assert len(expected) >= 2


def test_every_steward_of_it_and_of_what_it_touches_is_to_be_told(found, page):
    stewards = {flow["steward"] for flow in found["flows"]} | {proof["steward"] for proof in found["proofs"]}
    assert found["stewards"].keys() == stewards | {"team:finance"}
    assert "keeps tryton" in found["stewards"]["team:finance"]
    for kind in ("flow", "proof"):
        for one in found[f"{kind}s"]:
            assert f"answers for the {kind} {one[kind]}" in found["stewards"][one["steward"]]
    assert all(f"{steward} " in page for steward in stewards)


def test_the_asset_checks_and_dbt_tests_of_what_it_fills_are_named(told, found):
    checks = {(asset, name) for asset, names in found["checks"].items() for name in names}
    graph = build(told).resolve_asset_graph()
    ends = {
        (key.asset_key.to_user_string(), key.name)
        for key in graph.asset_check_keys
        if key.asset_key.path[0] == "tryton"
    }
    assert ends <= checks
    assert len(ends) >= 6
    assert {("stg_orders", "statuses_are_mapped"), ("reconcile_orders", "storefront_and_erp")} <= checks
    models = {model for model, _ in checks} | found["dbt_tests"].keys()
    tests = {
        test.model: test for test in read_dbt_tests() if test.model in ("orders", "products", "stock", "fulfilments")
    }
    assert tests.keys() <= models
    assert "order_number unique" in found["dbt_tests"]["orders"]
    assert "sellable" not in found["dbt_tests"]


def test_every_story_in_which_it_plays_is_named(found, page):
    stories = {
        f"tests/stories/{path.name}"
        for path in (ROOT / "tests/stories").glob("*.yaml")
        if "tryton" in yaml.safe_load(path.read_text())["systems"]
    }
    assert stories
    assert stories <= found["stories"].keys()
    assert found["tests"]["tests/test_tryton.py"] > 10
    assert "tests/stories/happy_path.yaml" in page


def test_the_generated_files_that_name_it_are_those_that_would_change(found):
    assert "dbt_project/models/generated/orders/wanted_orders.sql" in found["rewritten"]
    naming = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "dbt_project/models/generated").rglob("*.sql")
        if "'tryton'" in path.read_text()
    }
    assert naming <= set(found["rewritten"])


def test_a_name_that_the_map_lacks_is_told_what_its_file_must_say(page):
    assert "the map does not know it yet" in page
    told = " ".join(page.split())
    assert "Write pipelines/map/systems/netsuite.yaml: system: netsuite, role: erp" in told
    assert "NETSUITE_URL, NETSUITE_DATABASE, NETSUITE_USER, NETSUITE_PASSWORD" in told
    assert f"say streams in place of {', '.join(load_map().systems['tryton'].streams)}" in told
    assert "take 35 fields, each with the normaliser by which it is kept: " in told
    assert "orders: number, status" in told


def test_the_page_is_no_wider_than_a_hundred_columns(page):
    assert max(len(line) for line in page.splitlines()) <= 100


def test_a_system_of_the_map_is_told_what_it_says_already_and_what_it_lacks(told):
    found = json.loads(whatif("--replace", "shopify=wholesale", "--json"))
    assert (found["new_is_known"], found["new_role"]) == (True, "storefront")
    fields = {(one["entity"], one["field"]): one for one in found["fields"]}
    assert fields["orders", "total"]["new_tells_in"].keys() == {"order_files"}
    assert fields["orders", "total"]["missing"] == []
    assert fields["orders", "email"]["missing"] == ["spelling"]
    assert fields["sellable", "sellable"]["missing"] == ["spelling", "taking it", "normaliser"]
    streams = {one["stream"]: one for one in found["streams"]}
    assert streams["orders"]["new_streams"] == ["order_files: file orders/*.csv"]
    assert streams["inventory"]["missing"] == ["sellable"]
    assert found["named_in"] == {
        "map/entities/consents.yaml": ["flows.opt_ins_in.from", "flows.withdrawals_to_storefront.to"],
        "map/entities/customers.yaml": ["flows.numbers_to_storefront.to", "flows.groups_to_storefront.to"],
        "map/entities/refunds.yaml": [
            "flows.refunds_in.from",
            "flows.refunds_to_storefront.to",
            "reconcile.shop_and_payments.between",
        ],
        "map/entities/returns.yaml": ["flows.returns_in.from"],
        "map/entities/selling_prices.yaml": [
            "flows.prices_to_storefront.to",
            "reconcile.storefront_shows_what_is_valid.between",
        ],
        "map/entities/sellable.yaml": [
            "flows.reservations_in.from",
            "flows.sellable_to_storefront.to",
            "reconcile.storefront_shows_what_we_know.between",
        ],
    }
    assert any("wholesale takes no sellable" in finding for finding in found["lacks"])
    assert {"team:wholesale", "team:ecommerce"} <= found["stewards"].keys()


def test_a_system_of_another_role_stands_in_for_the_role_that_nobody_has_any_longer(told):
    page = " ".join(whatif("--replace", "tryton=warehouse").split())
    assert "warehouse is wms, and the map speaks of tryton as erp: write role: erp in" in page
    after = replaced(told, "tryton", "warehouse")
    assert after.entities["products"].fields["title"].owner == ["warehouse"]
    assert after.entities["fulfilments"].fields["carrier"].owner == ["wms", "warehouse"]


def test_any_system_can_be_thought_away_and_a_copy_of_it_under_a_new_name_lacks_nothing(told):
    before = len(lint(told).findings)
    for old, new in permutations(told.systems, 2):
        assert touched(told, old, new).stewards
        lint(replaced(told, old, new))
    for old in told.systems:
        assert len(lint(replaced(told, old, "newcomer")).findings) == before


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ("tryton", ["is no replacement", "--replace tryton=netsuite"]),
        ("tryton=", ["is no replacement"]),
        ("a=b=c", ["is no replacement"]),
        ("tryon=netsuite", ["no system 'tryon' (did you mean tryton?)", "warehouse, wholesale"]),
        ("erp=netsuite", ["erp is a role, not a system", "tryton"]),
        ("tryton=tryton", ["cannot replace itself"]),
        ("tryton=erp", ["erp is a role", "--replace tryton=<name of the new system>"]),
        ("tryton=Net Suite", ["'Net Suite' cannot be a system's name", "netsuite"]),
        ("tryton=../evil", ["cannot be a system's name"]),
    ],
)
def test_a_bad_name_ends_in_a_sentence_that_says_what_to_write(names: str, words: list[str]):
    done = CliRunner().invoke(main, ["whatif", "--replace", names], env=DEAD)
    assert done.exit_code == 1
    assert "should not happen" not in done.output
    for word in words:
        assert word in done.output


def test_a_name_that_is_nearly_a_system_of_the_map_is_asked_about():
    assert "did you mean shopify?" in whatif("--replace", "tryton=shopfy")


def test_without_a_database_it_says_that_nothing_was_counted(found, page):
    assert found["links"] is None
    assert found["under_way"] is None
    assert "Records known by its ids: not counted, for no database answers; start it with `concord run`" in page


def test_records_known_by_its_ids_and_what_is_under_way_are_counted(world: World):
    with world.store.transaction() as connection:
        connection.exec_driver_sql(
            "insert into links (entity, system, remote_id, key, made_by) "
            "select 'orders', 'tryton', n::text, 'SHOP-' || n, 'courier' from generate_series(1, 1234) n"
        )
        connection.exec_driver_sql(
            "insert into outbox (flow, entity, system, key, version, action, payload, reason, status) values "
            "('orders_to_erp', 'orders', 'tryton', 'SHOP-1', 1, 'upsert', '{}', 'new', 'parked'), "
            "('orders_to_erp', 'orders', 'tryton', 'SHOP-2', 1, 'upsert', '{}', 'new', 'applied')"
        )
    done = CliRunner().invoke(
        main, ["whatif", "--replace", "tryton=netsuite"], env={"CONCORD_DATABASE_URL": world.store.url}
    )
    assert "1,234" in done.output
    assert "orders_to_erp, parked" in done.output
    assert "what tryton has not applied (1 in all)" in " ".join(done.output.split())

"""The `concord` command: every verb does what it says on a real database and lake, and refuses bad input with a sentence."""

import json
import re
from pathlib import Path
from typing import Any

import click
import pytest
import sqlalchemy as sa
from click.testing import CliRunner, Result

from pipelines.commands import main
from resources.host import state
from resources.store.alerts import Alert, raise_alerts
from tests.fixtures_world import World, at, line, order

KEY = "SHOP-1"  # tests only look at this order, and change these
DECIDED, LINKED, PARKED = "SHOP-4", "SHOP-5", "SHOP-6"


def concord(*arguments: str, **environment: str) -> Result:
    """Run a command in this process, as a person would type it."""
    return CliRunner().invoke(main, list(arguments), env=environment)


def refused(result: Result, *words: str, code: int = 1) -> None:
    """The command ended with this code and one sentence that says these words, and no trace."""
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    assert "should not happen" not in result.output
    for word in words:
        assert word in result.output


@pytest.fixture(scope="module")
def story(world: World) -> World:
    """An order that was told twice, lost a line, waits for a product, and was once e-mailed badly; and its parcel."""
    world.products("TEE", "CAP")
    lines = [line(1, "TEE"), line(2, "CAP", 1)]
    for number in (1, 4, 5, 6):
        world.say("shopify", "orders", order(number, 0, lines=lines), remote_id=str(number), is_versioned=True)
    world.sync("orders")
    changed = order(1, 5, lines=lines[:1], email="no address", note="hurry")
    world.say("shopify", "orders", changed, remote_id="1", is_versioned=True)
    other = order(2, 6, lines=[line(1, "UNKNOWN")])
    world.say("shopify", "orders", other, remote_id="2", is_versioned=True)
    world.say("shopify", "orders", order(3, 6, currency="EURO"), remote_id="3", is_versioned=True)
    parcel = {"parcel": "P1", "order": KEY, "carrier": "DHL", "tracking": "0034", "at": "2026-11-20 14:00:00"}
    lines_sent = [{"sku": "TEE", "quantity": 2}]
    world.say("warehouse", "despatches", {**parcel, "lines": lines_sent}, by="file", file_occurrence="a", row_number=1)
    world.sync("orders", "fulfilments")
    return world


@pytest.fixture(scope="module")
def journey(story: World) -> dict[str, Any]:
    """What a trace tells of that order."""
    story.enter()
    told: dict[str, Any] = json.loads(concord("trace", KEY, "--json").output)
    return told


@pytest.fixture(autouse=True)
def _here(world: World) -> None:
    world.enter()


def ledger(world: World) -> list[dict[str, object]]:
    with world.store.transaction() as connection:
        rows = connection.execute(sa.text("select kind, key, field, value, by_whom from ledger order by ledger_id"))
        return [dict(row) for row in rows.mappings()]


def execute(world: World, sql: str, **values: object) -> None:
    with world.store.transaction() as connection:
        connection.execute(sa.text(sql), values)


# -- trace ---------------------------------------------------------------------------------------------------------------


def test_a_trace_finds_an_order_by_key_number_and_remote_id(story: World):
    for name in ("#1001", "1001", "1"):
        result = concord("trace", name, "--json")
        assert result.exit_code == 0, result.output
        assert json.loads(result.output)["key"] == KEY


def test_a_trace_names_the_message_that_set_each_field(journey: dict[str, Any]):
    fields = {field["field"]: field for field in journey["fields"]}
    first, second = (event for event in journey["events"] if event["kind"] == "message")
    assert f"message {fields['email']['inbox_id']})" in first["what"]
    assert f"message {fields['total']['inbox_id']})" in second["what"]
    assert fields["email"]["value"] == "customer1@example.com"
    assert "no address" in fields["email"]["flag"]
    assert fields["total"]["set_by"] == "shopify/orders"
    assert any("no e-mail address" in detail for detail in second["details"])


def test_what_a_trace_says_of_provenance_is_what_the_canonical_row_says(story: World, journey: dict[str, Any]):
    winners = story.row(f"select winners from orders where order_number = '{KEY}'")["winners"]
    assert {field["inbox_id"] for field in journey["fields"]} <= {*winners, None}


def test_a_trace_tells_deliveries_parcels_and_removed_lines(story: World):
    result = concord("trace", KEY)
    assert "orders_to_erp v1 is born" in result.output
    assert "fulfilments 3PL-P1" in result.output
    assert "tracking_number 0034" in result.output
    assert re.search(r"CAP.+2026-11-20", result.output), "a line that went shows when"


def test_a_trace_tells_events_in_order_of_time(journey: dict[str, Any]):
    moments = [event["at"] for event in journey["events"]]
    assert moments == sorted(moments)


def test_a_trace_says_who_owes_the_next_step(story: World):
    held = concord("trace", KEY).output
    assert "next: team:ecommerce: email «no address» is no e-mail address" in held
    assert "next: team:finance: orders_to_erp holds it back" in held
    assert "UNKNOWN, which no one has told us of" in concord("trace", "SHOP-2").output
    assert "currency «EURO» is no ISO 4217 currency" in concord("trace", "SHOP-3").output
    assert "nobody owes anything" in concord("trace", "TEE", "--entity", "products").output


def test_a_trace_tells_of_a_message_that_is_not_settled_yet(story: World):
    story.say("shopify", "orders", order(77, 1), remote_id="77", is_versioned=True)
    result = concord("trace", "77")
    assert "kept, and not settled yet" in result.output
    assert "next: Concord: 1 messages wait for the next run of sync_orders" in result.output


def test_a_trace_of_nothing_is_a_sentence(story: World):
    refused(concord("trace", "SHOP-999"), "none of the orders goes by 'SHOP-999'", "concord status")
    refused(concord("trace", "x", "--entity", "unicorns"), "no entity 'unicorns'", "orders", code=2)


# -- what people ask for and decide --------------------------------------------------------------------------------------


def test_a_decision_wins_until_it_is_revoked(story: World):
    assert (
        concord("decide", "orders", DECIDED, "email", "Ada@Example.com", "--why", "she called", "--by", "eve").exit_code
        == 0
    )
    assert ledger(story)[-1] == {
        "kind": "decided", "key": DECIDED, "field": "email", "value": "Ada@Example.com", "by_whom": "eve (she called)",
    }  # fmt: skip
    story.sync("orders")
    assert story.row(f"select email from orders where order_number = '{DECIDED}'")["email"] == "ada@example.com"
    fields = {f["field"]: f for f in json.loads(concord("trace", DECIDED, "--json").output)["fields"]}
    assert fields["email"]["set_by"] == "eve (she called)"
    assert concord("revoke", "orders", DECIDED, "email").exit_code == 0
    story.sync("orders")
    assert story.row(f"select email from orders where order_number = '{DECIDED}'")["email"] == "customer4@example.com"
    refused(concord("revoke", "orders", DECIDED, "email"), "nobody has decided email of orders SHOP-4")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("unicorns", "1", "x", "y"), "no entity 'unicorns'"),
        (("orders", "SHOP-999", "email", "a@b.de"), "none of the orders has the key 'SHOP-999'"),
        (("orders", KEY, "colour", "red"), "orders have no field 'colour'"),
        (("orders", KEY, "total", "ten"), "cannot be decided to be 'ten': it is not an amount of money"),
        (("orders", KEY, "status", "lost"), "it is no status that the map knows"),
        (("stock", "TEE|MAIN", "on_hand", "some"), "none of the stock has the key 'TEE|MAIN'"),
        (("sellable", "TEE", "sellable", "7"), "no field 'sellable'"),
    ],
)
def test_a_decision_that_makes_no_sense_is_refused(story: World, arguments: tuple[str, ...], words: str):
    before = ledger(story)
    refused(concord("decide", *arguments, "--why", "a test"), words)
    assert ledger(story) == before


def test_a_decision_needs_a_reason(story: World):
    refused(concord("decide", "orders", KEY, "email", "a@b.de"), "--why", code=2)


def test_a_link_is_made_once_and_taken_back(story: World):
    assert concord("link", "orders", "tryton", "4711", LINKED).exit_code == 0
    refused(concord("link", "orders", "tryton", "4711", "SHOP-2"), "is linked to SHOP-5 already", "concord unlink")
    assert concord("unlink", "orders", "tryton", "4711").exit_code == 0
    assert [row["kind"] for row in ledger(story)[-2:]] == ["linked", "unlinked"]
    refused(concord("unlink", "orders", "tryton", "4711"), "is linked to none of the orders")
    refused(concord("link", "orders", "fax", "1", LINKED), "no matter of 'fax'", "tryton")


def test_a_repair_asks_for_another_delivery(story: World):
    result = concord("repair", "orders_to_erp", LINKED)
    assert result.exit_code == 0
    assert "1 orders are delivered again by orders_to_erp" in result.output
    assert ledger(story)[-1]["kind"] == "repair"
    refused(concord("repair", "orders_in", LINKED), "no flow 'orders_in' that delivers", "orders_to_erp")
    refused(concord("repair", "orders_to_erp", "SHOP-999"), "none of the orders has the key 'SHOP-999'")
    refused(concord("repair", "orders_to_erp"), "name the keys", code=2)
    refused(concord("repair", "orders_to_erp", "--all-from", "astrology"), "no reconciliation 'astrology'")
    refused(concord("repair", "orders_to_erp", "--all-from", "storefront_and_erp"), "has never run")


def test_parked_deliveries_are_retried_and_floods_released(story: World):
    first = story.store.rows("versions_of", entity="orders", key=PARKED)[0]["delivery_id"]
    refused(concord("retry", str(first)), f"delivery {first} is due", "only parked deliveries")
    execute(story, "update outbox set status = 'parked', parked_because = 'refused' where delivery_id = :id", id=first)
    refused(concord("retry", str(first), "424242"), "delivery 424242 is unknown to the outbox", "none was")
    result = concord("retry", str(first), "--by", "eve")
    assert result.exit_code == 0
    assert "1 deliveries are tried again" in result.output
    execute(story, "update outbox set status = 'parked', parked_because = 'flood' where delivery_id = :id", id=first)
    assert "concord release orders_to_erp" in concord("trace", PARKED).output
    assert "1 deliveries of orders_to_erp are on their way" in concord("release", "orders_to_erp").output
    assert "no flood waits" in concord("release", "orders_to_erp").output
    refused(concord("release", "nothing"), "no flow 'nothing' that delivers")
    refused(concord("retry", "seven"), "not a valid integer", code=2)


# -- looking ---------------------------------------------------------------------------------------------------------------


def test_the_status_balances_the_books_of_every_flow(story: World):
    result = concord("status", "--json")
    assert result.exit_code == 0, result.output
    flows = {row["flow"]: row for row in json.loads(result.output)}
    assert flows.keys() == story.the_map.flows.keys()
    told = flows["orders_in"]
    assert told["received"] > 0
    assert told["received"] == sum(told[part] for part in ("applied", "superseded", "quarantined", "pending"))
    assert told["quarantined"] >= 2
    assert flows["orders_to_erp"]["received"] >= 1
    assert "orders_to_erp" in concord("status").output


def test_the_alerts_name_steward_and_next_step(story: World):
    told = Alert("orders_to_erp/SHOP-9", "parked", "team:finance", "Tryton refused it; correct the SKU, then retry")
    with story.store.transaction() as connection:
        raise_alerts(connection, [told])
    assert "team:finance" in concord("alerts").output
    assert "orders_to_erp/SHOP-9" in [row["subject"] for row in json.loads(concord("alerts", "--json").output)]
    assert "no alert is open" in concord("alerts", "--steward", "team:nobody").output


def test_a_sync_by_hand_says_what_came_of_it(story: World):
    story.say("tryton", "products", {"id": 9, "code": "HAT", "name": "Hat", "salable": True, "active": True,
              "list_price": "9.00", "write_date": at(-500)}, by="poll", remote_id="9")  # fmt: skip
    assert re.search(r"products: \d+ applied", concord("sync", "products").output)
    assert "nothing new was said about products" in concord("sync", "products").output
    refused(concord("sync", "order_lines"), "no entity 'order_lines' with records of its own")


def test_a_delivery_by_hand_names_a_missing_variable(story: World, monkeypatch: pytest.MonkeyPatch):
    for name in ("TRYTON_URL", "TRYTON_DATABASE", "TRYTON_USER", "TRYTON_PASSWORD"):
        monkeypatch.delenv(name, raising=False)
    refused(concord("deliver", "tryton"), "map/systems/tryton.yaml", "TRYTON_", "not set", code=2)
    refused(concord("deliver", "parcelhub"), "nothing is delivered to 'parcelhub'", code=2)
    refused(
        concord("deliver", "wholesale"), "nothing is delivered to 'wholesale'", code=2
    )  # a storefront that takes nothing


def test_the_generated_files_are_compared_without_being_written():
    assert "are up to date" in concord("write", "--check").output
    assert "up to date" in concord("schema", "--check").output


# -- what goes wrong -------------------------------------------------------------------------------------------------------

DEAD = "postgresql://postgres@127.0.0.1:1/concord"


@pytest.mark.parametrize(
    "arguments",
    [
        ("status",), ("alerts",), ("trace", KEY), ("sync", "orders"), ("release", "orders_to_erp"), ("retry", "1"),
        ("repair", "orders_to_erp", KEY), ("decide", "orders", KEY, "email", "a@b.de", "--why", "w"),
        ("revoke", "orders", KEY, "email"), ("link", "orders", "tryton", "1", KEY), ("unlink", "orders", "tryton", "1"),
    ],
)  # fmt: skip
def test_a_dead_database_is_a_sentence_and_a_next_step(arguments: tuple[str, ...]):
    result = concord(*arguments, CONCORD_DATABASE_URL=DEAD)
    refused(result, code=2)
    assert re.search("concord run|is the database running", result.output)


def test_a_database_that_was_never_prepared_is_a_sentence(story: World):
    refused(
        concord("alerts", CONCORD_DATABASE_URL=story.store.url.rpartition("/")[0] + "/postgres"), "not prepared", code=2
    )


def test_a_fault_of_ours_is_a_sentence_and_its_trace_is_had_for_the_asking(monkeypatch: pytest.MonkeyPatch):
    broken = click.Command("broken", callback=lambda: 1 / 0)
    monkeypatch.setattr(type(main), "get_command", lambda *_: broken)
    result = concord("broken")
    assert result.exit_code == 2
    assert "ZeroDivisionError" in result.output
    assert "concord --debug" in result.output
    assert isinstance(concord("--debug", "broken").exception, ZeroDivisionError)


# -- the state folder ------------------------------------------------------------------------------------------------------


def test_a_reset_empties_its_folder_and_nothing_else(tmp_path: Path):
    folder, outside = tmp_path / "state", tmp_path / "outside"
    outside.mkdir()
    (outside / "dear").write_text("mine")
    state.claim(folder)
    (folder / "lake").mkdir()
    (folder / "lake" / "file.parquet").write_text("x")
    (folder / "logs").symlink_to(outside)
    (folder / "lake" / "link").symlink_to(outside)
    here = {"CONCORD_STATE": str(folder), "CONCORD_DATABASE_URL": DEAD}
    refused(CliRunner().invoke(main, ["reset"], env=here, input="n\n"), "Aborted")
    assert (folder / "lake" / "file.parquet").exists()
    result = concord("reset", "--yes", **here)
    assert result.exit_code == 0, result.output
    assert "was left alone" in result.output
    assert list(folder.iterdir()) == []
    assert (outside / "dear").read_text() == "mine"
    assert "is empty already" in concord("reset", "--yes", **here).output


def test_a_reset_refuses_a_folder_that_is_not_ours(tmp_path: Path):
    (tmp_path / "thesis.doc").write_text("years of work")
    refused(concord("reset", "--yes", CONCORD_STATE=str(tmp_path)), "did not put there", "thesis.doc", code=2)
    assert (tmp_path / "thesis.doc").exists()


def test_a_reset_refuses_while_concord_runs(tmp_path: Path):
    state.claim(tmp_path)
    with state.alone(tmp_path):
        refused(concord("reset", "--yes", CONCORD_STATE=str(tmp_path)), "already runs", code=2)
    assert state.is_marked(tmp_path)

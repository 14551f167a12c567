"""No delivery carries a field to its own owner: whoever asks for one, by whatever way, it is parked with its steward."""

import ast
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from pipelines.compiler.generate import write
from pipelines.language.ownership import owns
from pipelines.language.schema import IntegrationMap, load_map
from pipelines.stages.batch import PROJECT
from pipelines.stages.deliver import DeliveryReport, deliver
from pipelines.stages.sync import sync
from resources.host.settings import ROOT
from resources.store.outbox import requeue
from resources.store.store import Store
from tests.destination import Destination, HttpDestination, running_destination
from tests.fixtures_world import World, at, line, order
from tests.map_draft import Draft
from tests.wanting import FLOW, a_map, row, select, want

STOLEN = '{"order_number":"A","status":"paid","erp_number":"S1"}'


@pytest.fixture
def erp() -> Iterator[Destination]:
    with running_destination() as destination:
        yield destination


@pytest.fixture
def guarded(the_map: IntegrationMap) -> IntegrationMap:
    """A map in which the ERP owns what finance calls the sale, and the storefront the rest."""
    told = a_map().model_dump(by_alias=True)
    told["entities"]["orders"]["fields"]["erp_number"] = {"type": "text", "owner": "erp"}
    child = {"entity": "order_lines", "meaning": "Lines.", "key": ["order_number", "line_id"], "parent": "orders"}
    told["entities"]["order_lines"] = {**child, "fields": {"picked": {"type": "quantity", "owner": "erp"}}}
    flow = told["entities"]["orders"]["flows"][FLOW]
    flow |= {"max_lag": "2m", "on_failure": flow["on_failure"] | {"retry_for": "75h"}}
    for entity in told["entities"].values():
        entity["pending_for"] = "1d"
    return IntegrationMap.model_validate(told)


def carry(
    store: Store, erp: Destination, the_map: IntegrationMap, *, run_id: str = "run", redo_run: str | None = None
) -> DeliveryReport:
    connector = HttpDestination(base_url=erp.url)
    return deliver(store, the_map, "erp", connector, run_id=run_id, redo_run=redo_run, log=lambda _: None)


def insert(store: Store, payload: str, **columns: Any) -> None:
    """A person's own row in the outbox."""
    told = {"flow": FLOW, "entity": "orders", "system": "erp", "key": "A", "version": 1, "action": "upsert",
            "payload": payload, "reason": "by hand"} | columns  # fmt: skip
    names = ", ".join(told)
    with store.transaction() as connection:
        connection.execute(
            sa.text(f"insert into outbox ({names}) values ({', '.join(f':{name}' for name in told)})"), told
        )


def is_stopped(store: Store, erp: Destination, report: DeliveryReport, field: str = "orders.erp_number") -> None:
    """Nothing reached the ERP, and the steward reads which field of which record was stopped."""
    assert erp.batches == []
    assert [parked.because for parked in report.parked] == ["own field"]
    [parked] = report.parked
    assert parked.steward == "team:finance"
    assert f"it carries {field}, which erp itself owns" in parked.sentence
    assert select(store, "select cast(status as text), parked_because from outbox") == [("parked", "own field")]
    assert select(store, "select kind, steward, sentence from alerts where over_at is null") == [
        ("parked", "team:finance", parked.sentence)
    ]


def test_a_wanted_row_that_a_hand_or_a_model_wrote_is_stopped(
    store: Store, erp: Destination, guarded: IntegrationMap
) -> None:
    want(store, row("A", payload=STOLEN))
    is_stopped(store, erp, carry(store, erp, guarded))


@pytest.mark.parametrize("asked", ["restore", "repair", "decision"])
def test_a_restore_a_repair_or_a_decision_does_not_open_the_gate(
    store: Store, erp: Destination, guarded: IntegrationMap, asked: str
) -> None:
    want(store, row("A"))
    carry(store, erp, guarded)
    erp.batches.clear()
    want(store, row("A", payload=STOLEN, asked=asked))
    report = carry(store, erp, guarded)
    assert [parked.because for parked in report.parked] == ["own field"]
    assert erp.batches == []
    assert erp.records["A"] == {"order_number": "A", "status": "paid"}


@pytest.mark.parametrize(
    ("payload", "field"),
    [
        (STOLEN, "orders.erp_number"),
        ('{"order_number":"A","erp_number":null}', "orders.erp_number"),
        ('{"order_number":"A","lines":[{"line_id":"1","picked":"2"}]}', "order_lines.picked"),
        ('{"order_number":"A","more":{"deep":[{"erp_number":"S1"}]}}', "orders.erp_number"),
        ('[{"erp_number":"S1"}]', "orders.erp_number"),
    ],
)
def test_a_row_that_was_put_into_the_outbox_is_stopped_however_deep_the_field_lies(
    store: Store, erp: Destination, guarded: IntegrationMap, payload: str, field: str
) -> None:
    insert(store, payload)
    is_stopped(store, erp, carry(store, erp, guarded), field)


@pytest.mark.parametrize("action", ["cancel", "archive", "delete"])
def test_a_withdrawal_carries_nothing_either(
    store: Store, erp: Destination, guarded: IntegrationMap, action: str
) -> None:
    insert(store, STOLEN, action=action)
    is_stopped(store, erp, carry(store, erp, guarded))


def test_a_row_under_another_entity_s_name_is_held_against_both(
    store: Store, erp: Destination, guarded: IntegrationMap
) -> None:
    insert(store, STOLEN, entity="order_lines")
    is_stopped(store, erp, carry(store, erp, guarded))


def test_a_row_of_nothing_that_the_map_knows_never_leaves(
    store: Store, erp: Destination, guarded: IntegrationMap
) -> None:
    insert(store, STOLEN, flow="by_hand", entity="secrets")
    report = carry(store, erp, guarded)
    assert erp.batches == []
    assert report.applied == 0
    assert select(store, "select cast(status as text) from outbox") == ["parked"]


def test_neither_a_retry_by_a_person_nor_its_run_again_lets_it_through(
    store: Store, erp: Destination, guarded: IntegrationMap
) -> None:
    insert(store, STOLEN)
    carry(store, erp, guarded)
    requeue(store, by_whom="a person", flow=FLOW, key="A")
    is_stopped(store, erp, carry(store, erp, guarded))
    report = carry(store, erp, guarded, run_id="again", redo_run="run")
    assert (erp.batches, report.parked) == ([], [])


def test_what_is_unknown_is_looked_up_and_not_sent_again(
    store: Store, erp: Destination, guarded: IntegrationMap
) -> None:
    insert(store, STOLEN, status="unknown")
    is_stopped(store, erp, carry(store, erp, guarded))


def test_the_rest_of_its_batch_goes_and_the_version_without_the_field_follows(
    store: Store, erp: Destination, guarded: IntegrationMap
) -> None:
    want(store, row("A", payload=STOLEN), row("B"))
    report = carry(store, erp, guarded)
    assert (report.applied, len(report.parked)) == (1, 1)
    want(store, row("A"))
    assert carry(store, erp, guarded).applied == 1
    assert erp.records["A"] == {"order_number": "A", "status": "paid"}
    assert select(store, "select count(*) from alerts where over_at is null") == [0]


def test_a_map_that_no_lint_saw_is_stopped_with_the_models_that_were_written_from_it(
    fresh_world: World, erp: Destination, tmp_path: Path
) -> None:
    """The map gives the ERP its own number back; its models carry it; a person repairs; nothing arrives."""
    draft = Draft(tmp_path)
    draft.entities["orders"]["flows"]["orders_to_erp"]["fields"] += ["erp_number"]
    broken = load_map(draft.write())
    project = tmp_path / "dbt_project"
    shutil.copytree(PROJECT, project)
    write(broken, project)
    world = fresh_world
    world.products("TEE")
    world.say("shopify", "orders", order(1, 0, lines=[line()]), remote_id="1", is_versioned=True)
    sale = {"id": "7", "number": "S7", "reference": "SHOP-1", "state": "draft", "currency": "EUR"}
    world.say("tryton", "sales", {**sale, "total_amount": "20.00", "write_date": at(-1)}, by="poll", remote_id="7")
    world.note("orders", "SHOP-1", "repair", flow="orders_to_erp")
    sync("orders", store=world.store, the_map=broken, run_id="run", project=project, log=lambda _: None)
    with world.store.transaction() as connection:  # what the ERP held before it went live is no delivery of ours
        connection.execute(sa.text("update outbox set status = 'due' where flow = 'orders_to_erp'"))
    assert '"erp_number":"S7"' in world.outbox("orders_to_erp")[0]["payload"]
    connector = HttpDestination(base_url=erp.url)
    report = deliver(world.store, broken, "tryton", connector, run_id="run", log=lambda _: None)
    assert erp.batches == []
    assert ["orders.erp_number, which tryton itself owns" in parked.sentence for parked in report.parked] == [True]


def test_a_role_s_field_goes_to_the_others_of_that_role_and_never_to_the_system_in_which_the_record_began(
    fresh_world: World, erp: Destination, tmp_path: Path
) -> None:
    """Orders of two storefronts, each told to the other: the shop never hears of its own."""
    draft = Draft(tmp_path)
    flow = draft.entities["orders"]["flows"]["orders_to_erp"]
    draft.entities["orders"]["flows"] |= {
        "orders_to_shop": flow | {"to": "shopify", "fields": ["total"], "when": "origin_system <> 'shopify'"}
    }
    draft.systems["shopify"]["takes"]["orders"] = ["total"]
    draft.systems["shopify"]["stores"]["orders"] = {"total": "value"}
    told = load_map(draft.write())
    total = told.entities["orders"].fields["total"]
    assert owns(told, told.entities["orders"], total, told.systems["shopify"]) == "its own records"
    world = fresh_world
    world.products("TEE")
    world.say("shopify", "orders", order(1, 0, lines=[line()]), remote_id="1", is_versioned=True)
    world.say("wholesale", "order_files", {"InvoiceNo": "2", "rows": [
        {"StockCode": "TEE", "Description": "Tee", "Quantity": "1", "InvoiceDate": "2026-11-19 09:00:00",
         "UnitPrice": "10.00", "CustomerID": "1", "Country": "France", "row_number": "1"}]},
        by="file", row_number=1, file_name="orders/2026-11-20.csv", file_occurrence="one")  # fmt: skip
    world.sync("orders")
    for key in ("SHOP-1", "WHOLE-2", "SHOP-3"):  # the third is an order of which nobody has told
        insert(world.store, '{"total":"10.00"}', flow="orders_to_shop", system="shopify", key=key)
    connector = HttpDestination(base_url=erp.url)
    report = deliver(world.store, told, "shopify", connector, run_id="run", log=lambda _: None)
    assert report.applied == 1
    assert list(erp.records) == ["WHOLE-2"]
    assert [parked.key for parked in report.parked] == ["SHOP-1", "SHOP-3"]


def test_nobody_but_the_courier_hands_deliveries_to_a_connector() -> None:
    """The gate stands in one place, so there must be one way out."""
    calls = [
        path.name
        for folder in ("pipelines", "resources")
        for path in sorted((ROOT / folder).rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("connector.deliver")
    ]
    assert calls == ["deliver.py"]

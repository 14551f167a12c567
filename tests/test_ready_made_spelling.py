"""What the ready-made systems make of a body, expression by expression, as the generated models ask them."""

import json
from typing import Any

import duckdb
import pytest

from pipelines.language.library import load_library
from pipelines.language.schema import Says
from resources.host.text import as_payload
from resources.lake.macros import teach

MAGENTO_ORDER = {
    "entity_id": 7, "increment_id": "000000007", "state": "processing", "status": "packed", "order_currency_code": "EUR",
    "created_at": "2026-11-20 11:00:00", "updated_at": "2026-11-20 12:00:00", "grand_total": 100.7, "tax_amount": 15.7,
    "discount_amount": -10, "shipping_amount": 5, "shipping_tax_amount": 0.95, "customer_email": "ada@example.com",
    "items": [
        {"item_id": 1, "product_type": "configurable", "sku": "TEE-L", "name": "Tee", "qty_ordered": 2, "price": 45,
         "tax_percent": 19, "discount_amount": 10},
        {"item_id": 2, "parent_item_id": 1, "product_type": "simple", "sku": "TEE-L", "name": "Tee-L", "qty_ordered": 2,
         "price": 45, "tax_percent": 0},
    ],
}  # fmt: skip
WOO_ORDER = {
    "id": 9, "parent_id": 0, "number": "9", "status": "processing", "currency": "EUR", "customer_id": 0,
    "date_created_gmt": "2026-11-20T11:00:00", "date_modified_gmt": "2026-11-20T12:00:00", "total": "32.00",
    "discount_total": "3.00", "shipping_total": "0.00", "shipping_tax": "0.00", "prices_include_tax": True,
    "billing": {"first_name": "Ada", "last_name": "Moreau", "email": "ada@example.com"},
    "line_items": [{"id": 1, "sku": "TEE", "name": "Tee", "quantity": 3, "subtotal": "30.00", "total": "27.00",
                    "total_tax": "5.13", "price": 9}],
}  # fmt: skip


@pytest.fixture(scope="module")
def speaker() -> duckdb.DuckDBPyConnection:
    """A database that knows our words."""
    connection = duckdb.connect()
    teach(connection)
    return connection


def says(system: str, stream: str, entity: str) -> Says:
    return load_library()[system].streams[stream].says[entity]


def told(speaker: duckdb.DuckDBPyConnection, spelled: Says, body: dict[str, Any]) -> list[dict[str, str | None]]:
    """What the body says: a row for each element that counts, in our words."""
    fields = ", ".join(f'told({expression}) as "{name}"' for name, expression in spelled.fields.items())
    items = f"unnest(as_list({spelled.unfold}))" if spelled.unfold else "cast(null as json)"
    cursor = speaker.execute(
        f"select {fields} from (select payload, {items} as item from (select cast(? as json) as payload)) "
        f"where {spelled.when or 'true'}",
        [as_payload(json.dumps(body).encode())],
    )
    names = [column[0] for column in cursor.description or []]
    rows = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
    return [{name: spelled.words.get(name, {}).get(str(value), value) for name, value in row.items()} for row in rows]


def test_a_variant_of_magento_is_one_line_with_its_own_price_and_rate(speaker: duckdb.DuckDBPyConnection) -> None:
    (line,) = told(speaker, says("magento", "orders", "order_lines"), MAGENTO_ORDER)
    assert (line["sku"], line["quantity"], line["unit_price"], line["tax_rate"]) == ("TEE-L", "2", "45", "0.190000")


def test_an_order_of_magento_tells_a_discount_without_its_sign_and_a_state_and_no_status(
    speaker: duckdb.DuckDBPyConnection,
) -> None:
    (order,) = told(speaker, says("magento", "orders", "orders"), MAGENTO_ORDER)
    assert (order["status"], order["discount_total"], order["shipping_tax_rate"]) == ("paid", "10", "0.190000")


def test_a_line_of_woocommerce_has_the_price_before_its_discount(speaker: duckdb.DuckDBPyConnection) -> None:
    (line,) = told(speaker, says("woocommerce", "orders", "order_lines"), WOO_ORDER)
    assert (line["quantity"], line["unit_price"], line["tax_rate"]) == ("3", "10.000000", "0.190000")


def test_a_free_line_of_woocommerce_has_no_rate_and_is_no_problem(speaker: duckdb.DuckDBPyConnection) -> None:
    free = {**WOO_ORDER["line_items"][0], "subtotal": "0.00", "total": "0.00", "total_tax": "0.00"}  # type: ignore[index]
    (line,) = told(speaker, says("woocommerce", "orders", "order_lines"), WOO_ORDER | {"line_items": [free]})
    assert (line["unit_price"], line["tax_rate"]) == ("0.000000", None)


def test_a_guest_of_woocommerce_is_no_customer(speaker: duckdb.DuckDBPyConnection) -> None:
    spelled = says("woocommerce", "orders", "customers")
    assert told(speaker, spelled, WOO_ORDER) == []
    (customer,) = told(speaker, spelled, WOO_ORDER | {"customer_id": 4})
    assert customer["name"] == "Ada Moreau"


def test_children_into_which_a_marketplace_splits_an_order_are_no_orders_symptom_10(
    speaker: duckdb.DuckDBPyConnection,
) -> None:
    for entity in ("orders", "order_lines"):
        spelled = says("woocommerce", "orders", entity)
        assert len(told(speaker, spelled, WOO_ORDER)) == 1
        assert told(speaker, spelled, WOO_ORDER | {"id": 10, "parent_id": 9}) == []


def test_what_is_no_list_where_one_is_read_is_its_own_only_element_and_no_sum(
    speaker: duckdb.DuckDBPyConnection,
) -> None:
    told = json.dumps({"list": [{"x": "1.50"}, {"x": "2"}], "object": {"nodes": []}, "nothing": None})
    answers = speaker.execute(
        "select len(as_list(told -> place)), sum_in(told -> place, '$.x') from (select cast(? as json) as told), "
        "unnest(['$.list', '$.object', '$.nothing', '$.absent']) as places (place)",
        [told],
    ).fetchall()
    assert answers == [(2, "3.5000000000"), (1, '{"nodes":[]}'), (None, None), (None, None)]

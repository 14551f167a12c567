"""Differences as a sheet: what people read there, and what they wrote into it comes to pass."""

import csv
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from click.testing import CliRunner, Result

from pipelines.commands import main
from pipelines.operations.worksheet import COLUMNS, write_sheet
from tests.fixtures_world import World
from tests.market import Market, sale, shop_order

DEARER, LACKING, STRANGE, FORMULA = 1, 2, 3, 4


def disagree(market: Market) -> Market:
    """Let a shop and an ERP disagree about five orders."""
    orders = [shop_order(DEARER), shop_order(LACKING), shop_order(FORMULA, currencyCode="EUR")]
    sales = [sale(DEARER, "21.50"), sale(STRANGE), sale(FORMULA, currency="USD"), sale(9, reference="=cmd|'/c'!A1")]
    market.look("shopify", "orders_read", *orders)
    market.look("tryton", "sales", *sales)
    market.prove("products", "orders")
    return market


@pytest.fixture(scope="module")
def disagreement(world: World) -> Market:
    return disagree(Market(world.store, world.folder, world.the_map))


@pytest.fixture
def market(disagreement: Market) -> Market:
    """A disagreement that is only looked at, as commands see it."""
    disagreement.enter()
    return disagreement


def differences(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["differences", *map(str, arguments)])


def read(path: Path) -> list[dict[str, Any]]:
    if path.suffix == ".csv":
        with path.open(encoding="utf-8-sig", newline="") as file:
            return list(csv.DictReader(file))
    head, *lines = openpyxl.load_workbook(path).worksheets[0].iter_rows(values_only=True)
    return [dict(zip(map(str, head), line, strict=True)) for line in lines]


def fill(path: Path, **decisions: str) -> None:
    """Write decisions beside the records of that name."""
    rows = read(path)
    for row in rows:
        row["decision"] = decisions.get(str(row["record"]).replace("-", "_"), "")
        row["why"] = "agreed with finance" if row["decision"] else ""
    write_sheet(path, [{name: None if row[name] == "" else row[name] for name in COLUMNS} for row in rows])


@pytest.mark.parametrize("name", ["open.csv", "open.xlsx"])
def test_a_sheet_tells_every_open_difference_and_holds_no_formula(market: Market, tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    assert "5 differences; fill in decision and why" in differences("orders", "--export", path).output
    rows = {str(row["record"]): row for row in read(path)}
    assert set(rows[f"SHOP-{DEARER}"]) == set(COLUMNS)
    assert (rows[f"SHOP-{DEARER}"]["its value"], rows[f"SHOP-{DEARER}"]["its value there"]) == ("20.00", "21.50")
    assert rows[f"SHOP-{LACKING}"]["kind"] == "missing there"
    assert rows[f"SHOP-{LACKING}"]["steward"] == "team:finance"
    planted = next(key for key in rows if "cmd" in key)
    assert planted == ("'=cmd|'/c'!A1" if name.endswith("csv") else "=cmd|'/c'!A1")
    if name.endswith("xlsx"):
        cells = [cell for line in openpyxl.load_workbook(path).worksheets[0].iter_rows() for cell in line]
        assert {cell.data_type for cell in cells} <= {"s", "inlineStr", "n"}, "no cell is a formula"


def test_the_list_says_who_answers_and_what_to_do(market: Market) -> None:
    told = differences("orders").output
    assert f"missing there orders SHOP-{LACKING} (storefront_and_erp, storefront and erp" in told
    assert f"concord repair orders_to_erp SHOP-{LACKING}" in told
    assert "5 differences are open" in told


@pytest.mark.parametrize("name", ["back.csv", "back.xlsx"])
def test_what_cannot_be_is_told_row_by_row_and_nothing_is_taken(market: Market, tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    differences("orders", "--export", path)
    before = market.store.rows("newest_ids")
    fill(path, SHOP_1="do something", SHOP_3="repair", SHOP_2="ignore until 2020-01-01", SHOP_4="correct to EUR")
    result = differences("--take", path)
    assert result.exit_code == 1
    assert "'do something' is no decision; write `repair`, `correct to <value>`" in result.output
    assert "no flow repairs it" in result.output
    assert "2020-01-01 is over; name a day to come" in result.output
    assert market.store.rows("newest_ids") == before
    differences("orders", "--export", path)
    fill(path, SHOP_4="correct to EURO")
    assert "currency cannot be decided to be 'EURO'" in differences("--take", path).output
    assert market.store.rows("newest_ids") == before


def test_a_file_that_is_no_sheet_of_ours_is_told(market: Market, tmp_path: Path) -> None:
    (tmp_path / "other.csv").write_text("a;b\n1;2\n")
    assert "lacks the columns entity, reconciliation" in differences("--take", tmp_path / "other.csv").output
    (tmp_path / "other.xlsx").write_text("no book")
    assert "is no Excel file" in differences("--take", tmp_path / "other.xlsx").output
    assert "neither .csv nor .xlsx" in differences("--export", tmp_path / "x.pdf").output
    assert "no entity 'ordres'" in differences("ordres").output


def test_decisions_come_to_pass(fresh_world: World, tmp_path: Path) -> None:
    market = disagree(Market(fresh_world.store, fresh_world.folder, fresh_world.the_map))
    path = tmp_path / "open.xlsx"
    differences("orders", "--export", path)
    fill(path, SHOP_1="correct to 21.50", SHOP_2="repair", SHOP_3="ignore until 2999-01-01")
    told = differences("--take", path, "--by", "ada")
    assert "3 decisions are taken" in told.output, told.output
    market.prove("orders")
    assert str(market.row("select total from orders where order_number = 'SHOP-1'")["total"]).startswith("21.50")
    assert [row["reason"] for row in market.outbox("orders_to_erp") if row["key"] == "SHOP-2"] == ["new", "repair"]
    kinds = {row["key"]: row["kind"] for row in market.found("orders")}
    assert kinds["SHOP-3"] == "ignored"
    again = differences("orders").output
    assert "SHOP-3" not in again
    assert "SHOP-4" in again
    who = market.rows("select by_whom from ledger_orders where kind in ('decided', 'repair', 'ignored')")
    assert {row["by_whom"] for row in who} == {"ada (agreed with finance)"}

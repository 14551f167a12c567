"""Conflicts are listed with age and steward until a person decides, from the command line or from Dagster's UI."""

import json
from typing import Any

import dagster as dg
import pytest
from click.testing import CliRunner

from pipelines.commands import main
from pipelines.definitions import build
from pipelines.orchestration.checks.scheduled import ScheduledChecks
from resources.lake import lake
from tests.fixtures_world import World, line, order

KEY = "SHOP-1"
ABOUT = {"entity": "orders", "key": KEY, "field": "status"}


@pytest.fixture(scope="module", autouse=True)
def a_step_back(world: World) -> None:
    world.products("TEE")
    for n in (1, 2):
        world.say("shopify", "orders", order(n, 0, [line(n)], financial_status="refunded"))
    world.say("shopify", "orders", order(1, 5, [line(1)], financial_status="paid"))
    world.sync("orders")


def launch(
    world: World, job: str, config: dict[str, str], tags: dict[str, str] | None = None
) -> dg.ExecuteInProcessResult:
    op = {"decide": "record_decision", "revoke": "record_revocation"}[job]
    told = build(world.the_map, {"store": world.store}).resolve_job_def(job)
    return told.execute_in_process(run_config={"ops": {op: {"config": config}}}, tags=tags, raise_on_error=False)


def reason(result: dg.ExecuteInProcessResult) -> str:
    [failed] = [event for event in result.all_events if event.is_step_failure]
    data: Any = failed.step_failure_data
    return str(data.user_failure_data.description)


def ledger(world: World) -> list[dict[str, Any]]:
    with world.store.transaction() as connection:
        rows = connection.exec_driver_sql(
            "select kind, key, field, value, by_whom from ledger where kind in ('decided', 'revoked')"
        )
        return [dict(row) for row in rows.mappings()]


def listed(*arguments: str) -> Any:
    return json.loads(CliRunner().invoke(main, ["conflicts", "--json", *arguments]).output)


def test_a_conflict_waits_for_its_steward_until_a_person_decides_and_comes_back_when_they_revoke(world: World) -> None:
    [conflict] = listed()
    assert conflict["age"] > 0
    assert {name: conflict[name] for name in ("entity", "key", "field", "theirs", "ours", "kind", "steward")} == {
        **ABOUT, "theirs": "paid", "ours": "refunded", "kind": "forbidden", "steward": "team:ecommerce",
    }  # fmt: skip
    assert listed("--steward", "team:finance") == listed("refunds") == []
    told = CliRunner().invoke(main, ["conflicts", "orders"]).output
    assert "shopify says that status of SHOP-1 is paid, and it is refunded here" in told
    assert "`concord decide orders SHOP-1 status ... --why ...`" in told
    with lake.reading(world.store.url, str(world.folder)) as db:
        [check] = ScheduledChecks(world.the_map, []).conflicts("orders", db)
    assert not check.passed
    assert "team:ecommerce answers" in str(check.description)
    [alert] = [row for row in world.store.rows("open_alerts") if row["kind"] == "conflict"]
    assert (alert["subject"], alert["steward"]) == ("orders", "team:ecommerce")

    done = launch(world, "decide", {**ABOUT, "value": "paid", "why": "she called", "by": "eve"})
    assert done.success
    assert ledger(world)[-1] == {
        "kind": "decided",
        "key": KEY,
        "field": "status",
        "value": "paid",
        "by_whom": "eve (she called)",
    }
    world.sync("orders")
    assert world.row(f"select status from orders where order_number = '{KEY}'")["status"] == "paid"
    assert listed() == []
    assert [row for row in world.store.rows("open_alerts") if row["kind"] == "conflict"] == []

    assert launch(world, "revoke", ABOUT, {"concord/by": "ada"}).success
    assert (ledger(world)[-1]["kind"], ledger(world)[-1]["by_whom"]) == ("revoked", "ada")
    world.sync("orders")
    assert len(listed()) == 1


@pytest.mark.parametrize(
    ("job", "config", "says"),
    [
        ("decide", {**ABOUT, "value": "lost", "why": "a test", "by": "eve"}, "Nothing was recorded: status cannot be decided to be 'lost'"),
        ("decide", {**ABOUT, "value": "paid", "why": " ", "by": "eve"}, "A decision needs why"),
        ("decide", {**ABOUT, "value": "paid", "why": "a test"}, "A decision needs by (or the run's tag concord/by)"),
        ("revoke", {**ABOUT, "key": "SHOP-2", "by": "eve"}, "nobody has decided status of orders SHOP-2"),
    ],
)  # fmt: skip
def test_a_decision_that_cannot_be_ends_the_run_with_a_sentence(
    world: World, job: str, config: dict[str, str], says: str
) -> None:
    before = ledger(world)
    result = launch(world, job, config)
    assert not result.success
    assert says in reason(result)
    assert ledger(world) == before


def test_conflicts_of_what_has_none_is_a_sentence(world: World) -> None:
    told = CliRunner().invoke(main, ["conflicts", "unicorns"])
    assert told.exit_code == 2
    assert "there may be about" in told.output


def test_a_record_that_is_decided_and_repaired_at_once_is_delivered_once_more(world: World) -> None:
    world.say("shopify", "orders", order(3, 0, [line(3)]))
    world.sync("orders")
    flow = next(
        row["flow"] for row in world.rows("select flow from wanted_orders where order_number = 'SHOP-3' and is_wanted")
    )
    versions = len([row for row in world.outbox(flow) if row["key"] == "SHOP-3"])
    world.note("orders", "SHOP-3", "decided", field="status", value="paid")
    world.note("orders", "SHOP-3", "repair", flow=flow)
    world.sync("orders")
    born = [row["reason"] for row in world.outbox(flow) if row["key"] == "SHOP-3"][versions:]
    assert born == ["repair"]

"""Business proofs: late within the promise is not wrong, beyond it somebody is told, and what is mended is over."""

from typing import Any

import dagster as dg
import pytest
import sqlalchemy as sa

from pipelines.definitions import build
from pipelines.language.schema import IntegrationMap
from pipelines.orchestration.asset_specs import Lineage, read_models
from pipelines.orchestration.checks.reconciling import ReconcilingChecks
from pipelines.stages.prove import Reconciled, count_differences
from resources.host.settings import ROOT
from resources.lake import lake
from tests.fixtures_world import World, at, order
from tests.wanting import select

PROVED = ("payments", "refunds")


def payment(number: int, order_id: int, captured: int, minutes: float = 1) -> dict[str, Any]:
    """A captured payment as Stripe tells it, in cents."""
    charge = {"amount": captured, "amount_captured": captured, "amount_refunded": 0, "captured": True, "refunded": False,
              "disputed": False, "payment_method_details": {"type": "card", "card": {"brand": "visa"}}}  # fmt: skip
    return {"object": "payment_intent", "id": f"pi_{number}", "amount": captured, "amount_received": captured,
            "currency": "eur", "status": "succeeded", "created": 1795348800, "metadata": {"order_id": order_id},
            "last_payment_error": None, "latest_charge": charge, "as_of": at(minutes)}  # fmt: skip


def told_hours_ago(world: World, hours: int) -> None:
    """Everything that was said was said so long ago."""
    with world.store.transaction() as connection:
        connection.execute(sa.text(f"update inbox set received_at = now() - interval '{hours} hours'"))


def prove(world: World) -> Reconciled:
    world.sync("products", "orders", *PROVED, full=True)
    world.compare(*PROVED)
    return count_differences("payments", store=world.store, the_map=world.the_map)


def alerts(world: World) -> list[str]:
    return list(select(world.store, "select sentence from alerts where over_at is null and subject like 'payments/%'"))


def test_a_difference_is_late_then_wrong_with_its_age_and_over_when_it_is_mended(fresh_world: World) -> None:
    world = fresh_world
    world.products("TEE")
    world.say("shopify", "orders", order(1), is_versioned=True, remote_id="1")
    sale = {"id": "R1", "number": "S1", "reference": "SHOP-1", "state": "processing", "currency": "EUR",
            "total_amount": "20.00", "write_date": at(5)}  # fmt: skip
    world.say("tryton", "sales", sale, by="poll", remote_id="R1")
    world.say("stripe", "payment_intents", payment(1, 1, 2000), payment(2, 1, 2000, minutes=2), payment(3, 77, 500))

    found = prove(world)
    twice, lost = ("captured_against_ordered", "late"), ("paid_but_not_in_the_erp", "late")
    assert {twice, lost} <= found.counts.keys()
    assert found.wrong == 0
    assert alerts(world) == []

    told_hours_ago(world, 3)
    found = prove(world)
    assert found.counts[("captured_against_ordered", "captured twice")] == 1
    assert found.counts[("paid_but_not_in_the_erp", "no order")] == 1
    row = world.row("select * from proofs_payments where kind = 'captured twice'")
    assert (row["key"], row["one_value"], row["other_value"]) == ("SHOP-1", "40.00 EUR", "20.00 EUR")
    assert row["age"].total_seconds() == pytest.approx(3 * 3600, abs=120)
    assert "STRIPE-pi_1, STRIPE-pi_2" in row["next_step"]
    sentences = [told for told in found.over_alarm if told.startswith("captured against ordered: ")]
    assert sentences == [
        "captured against ordered: 1 captured twice; team:finance answers; the rows with what to do stand in proofs_payments"
    ]
    assert set(sentences) <= set(alerts(world))
    judged = ReconcilingChecks(world.the_map).judged(
        "payments", counts=found.counts, records=found.records, sentences=found.over_alarm
    )
    assert {told.check_name: told.passed for told in judged} == {
        "paid_but_not_in_the_erp": False, "captured_against_ordered": False, "captured_against_invoiced": False,
    }  # fmt: skip

    charge = {**payment(2, 1, 2000)["latest_charge"], "amount_refunded": 2000, "refunded": True}
    world.say("stripe", "payment_intents", {**payment(2, 1, 2000, minutes=9), "latest_charge": charge})
    told_hours_ago(world, 3)
    found = prove(world)
    assert not any(proof == "captured_against_ordered" for proof, _ in found.counts)
    assert not any("captured against ordered" in sentence for sentence in alerts(world))

    run = proved_in_dagster(world, "refunds")
    rows = {
        event.asset_key.path[-1]: event.materialization.metadata
        for event in run.get_asset_materialization_events()
        if event.asset_key
    }
    assert {"proofs_refunds", "over_refunded", "refunded_but_not_credited"} <= rows.keys()
    assert rows["proofs_refunds"]["dagster/row_count"].value == 0
    assert "dagster/row_count" not in rows["over_refunded"], "a view is not asked a second time"


def proved_in_dagster(world: World, entity: str) -> dg.ExecuteInProcessResult:
    """What a run of the entity's proofs tells, in a process that has read nothing of the lake before."""
    lake.close()
    told = build(world.the_map, {"store": world.store})
    keys = [spec.key for spec in Lineage(world.the_map, read_models()).proved(entity)]
    run = told.resolve_job_def(f"reconcile_{entity}").execute_in_process(asset_selection=keys)
    assert run.success
    return run


def test_every_business_proof_has_its_check_its_schedule_and_a_story(the_map: IntegrationMap) -> None:
    repository = build(the_map).get_repository_def()
    schedules = {schedule.job_name: schedule.cron_schedule for schedule in repository.schedule_defs}
    checks = {(key.asset_key.to_user_string(), key.name) for key in repository.asset_graph.asset_check_keys}
    stories = "\n".join(path.read_text() for path in (ROOT / "tests" / "stories").glob("*.yaml"))
    for entity in the_map.entities.values():
        for name, proof in entity.proofs.items():
            assert (f"proofs_{entity.entity}", name) in checks
            assert schedules[f"reconcile_{entity.entity}"] == proof.every
            assert f"proof: {name}," in stories or f"{name}: [" in stories

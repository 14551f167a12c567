"""What Dagster loads: assets, jobs, sensors and checks of the map, and what runs do against a real database and lake."""

import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import dagster as dg
import pytest
import sqlalchemy as sa
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.errors import DagsterExecutionInterruptedError
from dagster._core.execution.api import execute_run

from pipelines.compiler.generate import fingerprint
from pipelines.definitions import Unset, build, connector_of
from pipelines.language.connectors import connector_class, connector_for
from pipelines.language.schema import IntegrationMap
from pipelines.orchestration.asset_specs import Lineage, read_models
from pipelines.orchestration.assets import in_one_sentence
from pipelines.orchestration.checks.settling import Batch, SettlingChecks
from pipelines.orchestration.sensors import SETTLED, Reason, Sensors, sentence_of
from pipelines.runtime.launcher import niceness
from pipelines.stages.arrive import has_changed
from pipelines.stages.drift import LEARNING
from pipelines.stages.drift_baseline import IN_A_ROW
from resources.lake import lake
from resources.store.store import Store
from tests.destination import Destination, HttpDestination, running_destination
from tests.drifting_shop import Shop
from tests.fixtures_world import World, order

LOADING = """
from pipelines.definitions import defs
repository = defs.get_repository_def()
for job in repository.get_all_jobs():
    job.get_job_snapshot_id()
print(len(repository.get_all_jobs()))
"""
SEEN_BY_NOBODY = Unset(why="the shop cannot be reached, for this test needs none")


@pytest.fixture(scope="module")
def destination() -> Iterator[Destination]:
    with running_destination() as server:
        yield server


@pytest.fixture(scope="module")
def defs(world: World, destination: Destination) -> dg.Definitions:
    """The sandbox merchant's definitions over a database and lake of their own, with a real server as ERP."""
    world.sync()
    erp = HttpDestination(base_url=destination.url)
    return build(world.the_map, {"store": world.store, "tryton": erp, "shopify": SEEN_BY_NOBODY}, head_start=0)


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as found:
        yield found


def run(
    defs: dg.Definitions, instance: dg.DagsterInstance, job: str, again: dg.DagsterRun | None = None, **config: Any
) -> dg.JobExecutionResult:
    """Execute a job in this process; with `again`, as a person re-executes that run."""
    found = defs.resolve_job_def(job)
    told = instance.create_run_for_job(
        found,
        parent_run_id=again.run_id if again else None,
        root_run_id=(again.root_run_id or again.run_id) if again else None,
        run_config=config or None,
        tags=found.tags,
    )
    return execute_run(InMemoryJob(found), told, instance)


def sentence(result: dg.JobExecutionResult) -> str:
    """What a failed run says for a person."""
    failed = [event for event in result.all_events if event.event_type == dg.DagsterEventType.STEP_FAILURE]
    assert len(failed) == 1
    told = failed[0].step_failure_data.user_failure_data
    assert told is not None, failed[0].step_failure_data.error
    return told.description or ""


def tick(defs: dg.Definitions, instance: dg.DagsterInstance, sensor: str, job: str) -> dg.RunRequest | str:
    """What a sensor asks for of a job, or why it does not."""
    found = defs.get_repository_def().get_sensor_def(sensor)
    resources = {key: (defs.resources or {})[key] for key in found.required_resource_keys}
    with dg.build_sensor_context(instance=instance, resources=resources, sensor_name=sensor) as context:
        told = found.evaluate_tick(context)
    asked = [request for request in told.run_requests or [] if request.job_name == job]
    assert len(asked) <= 1
    return asked[0] if asked else str(told.skip_message or "")


def targets(sensor: dg.SensorDefinition) -> set[str]:
    """The jobs of which a sensor may ask for runs."""
    return {target.job_name for target in sensor.targets}


def news(instance: dg.DagsterInstance, world: World, entity: str, head_start: float = 0) -> Reason | None:
    """Why a sync of the entity is asked for now, or what it waits for."""
    marks = {one.entity: fingerprint(world.the_map, one.entity) for one in world.the_map.roots}
    sensors = Sensors(world.the_map, marks, {}, has_changed, {}, head_start)
    return sensors.reasons(world.store, instance).get(entity)


def is_asked(instance: dg.DagsterInstance, world: World, entity: str) -> bool:
    reason = news(instance, world, entity)
    return reason is not None and reason.is_news


def waits_for(instance: dg.DagsterInstance, world: World, entity: str) -> str:
    reason = news(instance, world, entity)
    return reason.told if reason else ""


def metadata_of(result: dg.JobExecutionResult, *key: str) -> dict[str, Any]:
    """The metadata of the one materialization of an asset."""
    told = [
        event.step_materialization_data.materialization
        for event in result.all_events
        if event.is_step_materialization and event.asset_key == dg.AssetKey(key)
    ]
    assert len(told) == 1
    return {name: value.value for name, value in told[0].metadata.items()}


def checks_of(result: dg.JobExecutionResult) -> dict[str, dg.AssetCheckEvaluation]:
    """The check results of a run, by asset and check."""
    return {
        f"{found.asset_key.to_user_string()}: {found.check_name}": found
        for found in result.get_asset_check_evaluations()
    }


def test_definitions_load_without_a_database():
    nowhere = {"CONCORD_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none", "CONCORD_DAGSTER_URL": ""}
    done = subprocess.run(
        [sys.executable, "-c", LOADING], env=os.environ | nowhere, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 20


def test_every_entity_has_its_sync_sensor_and_checks(defs: dg.Definitions, the_map: IntegrationMap):
    repository = defs.get_repository_def()
    jobs = {job.name for job in repository.get_all_jobs()}
    sensors = {sensor.name: sensor for sensor in repository.sensor_defs}
    schedules = {schedule.name: schedule for schedule in repository.schedule_defs}
    for entity in the_map.roots:
        name = entity.entity
        assert f"sync_{name}" in targets(sensors["news"])
        assert schedules[f"at_check_{name}"].job_name == f"check_{name}"
        assert defs.resolve_job_def(f"check_{name}").asset_layer.asset_graph.asset_check_keys
        for proof in entity.reconcile:
            assert schedules[f"at_reconcile_{name}_{proof}"].job_name == f"reconcile_{name}"
    assert {job for sensor in sensors.values() if sensor.name != "failed_runs" for job in targets(sensor)} <= jobs
    assert {schedule.job_name for schedule in schedules.values()} <= jobs
    assert all(sensor.default_status == dg.DefaultSensorStatus.RUNNING for sensor in sensors.values())
    assert all(schedule.default_status == dg.DefaultScheduleStatus.RUNNING for schedule in schedules.values())


def test_every_polled_stream_and_drop_folder_is_looked_at_and_every_destination_has_its_courier(
    defs: dg.Definitions, the_map: IntegrationMap
):
    sensors = {sensor.name: sensor for sensor in defs.get_repository_def().sensor_defs}
    for system in the_map.systems.values():
        for name, stream in system.streams.items():
            if stream.is_polled:
                assert f"poll_{system.system}_{name}" in targets(sensors[f"changes_{system.system}"])
        if system.takes:
            assert f"deliver_{system.system}" in targets(sensors["due_deliveries"])


def test_what_a_system_holds_is_looked_at_once_where_a_proof_looks_by_the_same_cron(
    defs: dg.Definitions, the_map: IntegrationMap
):
    every = {schedule.name: schedule.cron_schedule for schedule in defs.get_repository_def().schedule_defs}
    looked_at = [
        (system.system, name, stream.arrives.snapshot)
        for system in the_map.systems.values()
        for name, stream in system.streams.items()
        if stream.arrives.snapshot
    ]
    proved = {
        (job, key.path[-1]): every[f"at_{job}_{proof}"]
        for entity in the_map.roots
        for proof in entity.reconcile
        for job in [f"reconcile_{entity.entity}"]
        for key in defs.resolve_job_def(job).asset_layer.selected_asset_keys
    }
    for system, stream, cron in looked_at:
        crons = {by for (_, asset), by in proved.items() if asset == f"{system}_{stream}_snapshot"}
        assert (f"at_snapshot_{system}_{stream}" in every) != (cron in crons)
    assert any(f"at_snapshot_{system}_{stream}" in every for system, stream, _ in looked_at)
    assert not all(f"at_snapshot_{system}_{stream}" in every for system, stream, _ in looked_at)


def test_in_dagster_a_drop_folder_is_what_it_is_elsewhere(the_map: IntegrationMap, monkeypatch: pytest.MonkeyPatch):
    partners = [one for one in the_map.systems.values() if "drops" in connector_class(one).model_fields]
    assert {one.system for one in partners if one.drops} == {"supplier", "warehouse"}
    for partner in partners:
        for setting in partner.settings.values():
            monkeypatch.setenv(setting.env, "file:///nowhere")
        alike = connector_for(partner).model_dump(include={"streams", "drops"})
        assert connector_of(partner).model_dump(include={"streams", "drops"}) == alike


def test_every_asset_has_a_group_an_owner_and_a_description(defs: dg.Definitions):
    graph = defs.resolve_asset_graph()
    nodes = [graph.get(key) for key in graph.get_all_asset_keys()]
    assert len(nodes) > 40
    assert [node.key for node in nodes if not (node.owners and node.description and node.group_name != "default")] == []


def test_every_check_has_a_description(defs: dg.Definitions):
    graph = defs.resolve_asset_graph()
    assert len(graph.asset_check_keys) > 30
    assert [key for key in graph.asset_check_keys if not graph.get_check_spec(key).description] == []


def test_lineage_leads_from_what_senders_tell_to_what_destinations_hold(defs: dg.Definitions):
    graph = defs.resolve_asset_graph()

    def parents(*key: str) -> set[str]:
        return {parent.to_user_string() for parent in graph.get(dg.AssetKey(key)).parent_keys}

    assert parents("stg_orders") == {
        "stg_order_lines",
        "shopify/shopify_orders",
        "shopify/shopify_orders_deleted",
        "shopify/shopify_orders_read",
        "tryton/tryton_sales",
        "wholesale/wholesale_order_files",
    }
    assert parents("orders") == {"stg_orders"}
    assert {"orders", "products"} <= parents("order_lines")
    assert {"orders", "order_lines", "orders_conflicts"} <= parents("wanted_orders")
    assert parents("tryton", "orders_to_erp") == {"wanted_orders"}
    assert parents("snapshots_orders") == {"shopify/shopify_orders_read_snapshot", "tryton/tryton_sales_snapshot"}
    assert {"snapshots_orders", "orders"} <= parents("reconcile_orders")
    assert parents("shopify", "shopify_orders") == set()


def test_columns_carry_the_maps_types_meanings_and_owners(the_map: IntegrationMap):
    lineage = Lineage(the_map, read_models())
    (orders,) = [spec for spec in lineage.settled("orders") if spec.key == dg.AssetKey("orders")]
    columns = {column.name: column for column in orders.metadata["dagster/column_schema"].columns}
    assert columns["total"].type == "money"
    assert "owned by storefront" in columns["total"].description
    assert columns["status"].type == "placed → paid → refunded → cancelled"
    assert not columns["order_number"].constraints.nullable


def test_a_sync_settles_enqueues_and_delivers_in_one_run_and_says_so_in_numbers(
    defs: dg.Definitions, instance: dg.DagsterInstance, world: World, destination: Destination
):
    world.products("TEE")
    number = world.number()
    world.say("shopify", "orders", order(number))
    result = run(defs, instance, "sync_orders")
    assert result.success
    assert f"SHOP-{number}" in destination.records
    assert metadata_of(result, "orders")["dagster/row_count"] >= 1
    assert metadata_of(result, "orders")["messages applied"] >= 1
    assert metadata_of(result, "shopify", "shopify_orders")["new messages"] >= 1
    delivered = metadata_of(result, "tryton", "orders_to_erp")
    assert 0 < delivered["integrity rate (%)"] <= 100
    assert 0 < delivered["lag p50 (s)"] <= delivered["lag p95 (s)"]
    assert delivered["lag promised (s)"] == 120.0
    checks = checks_of(result)
    assert checks["orders_verdicts: books_balance"].passed
    assert checks["tryton/orders_to_erp: nothing_is_parked"].passed
    assert set(checks) == {
        "orders_verdicts: books_balance",
        "orders_quarantine: few_are_quarantined",
        "stg_orders: statuses_are_mapped",
        "tryton/orders_to_erp: nothing_is_parked",
        "tryton/orders_to_erp: lag_is_kept",
    }


def test_a_run_that_parks_fails_with_one_sentence_and_doing_it_again_does_only_what_was_open(
    defs: dg.Definitions, instance: dg.DagsterInstance, world: World, destination: Destination
):
    world.products("TEE")
    good, bad = world.number(), world.number()
    destination.refused.add(f"SHOP-{bad}")
    world.say("shopify", "orders", order(good), order(bad))
    failed = run(defs, instance, "sync_orders")
    assert not failed.success
    told = sentence(failed)
    assert f"SHOP-{bad}" in told
    assert "the postcode is too long" in told
    assert "team:finance answers" in told
    assert "re-execute" in told
    assert metadata_of(failed, "tryton", "orders_to_erp")["parked"] == 1
    assert not checks_of(failed)["tryton/orders_to_erp: nothing_is_parked"].passed
    assert destination.versions_of(f"SHOP-{good}") == [1]

    context = dg.build_run_status_sensor_context(
        sensor_name="failed_runs",
        dagster_event=failed.get_run_failure_event(),
        dagster_instance=instance,
        dagster_run=failed.dagster_run,
        resources={"store": world.store},
    ).for_run_failure()
    defs.get_repository_def().get_sensor_def("failed_runs")(context)
    (alert,) = [row for row in world.store.rows("open_alerts") if row["subject"] == "sync_orders"]
    assert alert["sentence"] == told

    destination.refused.clear()
    destination.batches.clear()
    ordinary = run(defs, instance, "deliver_tryton")
    assert ordinary.success, "an ordinary run leaves alone what waits for a person"
    assert destination.batches == []

    again = run(defs, instance, "sync_orders", again=failed.dagster_run)
    assert again.success
    assert destination.batches == [[f"SHOP-{bad}"]]
    assert checks_of(again)["tryton/orders_to_erp: nothing_is_parked"].passed
    assert [row for row in world.store.rows("open_alerts") if row["subject"] == "sync_orders"] == []


def test_a_destination_that_is_down_fails_the_run_in_one_sentence_until_its_breaker_opens(
    defs: dg.Definitions, instance: dg.DagsterInstance, world: World, destination: Destination
):
    world.products("TEE")
    world.say("shopify", "orders", order(world.number()))
    destination.stop()
    try:
        failed = run(defs, instance, "sync_orders")
        assert "refused the connection" in sentence(failed)
        assert "team:finance answers" in sentence(failed)
        assert isinstance(tick(defs, instance, "due_deliveries", "deliver_tryton"), dg.RunRequest | str)
        with world.store.transaction() as connection:
            connection.execute(sa.text("update outbox set due_at = now() where status = 'due'"))
            connection.execute(
                sa.text(
                    "update destinations set failures = 9, open_until = now() + interval '1 minute' where system = 'tryton'"
                )
            )
        assert "left alone" in str(tick(defs, instance, "due_deliveries", "deliver_tryton"))
    finally:
        destination.start()
    with world.store.transaction() as connection:
        connection.execute(sa.text("update destinations set failures = 0, open_until = null where system = 'tryton'"))
    asked = tick(defs, instance, "due_deliveries", "deliver_tryton")
    assert isinstance(asked, dg.RunRequest), asked
    assert run(defs, instance, "deliver_tryton").success


def test_an_entity_is_not_settled_before_what_it_refers_to(
    defs: dg.Definitions, instance: dg.DagsterInstance, store: Store
):
    """The first start: orders cannot be held against products that nobody has settled yet."""
    sensor = defs.get_repository_def().get_sensor_def("news")
    with dg.build_sensor_context(instance=instance, resources={"store": store}) as context:
        asked = {request.job_name for request in sensor.evaluate_tick(context).run_requests or []}
    assert "sync_products" in asked
    assert "sync_orders" not in asked, "orders wait until products was settled once"


def test_nothing_is_compared_until_what_it_reads_was_settled_once(
    defs: dg.Definitions, instance: dg.DagsterInstance, store: Store
):
    """Of returns; what may never be settled elsewhere, as stock or prices, holds nobody's proof up."""
    schedule = defs.get_repository_def().get_schedule_def("at_prove_returns_returned_but_not_refunded")
    settled = (
        "insert into batches (entity, after_inbox_id, upto_inbox_id, after_ledger_id, upto_ledger_id, fingerprint, is_full,"
        " settled_at) values (:entity, 0, 0, 0, 0, 'mark', false, now())"
    )
    first, *others = ["orders", "receipts", "refunds", "returns"]
    for entities, says in (([], first), (others, first)):
        with store.transaction() as connection:
            for entity in entities:
                connection.execute(sa.text(settled), {"entity": entity})
        with dg.build_schedule_context(instance=instance, resources={"store": store}) as context:
            told = schedule.evaluate_tick(context)
        assert told.skip_message == f"nothing is compared until {says} was settled once"
    with store.transaction() as connection:
        connection.execute(sa.text(settled), {"entity": first})
    with dg.build_schedule_context(instance=instance, resources={"store": store}) as context:
        assert schedule.evaluate_tick(context).run_requests


def test_a_sync_is_asked_for_once_for_all_that_arrived(
    defs: dg.Definitions, instance: dg.DagsterInstance, world: World
):
    world.sync()
    assert news(instance, world, "orders") is None
    world.say("shopify", "orders", order(world.number()), order(world.number()), order(world.number()))
    asked = tick(defs, instance, "news", "sync_orders")
    assert isinstance(asked, dg.RunRequest)
    assert asked.run_key is None
    job = defs.resolve_job_def("sync_orders")
    told = instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED)
    assert waits_for(instance, world, "orders") == "a run of sync_orders is under way"
    instance.add_run_tags(told.run_id, {SETTLED: "7"})
    assert is_asked(instance, world, "orders"), "what came after its batch needs another run"
    world.sync("orders")
    assert news(instance, world, "orders") is None


def was_settled(world: World, entity: str, seconds_ago: int) -> None:
    """Move all batches in time, so that the entity's last one was opened so long ago. One that was opened just now ends in
    the future: who comes after must find it in the past again.
    """
    last = "(select now() - max(opened_at) from batches where entity = :entity) - make_interval(secs => :ago)"
    moved = f"update batches set opened_at = opened_at + {last}, settled_at = settled_at + {last}"
    with world.store.transaction() as connection:
        connection.execute(sa.text(moved), {"entity": entity, "ago": seconds_ago})


def test_a_new_map_is_settled_once_also_while_a_process_with_the_old_one_still_runs(
    defs: dg.Definitions, instance: dg.DagsterInstance, world: World
):
    world.sync("products")
    assert news(instance, world, "products") is None
    columns = "after_inbox_id, upto_inbox_id, after_ledger_id, upto_ledger_id, is_full"
    with world.store.transaction() as connection:  # as a process with a newer map does
        connection.execute(
            sa.text(
                f"insert into batches (entity, fingerprint, settled_at, {columns}) select entity, 'newer', now(), {columns} "
                "from batches where entity = 'products' order by batch_id desc limit 1"
            )
        )
    assert news(instance, world, "products") is None
    with world.store.transaction() as connection:
        connection.execute(sa.text("update batches set fingerprint = 'older' where entity = 'products'"))
    assert news(instance, world, "products") == Reason("the map says something new of it")
    world.sync("products")


def test_what_an_entity_reads_brings_about_its_sync(defs: dg.Definitions, instance: dg.DagsterInstance, world: World):
    world.sync("sellable")
    assert news(instance, world, "sellable") is None
    world.say("tryton", "stock", {"sku": "TEE", "location": "MAIN", "quantity": str(world.number()), "as_of": "2026-11-20T12:00:00Z"},
              by="poll", remote_id="TEE@MAIN")  # fmt: skip
    world.sync("stock")
    was_settled(world, "sellable", seconds_ago=0)
    assert (
        waits_for(instance, world, "sellable")
        == "was settled a moment ago; its promise leaves 10 s between two batches"
    )
    was_settled(world, "sellable", seconds_ago=60)
    assert is_asked(instance, world, "sellable")


def test_after_a_start_what_is_realtime_goes_first(instance: dg.DagsterInstance, world: World):
    defs = build(world.the_map, {"store": world.store, "tryton": SEEN_BY_NOBODY}, head_start=60)
    world.sync("products")  # orders wait for them
    world.say("shopify", "orders", order(world.number()))
    assert is_asked(instance, world, "orders")
    first = "Concord has just started: what is realtime goes first"
    assert news(instance, world, "stock", head_start=60) == Reason(first, is_news=False)
    assert tick(defs, instance, "changes_tryton", "poll_tryton_sales") == first
    assert tick(defs, instance, "due_deliveries", "deliver_tryton") == first
    world.sync("orders")


def test_what_is_realtime_does_not_wait_and_what_only_echoes_does(
    defs: dg.Definitions, instance: dg.DagsterInstance, world: World
):
    number = world.number()
    world.say("shopify", "orders", order(number))
    world.sync("orders")
    world.say("tryton", "sales", {"id": number, "number": "1", "reference": f"SHOP-{number}", "state": "confirmed",
              "currency": "EUR", "total_amount": "20.00", "write_date": "2026-11-20T12:00:00Z"}, by="poll", remote_id="1")  # fmt: skip
    was_settled(world, "orders", seconds_ago=0)
    assert "its promise leaves 15 s between two batches" in waits_for(instance, world, "orders")
    world.say("shopify", "orders", order(world.number()))
    assert is_asked(instance, world, "orders")
    was_settled(world, "orders", seconds_ago=600)


def test_runs_that_fail_before_they_settle_are_asked_for_ever_less_often(
    defs: dg.Definitions, instance: dg.DagsterInstance, world: World
):
    world.say("shopify", "orders", order(world.number()))
    assert is_asked(instance, world, "orders")
    told = instance.create_run_for_job(defs.resolve_job_def("sync_orders"))
    instance.report_run_failed(told)
    assert "the last 1 runs of sync_orders failed; the next begins in" in waits_for(instance, world, "orders")


def test_a_system_that_does_not_answer_is_told_to_its_steward_and_asked_again(
    defs: dg.Definitions, instance: dg.DagsterInstance, world: World
):
    told = str(tick(defs, instance, "changes_shopify", "poll_shopify_variants"))
    assert "shopify did not answer when asked for orders_read" in told
    assert "team:ecommerce answers" in told
    (alert,) = [row for row in world.store.rows("open_alerts") if row["subject"] == "shopify/orders_read"]
    assert alert["steward"] == "team:ecommerce"


def test_a_status_that_the_map_does_not_know_is_a_failed_check_that_names_file_and_fix(
    defs: dg.Definitions, instance: dg.DagsterInstance, world: World
):
    world.say("shopify", "orders", order(world.number(), financial_status="teleported"))
    check = checks_of(run(defs, instance, "sync_orders"))["stg_orders: statuses_are_mapped"]
    assert not check.passed
    assert "teleported" in (check.description or "")
    assert "map/systems/shopify.yaml" in (check.description or "")


def test_a_message_without_a_verdict_is_a_failed_check_that_names_it(defs: dg.Definitions, world: World):
    world.sync("orders")
    world.say("shopify", "orders", order(world.number()))
    newest = world.store.one("newest_ids")
    assert newest is not None
    batch = Batch(newest["inbox_id"] - 1, newest["inbox_id"])
    judge = SettlingChecks(world.the_map).judged
    with lake.reading(world.store.url, str(world.folder)) as db:
        checks = list(judge("orders", steward="team:ecommerce", store=world.store, batch=batch, db=db))
    books = next(check for check in checks if check.check_name == "books_balance")
    assert not books.passed
    assert f"inbox_id {newest['inbox_id']}" in (books.description or "")
    assert "team:ecommerce answers" in (books.description or "")


def test_scheduled_checks_listen_for_silent_senders_and_run_dbts_tests_symptom_11(
    defs: dg.Definitions, instance: dg.DagsterInstance, world: World
):
    world.say("shopify", "orders", *(order(world.number()) for _ in range(6)))
    n = world.number()
    world.say("shopify", "orders", order(n, 0, financial_status="refunded"), order(n, 5, current_total_price="99.00"))
    world.sync("orders")
    with world.store.transaction() as connection:  # heard every hour, and for a day not at all
        connection.execute(
            sa.text(
                "update inbox set received_at = now() - interval '1 day' - interval '1 hour' * (inbox_id % 8) "
                "where system = 'shopify' and stream = 'orders'"
            )
        )
    result = run(defs, instance, "check_orders")
    assert result.success
    checks = checks_of(result)
    silent = checks["shopify/shopify_orders: sender_is_heard"]
    assert not silent.passed
    assert "team:ecommerce answers" in (silent.description or "")
    conflicts = checks["orders_conflicts: no_conflict_waits"]
    assert not conflicts.passed
    told = str(conflicts.description)
    assert f"shopify says that status of SHOP-{n} is paid, and it is refunded here, for 0.0 h" in told
    assert "team:ecommerce answers" in told
    assert "last day's" in str(checks["orders_flags: few_are_flagged"].description)
    assert checks["orders: order_number_is_unique"].passed
    assert checks["orders_verdicts: inbox_id_is_unique"].passed


def test_a_look_for_drift_fails_the_checks_of_what_drifted_and_names_who_answers(
    instance: dg.DagsterInstance, store: Store, the_map: IntegrationMap
):
    shop = Shop(store, the_map)
    defs = build(the_map, {"store": store, "tryton": SEEN_BY_NOBODY, "shopify": SEEN_BY_NOBODY})

    def change(told: dict[str, Any]) -> None:
        del told["currency"]
        told |= {"gift_note": "for Ada", "source_name": "an app"}

    shop.posts(LEARNING)
    result = run(defs, instance, "drift")
    assert result.success
    assert all(check.passed for check in checks_of(result).values())
    assert (
        len(checks_of(result)) == 2 * sum(len(s.streams) for s in the_map.systems.values()) + len(the_map.systems) + 1
    )
    shop.posts(IN_A_ROW, change)
    result = run(defs, instance, "drift")
    assert result.success, "what arrived is told by checks; the look itself went well"
    failed = {name: check for name, check in checks_of(result).items() if not check.passed}
    assert sorted(failed) == [
        "shopify/shopify_orders: contract_is_kept",
        "shopify/shopify_orders: fields_are_known",
        "unclaimed: shopify_is_known",
    ]
    words = {
        "contract_is_kept": "no longer carries $.currency, which the map reads as a value for orders.currency",
        "fields_are_known": "a field that the map does not read: $.gift_note",
        "shopify_is_known": "was written by one whom the map does not know: an app",
    }
    for name, check in failed.items():
        assert words[name.partition(": ")[2]] in (check.description or "")
        assert "team:ecommerce answers" in (check.description or "")
    severities = {name.partition(": ")[2]: check.severity for name, check in failed.items()}
    assert severities["contract_is_kept"] == dg.AssetCheckSeverity.ERROR
    assert severities["fields_are_known"] == dg.AssetCheckSeverity.WARN


def test_a_run_that_is_stopped_in_the_middle_of_a_query_is_stopped_and_has_not_failed():
    with pytest.raises(DagsterExecutionInterruptedError), in_one_sentence(None, "team:it"):
        raise RuntimeError("Query interrupted")  # DuckDB's word for a signal


def test_a_run_that_was_stopped_says_so_and_that_nothing_is_lost(instance: dg.DagsterInstance):
    @dg.op
    def stopped() -> None:
        raise DagsterExecutionInterruptedError

    @dg.job
    def long_job() -> None:
        stopped()

    ended = long_job.execute_in_process(instance=instance, raise_on_error=False)
    context = dg.build_run_status_sensor_context(
        sensor_name="failed_runs",
        dagster_event=ended.get_step_failure_events()[0],
        dagster_instance=instance,
        dagster_run=ended.dagster_run,
    ).for_run_failure()
    assert sentence_of(context).startswith("it was stopped, with Concord or by a person; nothing is lost")


def test_what_is_old_is_forgotten_and_the_books_are_not(
    defs: dg.Definitions, instance: dg.DagsterInstance, world: World
):
    with world.store.transaction() as connection:
        connection.execute(
            sa.text(
                "insert into alerts (subject, kind, steward, sentence, over_at) "
                "values ('old', 'failed run', 'nobody', 'it is over', now() - interval '1 year')"
            )
        )
    before = world.store.one("newest_ids")
    assert run(defs, instance, "retention").success
    assert world.store.one("newest_ids") == before
    with world.store.transaction() as connection:
        assert connection.execute(sa.text("select count(*) from alerts where subject = 'old'")).scalar_one() == 0


def test_whoever_takes_a_sync_s_turn_gives_way_no_further_than_the_sync(defs: dg.Definitions) -> None:
    def gives_way(job: str) -> int:
        return niceness(defs.resolve_job_def(job).tags)

    for name in ("orders", "sellable"):
        assert gives_way(f"reconcile_{name}") == gives_way(f"sync_{name}")
    assert gives_way("sync_orders") == 0
    assert gives_way("check_orders") > gives_way("sync_stock") > 0

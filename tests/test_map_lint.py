"""Each rule of the lint breaks the map in one place, and reads one message that names file, key and fix."""

import shutil
from pathlib import Path
from random import Random

import pytest

from pipelines.language.lint import (
    allocation,
    consent,
    contracts,
    cross_entity,
    destinations,
    drift,
    effective_dates,
    flows,
    lookups,
    matching,
    names,
    ownership,
    pricing,
    reconciliation,
    routing,
    row_ownership,
    slices,
    statuses,
    streams,
    systems,
    totals,
    uniqueness,
)
from pipelines.language.lint.report import Finding, lint
from pipelines.language.lint.rule import RULES, Rule
from pipelines.language.schema import MapProblem, load_map
from tests.map_draft import Draft

ORDERS, SHOPIFY = "map/entities/orders.yaml: ", "map/systems/shopify.yaml: "
CONSENTS = "map/entities/consents.yaml: "
ADDRESSES = "map/entities/addresses.yaml: "


@pytest.fixture
def draft(tmp_path: Path) -> Draft:
    return Draft(tmp_path)


def test_the_map_is_clean_and_each_of_its_flows_is_firm():
    report = lint(load_map())
    assert [str(finding) for finding in report.findings if finding.severity != "hint"] == []
    assert [verdict.flow for verdict in report.verdicts if not verdict.is_firm] == []


def test_every_rule_is_broken_by_a_test():
    text = Path(__file__).read_text()
    assert [rule.__name__ for rule in RULES if f".{rule.__name__}" not in text] == []
    assert all(rule.__doc__ for rule in RULES)


# Names


def test_a_name_that_cannot_be_a_table_is_found(draft: Draft):
    draft.entities["stock"]["reconcile"] = {
        "Shelf check": {"between": ["wms", "us"], "fields": {}, "every": "0 3 * * *", "steward": "team:logistics"}
    }
    draft.reads(names.names_are_plain, "map/entities/stock.yaml: Shelf check: ", "lower case letters")


def test_two_flows_of_one_name_are_found(draft: Draft):
    draft.entities["stock"]["flows"]["products_in"] = draft.entities["stock"]["flows"].pop("erp_stock_in")
    found = draft.findings()
    assert {finding.rule for finding in found} == {names.flow_names_are_unique.__name__}
    assert {finding.place.file for finding in found} == {"map/entities/products.yaml", "map/entities/stock.yaml"}
    assert all("rename one of them" in finding.says for finding in found)


def test_a_flow_from_an_unknown_system_is_found(draft: Draft):
    draft.entities["orders"]["flows"]["orders_in"]["from"] = "storefrnt"
    draft.reads(names.flows_name_systems, ORDERS + "flows.orders_in.from: ", "did you mean storefront?")


def test_a_flow_to_a_role_that_no_system_has_is_found(draft: Draft):
    draft.entities["orders"]["flows"]["orders_to_erp"]["to"] = "oms"
    found = [finding for finding in draft.findings() if finding.rule == names.flows_name_systems.__name__]
    assert str(found[0]).startswith(ORDERS + "flows.orders_to_erp.to: no system has the role oms")


def test_a_flow_with_both_ends_is_found(draft: Draft):
    draft.entities["products"]["flows"]["products_in"]["from"] = None
    draft.reads(names.flows_name_systems, "map/entities/products.yaml: flows.products_in.to: ", "exactly one")


def test_a_flow_from_a_system_that_never_speaks_of_it_is_found(draft: Draft):
    draft.entities["products"]["flows"]["products_in"]["from"] = "wms"
    draft.reads(
        names.senders_speak_of_the_entity,
        "map/entities/products.yaml: flows.products_in.from: no stream of wms speaks of products",
        "map/systems/warehouse.yaml",
    )


def test_a_flow_to_a_system_that_takes_nothing_of_it_is_found(draft: Draft):
    del draft.systems["shopify"]["takes"]["fulfilments"]
    del draft.systems["shopify"]["stores"]["fulfilments"]
    draft.reads(
        names.destinations_take_the_entity,
        "map/entities/fulfilments.yaml: flows.despatch_to_storefront.to: ",
        "add `takes: {fulfilments: [...]}` to",
    )


def test_a_flow_that_carries_an_unknown_field_is_found(draft: Draft):
    draft.entities["orders"]["flows"]["orders_to_erp"]["fields"].append("totl")
    draft.reads(names.flows_carry_what_is_there, ORDERS + "flows.orders_to_erp.fields: ", "did you mean total?")


def unrouted(draft: Draft) -> None:
    """Leave out who ships what."""
    del draft.entities["order_lines"]["routes"]
    for name in ("orders_to_3pl", "orders_to_supplier"):
        del draft.entities["orders"]["flows"][name]["ships"]


def test_a_flow_that_takes_along_what_is_no_child_is_found(draft: Draft):
    unrouted(draft)
    draft.entities["orders"]["flows"]["orders_to_erp"]["with"] = ["fulfilment_lines"]
    draft.reads(names.flows_carry_what_is_there, ORDERS + "flows.orders_to_erp.with: ", "name one of order_lines")


def test_a_field_that_the_destination_does_not_take_is_found(draft: Draft):
    draft.systems["tryton"]["takes"]["orders"].remove("phone")
    del draft.systems["tryton"]["stores"]["orders"]["phone"]
    draft.reads(
        names.destinations_take_the_fields,
        ORDERS + "flows.orders_to_erp.fields: tryton does not take phone",
        "map/systems/tryton.yaml",
    )


def test_a_reference_to_an_unknown_entity_is_found(draft: Draft):
    unrouted(draft)
    draft.entities["order_lines"]["fields"]["sku"]["references"] = "product"
    draft.reads(
        names.parents_and_references_exist,
        "map/entities/order_lines.yaml: fields.sku.references: there is no entity 'product' (did you mean products?)",
    )


def test_a_model_that_reads_an_unknown_entity_is_found(draft: Draft):
    draft.entities["sellable"]["reads"].append("vouchers")
    draft.reads(
        names.parents_and_references_exist, "map/entities/sellable.yaml: reads: ", "add map/entities/vouchers.yaml"
    )


def test_a_model_that_is_not_there_is_found(draft: Draft):
    draft.entities["sellable"]["model"] = "available"
    draft.reads(names.models_read_what_the_map_says, "map/entities/sellable.yaml: model: there is no model 'available'")


def test_a_model_that_reads_more_than_the_map_says_is_found(draft: Draft):
    draft.entities["sellable"]["reads"] = ["stock", "orders", "products"]
    draft.reads(
        names.models_read_what_the_map_says,
        "map/entities/sellable.yaml: reads: the model refers to fulfilments",
        "add them to reads",
    )


def test_a_hand_written_model_that_says_nothing_of_its_slices_is_found(
    draft: Draft, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    models = with_models(draft, tmp_path, monkeypatch)
    (models / "stock/sellable.sql").write_text("select sku from {{ ref('stock') }}")
    draft.reads(
        slices.hand_written_models_say_how_they_are_sliced,
        "map/entities/sellable.yaml: model: sellable does not say its key and sliced_by and inputs",
        "add them to the meta of its config",
    )


@pytest.mark.parametrize(
    ("said", "instead", "found"),
    [
        ('"products": {"by": "sku", "reads": "sku"},', "", "sellable does not say by which column products is sliced"),
        ('"products": {"by": "sku"', '"products": {"by": "title"', "sellable finds products by title, which its slice does not name"),
        (', "of": "stock", "since": {"shipped_at": "counted_at"}', "", "sellable finds shipped_stock by sku, location, which its slice does not name"),
        ('"products": {', '"prices": {"by": "sku"}, "products": {', "sellable slices prices, which it does not read"),
    ],
)  # fmt: skip
def test_an_input_that_no_slice_finds_is_found(
    draft: Draft, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, instead: str, found: str
):
    path = with_models(draft, tmp_path, monkeypatch) / "stock/sellable.sql"
    text = path.read_text()
    assert said in text
    path.write_text(text.replace(said, instead))
    draft.reads(slices.hand_written_models_say_how_they_are_sliced, "map/entities/sellable.yaml: model: ", found)


def with_models(draft: Draft, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the dbt project's models that the lint reads instead."""
    assert draft.findings() == []  # of the models as they are
    models = folder / "models"
    shutil.copytree(slices.MODELS, models)
    monkeypatch.setattr(slices, "MODELS", models)
    return models


def test_a_stream_that_speaks_of_an_unknown_entity_is_found(draft: Draft):
    draft.systems["tryton"]["streams"]["sales"]["says"]["invoices"] = {"key": "payload ->> '$.id'"}
    draft.reads(
        names.systems_speak_of_known_things,
        "map/systems/tryton.yaml: streams.sales.says.invoices: ",
        "add map/entities/invoices.yaml",
    )


def test_a_stream_that_spells_an_unknown_field_is_found(draft: Draft):
    draft.systems["tryton"]["streams"]["sales"]["says"]["orders"]["fields"]["erp_no"] = "payload ->> '$.number'"
    draft.reads(
        names.systems_speak_of_known_things,
        "map/systems/tryton.yaml: streams.sales.says.orders.fields.erp_no: orders has no field 'erp_no'",
        "did you mean erp_number?",
    )


def test_a_key_with_a_part_missing_is_found(draft: Draft):
    del draft.systems["warehouse"]["streams"]["despatches"]["says"]["fulfilment_lines"]["line"]
    draft.reads(
        names.keys_have_all_their_parts,
        "map/systems/warehouse.yaml: streams.despatches.says.fulfilment_lines.key: spells 1 of the key's 2 parts",
        "spell fulfilment_number, line_id",
    )


# Owners


def test_a_field_without_an_owner_is_found(draft: Draft):
    draft.entities["orders"]["fields"]["total"]["owner"] = []
    draft.reads(
        ownership.every_field_has_an_owner,
        ORDERS + "fields.total.owner: field 'total' has no owner; add owner: <system or role>",
    )


def test_an_unknown_owner_is_found(draft: Draft):
    draft.entities["orders"]["fields"]["city"]["owner"] = "loyalty"
    draft.reads(
        ownership.every_field_has_an_owner,
        ORDERS + "fields.city.owner: no system has the role loyalty",
        "map/systems/<name>",
    )


def test_existence_without_an_owner_is_found(draft: Draft):
    del draft.entities["products"]["exists"]
    draft.reads(ownership.every_field_has_an_owner, "map/entities/products.yaml: exists: ", "add exists: {owner:")


def test_an_owner_that_never_sends_its_field_is_found(draft: Draft):
    draft.entities["products"]["fields"]["is_active"]["owner"] = "storefront"
    draft.reads(
        ownership.owners_say_their_fields,
        "map/entities/products.yaml: fields.is_active.owner: storefront never sends 'is_active'",
        "spell it under says.products.fields in map/systems/shopify.yaml",
    )


def test_a_required_field_that_one_origin_does_not_spell_is_found(draft: Draft):
    draft.entities["orders"]["fields"]["country"]["required"] = True
    draft.reads(
        ownership.required_fields_have_a_source,
        "map/systems/wholesale.yaml: streams.order_files.says.orders.fields: does not spell 'country'",
        "drop `required`",
    )


def test_an_entity_that_begins_nowhere_is_found(draft: Draft):
    del draft.systems["tryton"]["streams"]["products"]["says"]["products"]["originates"]
    draft.reads(ownership.records_begin_somewhere, "map/entities/products.yaml: entity: ", 'add `originates: "true"`')


def test_records_that_no_flow_brings_are_found(draft: Draft):
    del draft.entities["orders"]["flows"]["orders_in"]
    draft.entities["orders"]["flows"]["shop_orders_in"] = draft.entities["stock"]["flows"]["erp_stock_in"] | {
        "from": "shopify"
    }
    draft.reads(
        ownership.records_arrive_by_a_flow,
        ORDERS + "flows: records of orders begin in wholesale, and no flow promises to bring them",
        "from: wholesale",
    )


def test_two_owners_of_one_location_are_found(draft: Draft):
    draft.systems["warehouse"]["locations"].append("MAIN")
    draft.reads(
        ownership.locations_have_one_owner,
        "map/systems/warehouse.yaml: locations: MAIN belongs to tryton already",
        "take it out of one",
    )


def test_a_count_of_somebody_elses_location_is_found(draft: Draft):
    draft.systems["warehouse"]["locations"] = ["4PL"]
    draft.reads(
        ownership.systems_speak_for_their_own_locations,
        "map/systems/warehouse.yaml: streams.stock_counts.says.stock.key: speaks for location 3PL",
        "add it to `locations`",
    )


def test_a_system_that_is_sent_its_own_field_is_found(draft: Draft):
    draft.entities["orders"]["fields"]["erp_number"]["owner"] = "tryton"
    draft.entities["orders"]["flows"]["orders_to_erp"]["fields"].append("erp_number")
    draft.systems["tryton"]["takes"]["orders"].append("erp_number")
    draft.systems["tryton"]["stores"]["orders"]["erp_number"] = "value"
    draft.reads(
        ownership.no_owner_gets_its_own_field,
        ORDERS + "flows.orders_to_erp.fields: sends 'erp_number' to tryton, which owns it",
        "leave it out",
    )


def test_a_field_that_two_owners_send_each_other_is_found(draft: Draft):
    draft.entities["orders"]["fields"]["currency"]["owner"] = ["shopify", "erp"]
    draft.systems["shopify"]["takes"]["orders"] = ["currency"]
    draft.systems["shopify"]["stores"]["orders"] = {"currency": "upper(value)"}
    back = draft.entities["orders"]["flows"]["orders_to_erp"] | {"to": "shopify", "fields": ["currency"], "with": []}
    draft.entities["orders"]["flows"]["orders_back"] = back
    draft.reads(
        ownership.no_field_goes_in_a_circle,
        ORDERS + "fields.currency.owner: erp, shopify own 'currency' and are all sent it",
        "name one owner",
    )


def test_two_owners_may_each_be_sent_what_began_with_the_other(draft: Draft):
    flow = draft.entities["refunds"]["flows"]["refunds_to_storefront"]
    assert draft.findings() == []
    flow["when"] = "status = 'paid' and recorded_at is null"
    assert {finding.rule for finding in draft.findings()} == {ownership.no_field_goes_in_a_circle.__name__}


def test_entities_that_wait_for_each_other_are_found(draft: Draft):
    draft.entities["products"]["fields"]["title"]["references"] = "fulfilments"
    draft.reads(
        ownership.entities_do_not_wait_in_a_circle,
        "map/entities/fulfilments.yaml: fields: ownership runs in a circle: "
        "fulfilments <- orders <- products <- fulfilments",
        "take one of these",
    )


def test_a_resolve_that_does_not_fit_the_type_is_found(draft: Draft):
    draft.entities["orders"]["fields"]["city"]["resolve"] = "furthest"
    draft.reads(ownership.resolve_fits_the_type, ORDERS + "fields.city.resolve: furthest needs a list of statuses")


def test_a_restore_that_no_flow_carries_is_found(draft: Draft):
    draft.entities["orders"]["fields"]["country_name"]["on_foreign_write"] = "restore"
    draft.reads(
        ownership.restores_have_a_way_back, ORDERS + "fields.country_name.on_foreign_write: ", "or write `hold`"
    )


# Statuses


def test_a_status_without_a_table_of_words_is_found(draft: Draft):
    del draft.systems["tryton"]["streams"]["sales"]["says"]["orders"]["words"]
    draft.reads(
        statuses.statuses_are_mapped,
        "map/systems/tryton.yaml: streams.sales.says.orders.words.status: says its own statuses",
        "add words: {status: {theirs: placed}}",
    )


def test_a_word_that_is_no_status_of_ours_is_found(draft: Draft):
    draft.systems["tryton"]["streams"]["sales"]["says"]["orders"]["words"]["status"]["done"] = "payd"
    draft.reads(
        statuses.statuses_are_mapped,
        "map/systems/tryton.yaml: streams.sales.says.orders.words.status: done becomes 'payd'",
        "did you mean paid?",
    )


def test_a_status_in_a_spelling_without_a_word_is_found(draft: Draft):
    del draft.systems["shopify"]["streams"]["orders"]["says"]["orders"]["words"]["status"]["voided"]
    draft.reads(
        statuses.statuses_are_mapped,
        SHOPIFY + "streams.orders.says.orders.words.status: the spelling can say 'voided'",
        "add `voided: placed` or another",
    )


def test_a_status_that_nobody_reaches_is_found(draft: Draft):
    draft.entities["orders"]["fields"]["status"]["type"].insert(2, "shipped")
    draft.reads(
        statuses.statuses_are_reached,
        ORDERS + "fields.status.type: no owner of 'status' ever says shipped",
        "take it off the list",
    )


# Flows


def test_a_flow_without_a_failure_rule_is_found(draft: Draft):
    del draft.entities["orders"]["flows"]["orders_to_erp"]["on_failure"]
    draft.reads(
        flows.flows_out_have_a_failure_rule,
        ORDERS + "flows.orders_to_erp.on_failure: ",
        "add on_failure: {retry_for: 75h",
    )


def test_a_condition_without_a_withdrawal_is_found(draft: Draft):
    del draft.entities["orders"]["flows"]["orders_to_erp"]["on_leave"]
    del draft.entities["orders"]["exists"]["on_delete"]
    draft.reads(
        flows.conditions_have_a_withdrawal,
        ORDERS + "flows.orders_to_erp.on_leave: has a condition",
        "add on_leave: cancel",
    )


def test_a_lag_that_the_poll_cannot_meet_is_found(draft: Draft):
    draft.systems["tryton"]["streams"]["products"]["arrives"]["poll"] = "15m"
    draft.entities["products"]["flows"]["products_in"]["max_lag"] = "1m"
    draft.reads(
        flows.lags_can_be_met,
        "map/entities/products.yaml: flows.products_in.max_lag: promises 1m, but tryton is asked only every 15m",
        "streams.products.arrives",
    )


def test_a_lag_that_the_schedule_cannot_meet_is_found(draft: Draft):
    draft.entities["orders"]["flows"]["orders_to_erp"] |= {"timing": "batch", "cron": "0 8,18 * * *", "max_lag": "10h"}
    draft.entities["orders"]["reconcile"]["storefront_and_erp"]["within"] = "1d"
    draft.reads(
        flows.lags_can_be_met,
        ORDERS + "flows.orders_to_erp.max_lag: promises 10h, but '0 8,18 * * *' leaves up to 14h",
        "run more often",
    )


def test_a_batch_without_a_schedule_is_found(draft: Draft):
    draft.entities["orders"]["flows"]["orders_to_erp"]["timing"] = "batch"
    draft.reads(flows.timings_fit_their_triggers, ORDERS + "flows.orders_to_erp.cron: is a batch and has no schedule")


def test_a_schedule_on_a_flow_that_is_no_batch_is_found(draft: Draft):
    draft.entities["orders"]["flows"]["orders_to_erp"]["cron"] = "* * * * *"
    draft.reads(flows.timings_fit_their_triggers, ORDERS + "flows.orders_to_erp.cron: ", "write `timing: batch`")


def test_a_canary_that_is_not_chosen_is_found(draft: Draft):
    draft.entities["orders"]["flows"]["orders_to_erp"]["mode"] = "canary"
    draft.reads(flows.canaries_are_chosen, ORDERS + "flows.orders_to_erp.canary: ", "add canary: country = 'NL'")


# Proof


def test_an_entity_that_no_one_reconciles_is_found(draft: Draft):
    del draft.entities["orders"]["reconcile"]
    found = draft.reads(
        reconciliation.entities_are_reconciled,
        ORDERS + "reconcile: nobody proves that the systems agree on orders; add a reconciliation",
        "until then orders_to_3pl, orders_to_erp, orders_to_supplier may run in `mode: shadow` only",
    )
    assert found.severity == "error"


def test_what_makes_a_flow_provisional_is_no_error_while_it_runs_in_shadow(draft: Draft):
    del draft.entities["orders"]["reconcile"]
    for name in ("orders_to_erp", "orders_to_3pl", "orders_to_supplier"):
        draft.entities["orders"]["flows"][name]["mode"] = "shadow"
    found = draft.reads(reconciliation.entities_are_reconciled, ORDERS + "reconcile: ")
    assert found.severity == "provisional"
    verdicts = {verdict.flow: verdict for verdict in lint(load_map(draft.folder)).verdicts}
    assert str(found) in verdicts["orders_to_erp"].why
    assert verdicts["orders_in"].is_firm
    assert verdicts["orders_to_erp"].path == "shopify, wholesale -> us -> tryton"


def test_a_first_tier_destination_without_a_reconciliation_is_found(draft: Draft):
    draft.entities["orders"]["reconcile"]["storefront_and_erp"]["between"] = ["storefront", "us"]
    draft.reads(
        reconciliation.first_tier_destinations_are_reconciled,
        ORDERS + "flows.orders_to_erp.tier: is of the first tier, and nothing compares orders with tryton",
        "or lower the tier",
    )


def test_what_cannot_be_reconciled_is_a_hint(draft: Draft):
    draft.entities["stock"]["unreconciled"] = "each shelf is counted once"
    found = draft.reads(
        reconciliation.unreconciled_entities_are_remembered, "map/entities/stock.yaml: unreconciled: nobody"
    )
    assert found.severity == "hint"


def test_a_reconciliation_with_an_unknown_side_is_found(draft: Draft):
    draft.entities["products"]["reconcile"]["erp_and_storefront"]["between"][0] = "pim"
    draft.reads(
        reconciliation.reconciliations_compare_what_is_there,
        "map/entities/products.yaml: reconcile.erp_and_storefront.between: no system has the role pim",
    )


def test_a_reconciliation_of_an_unknown_field_is_found(draft: Draft):
    draft.entities["orders"]["reconcile"]["storefront_and_erp"]["fields"]["totals"] = "exact"
    draft.reads(
        reconciliation.reconciliations_compare_what_is_there,
        ORDERS + "reconcile.storefront_and_erp.fields: orders has no field 'totals' (did you mean total?)",
    )


def test_a_reconciliation_with_a_side_that_gives_no_snapshot_is_found(draft: Draft):
    del draft.systems["tryton"]["streams"]["sales"]["arrives"]["snapshot"]
    draft.reads(
        reconciliation.reconciled_sides_can_be_read,
        ORDERS + "reconcile.storefront_and_erp.between: erp gives no snapshot of orders",
        "add arrives.snapshot to a stream in map/systems/tryton.yaml",
    )


def test_a_reconciled_field_that_no_snapshot_spells_is_found(draft: Draft):
    draft.entities["orders"]["reconcile"]["storefront_and_erp"]["fields"]["tax_total"] = 0.01
    draft.reads(
        reconciliation.reconciled_sides_can_be_read,
        ORDERS + "reconcile.storefront_and_erp.fields.tax_total: no snapshot of erp spells 'tax_total'",
    )


def test_a_reconciliation_that_does_not_wait_for_the_promise_is_found(draft: Draft):
    draft.entities["orders"]["reconcile"]["storefront_and_erp"]["within"] = "1m"
    draft.reads(
        reconciliation.reconciliations_wait_for_promises,
        ORDERS + "reconcile.storefront_and_erp.within: ",
        "within: 2m or more",
    )


PAYMENTS = "map/entities/payments.yaml: "


def test_a_business_proof_that_nobody_wrote_is_found(draft: Draft):
    told = draft.entities["payments"]["proofs"]
    told["chargebacks_are_booked"] = told.pop("captured_against_invoiced")
    draft.reads(
        reconciliation.business_proofs_are_written,
        PAYMENTS + "proofs.chargebacks_are_booked: there is no model of this name",
        "write dbt_project/models/reconciliation/chargebacks_are_booked.sql",
    )


def test_a_business_proof_of_another_entity_is_found(draft: Draft):
    moved = draft.entities["refunds"]["proofs"].pop("over_refunded")
    draft.entities["payments"]["proofs"]["over_refunded"] = moved
    draft.reads(
        reconciliation.business_proofs_are_written,
        PAYMENTS + "proofs.over_refunded: no step builds",
        'tags=["reconcile_payments"]',
    )


def test_a_business_proof_without_a_steward_a_schedule_or_a_threshold_is_found(draft: Draft):
    told = draft.entities["payments"]["proofs"]["captured_against_ordered"]
    for key, value, rule, fix in (
        ("steward", "somebody", destinations.stewards_can_be_asked, "write team:<name>"),
        ("every", "daily", streams.schedules_are_cron, "is no schedule"),
        ("alarm_above", "many", streams.shares_are_shares, "write 0 or 0.5%"),
    ):
        before = told.get(key)
        told[key] = value
        draft.reads(rule, PAYMENTS + f"proofs.captured_against_ordered.{key}: ", fix)
        told[key] = before if before is not None else "0"


# Arrivals


def test_a_stream_that_nothing_brings_is_found(draft: Draft):
    draft.systems["tryton"]["streams"]["shipments"]["arrives"] = {}
    draft.reads(streams.streams_arrive, "map/systems/tryton.yaml: streams.shipments.arrives: ", "add webhook, poll")


def test_a_pace_that_is_no_duration_is_found(draft: Draft):
    draft.systems["tryton"]["streams"]["shipments"]["arrives"]["poll"] = "often"
    draft.reads(
        streams.polls_are_durations, "map/systems/tryton.yaml: streams.shipments.arrives.poll: 'often'", "as in 15m"
    )


@pytest.mark.parametrize("cron", ["every hour", "61 * * * *", "@daily", "* * * * * *"])
def test_a_schedule_that_is_no_cron_is_found(draft: Draft, cron: str):
    draft.entities["products"]["reconcile"]["erp_and_storefront"]["every"] = cron
    draft.reads(
        streams.schedules_are_cron,
        "map/entities/products.yaml: reconcile.erp_and_storefront.every: ",
        "write minute, hour, day, month and weekday",
    )


def test_webhooks_that_nothing_catches_up_are_found(draft: Draft):
    del draft.systems["shopify"]["streams"]["orders_read"]
    found = [one for one in draft.findings() if one.rule == streams.webhooks_are_caught_up.__name__]
    assert sorted(finding.place.key for finding in found) == ["streams.orders.arrives"] * 3 + [
        "streams.orders_deleted.arrives"
    ]
    assert "add a stream with poll or catch_up" in found[0].says


def test_a_field_that_a_lost_webhook_would_lose_is_found(draft: Draft):
    del draft.systems["shopify"]["streams"]["orders_read"]["says"]["orders"]["fields"]["phone"]
    draft.reads(
        streams.catch_ups_tell_as_much,
        SHOPIFY + "streams.orders.says.orders.fields: tells phone, which no poll of shopify does",
        "spell it in the polled stream too",
    )


def test_a_trusted_clock_without_its_time_is_found(draft: Draft):
    del draft.systems["tryton"]["streams"]["sales"]["occurred_at"]
    draft.reads(
        streams.clocks_are_spelled,
        "map/systems/tryton.yaml: streams.sales.occurred_at: the clock is trusted",
        "add occ",
    )


def test_an_untrusted_clock_without_a_sequence_is_found(draft: Draft):
    draft.systems["wholesale"]["clock"] = "untrusted"
    del draft.systems["wholesale"]["streams"]["order_files"]["file"]["as_of"]
    draft.reads(
        streams.clocks_are_spelled,
        "map/systems/wholesale.yaml: streams.order_files.sequence: the clock is not trusted",
        "add sequence",
    )


def test_a_complete_snapshot_without_names_is_found(draft: Draft):
    del draft.systems["warehouse"]["streams"]["stock_counts"]["remote_id"]
    draft.reads(
        streams.complete_snapshots_name_their_records,
        "map/systems/warehouse.yaml: streams.stock_counts.remote_id: ",
        "add remote_id",
    )


def test_a_file_stream_without_a_format_is_found(draft: Draft):
    del draft.systems["warehouse"]["streams"]["despatches"]["file"]
    draft.reads(
        streams.files_say_how_they_are_written,
        "map/systems/warehouse.yaml: streams.despatches.file: ",
        "add file: {format: csv}",
    )


def test_an_xml_stream_that_does_not_say_where_a_record_begins_is_found(draft: Draft):
    del draft.systems["warehouse"]["streams"]["despatches"]["file"]["row"]
    draft.reads(
        streams.files_say_how_they_are_written, "map/systems/warehouse.yaml: streams.despatches.file.row: ", "add row:"
    )


@pytest.mark.parametrize(("key", "value"), [("encoding", "latin1-ish"), ("delimiter", ";;"), ("decimal", "")])
def test_a_file_that_cannot_be_decoded_is_found(draft: Draft, key: str, value: str):
    draft.systems["warehouse"]["streams"]["stock_counts"]["file"][key] = value
    draft.reads(
        streams.files_can_be_decoded, f"map/systems/warehouse.yaml: streams.stock_counts.file.{key}: {value!r} is no"
    )


def test_a_share_that_is_none_is_found(draft: Draft):
    draft.systems["warehouse"]["streams"]["stock_counts"]["largest_disappearance"] = "some"
    draft.reads(
        streams.shares_are_shares,
        "map/systems/warehouse.yaml: streams.stock_counts.largest_disappearance: 'some' is no percentage; write 5%",
    )


# Destinations


def test_a_taken_field_without_a_normaliser_is_found(draft: Draft):
    del draft.systems["tryton"]["stores"]["orders"]["street"]
    draft.reads(
        destinations.taken_fields_have_a_normaliser,
        "map/systems/tryton.yaml: stores.orders: nothing says how it keeps street",
        "add `street: value`",
    )


def test_a_normaliser_of_a_field_that_is_not_taken_is_found(draft: Draft):
    draft.systems["tryton"]["stores"]["orders"]["erp_number"] = "value"
    found = draft.reads(
        destinations.normalisers_are_used,
        "map/systems/tryton.yaml: stores.orders.erp_number: is never used",
        "delete it",
    )
    assert found.severity == "hint"


def test_a_taken_field_that_nobody_sends_is_found(draft: Draft):
    draft.entities["orders"]["flows"]["orders_to_erp"]["fields"].remove("customer")
    draft.reads(
        destinations.taken_fields_are_sent, "map/systems/tryton.yaml: takes.orders: no flow sends customer to tryton"
    )


@pytest.mark.parametrize("steward", ["", "Finance", "team:", "somebody@"])
def test_a_destination_without_a_steward_is_found(draft: Draft, steward: str):
    draft.systems["tryton"]["steward"] = steward
    draft.reads(
        destinations.stewards_can_be_asked,
        "map/systems/tryton.yaml: steward: ",
        "write team:<name> or an e-mail address",
    )


def test_a_reconciliation_without_a_steward_is_found(draft: Draft):
    draft.entities["orders"]["reconcile"]["storefront_and_erp"]["steward"] = " "
    draft.reads(
        destinations.stewards_can_be_asked, ORDERS + "reconcile.storefront_and_erp.steward: has no steward; write team:"
    )


# Contracts


def test_money_without_a_currency_is_found(draft: Draft):
    del draft.entities["products"]["fields"]["currency"]
    del draft.systems["tryton"]["streams"]["products"]["says"]["products"]["fields"]["currency"]
    draft.reads(
        contracts.money_has_a_currency,
        "map/entities/products.yaml: fields.list_price.type: list_price: no currency",
        "add a field of type currency to products",
    )


@pytest.mark.parametrize(
    ("that", "says"),
    [
        ("shipped_at >= orders.placed", "orders has no field 'placed' (did you mean placed_at?)"),
        (
            "shipped_at >= products.listed_at",
            "reads products.listed_at, and no field of fulfilments refers to products",
        ),
        ("shipped_at >= ordrs.placed_at", "there is no entity 'ordrs' (did you mean orders?)"),
    ],
)
def test_a_rule_that_reads_what_cannot_be_reached_is_found(draft: Draft, that: str, says: str):
    draft.entities["fulfilments"]["rules"]["shipped_after_ordered"]["that"] = that
    place = "map/entities/fulfilments.yaml: rules.shipped_after_ordered.that: "
    draft.reads(cross_entity.rules_read_what_is_referred_to, place, says)


def test_two_ways_to_what_a_rule_reads_are_found(draft: Draft):
    draft.entities["fulfilments"]["fields"]["location"]["references"] = "orders"
    found = [one for one in draft.findings() if one.rule == cross_entity.rules_read_what_is_referred_to.__name__]
    assert "location, order_number all refer to orders; leave `references` at one of them" in str(found[0])


def test_a_rule_of_lines_that_would_reject_nothing_is_found(draft: Draft):
    draft.entities["order_lines"]["rules"] = {"priced": {"that": "unit_price is not null", "steward": "team:finance"}}
    draft.reads(
        cross_entity.rules_of_lines_are_warnings,
        "map/entities/order_lines.yaml: rules.priced.severity: is reject",
        "write severity: warn",
    )


def test_a_status_that_goes_back_without_a_ladder_is_found(draft: Draft):
    draft.entities["orders"]["fields"]["status"] |= {"resolve": "latest", "may_go_back": ["cancelled"]}
    draft.reads(statuses.only_statuses_go_back, ORDERS + "fields.status.may_go_back: ", "write resolve: furthest")


def test_a_word_that_goes_back_and_is_no_status_is_found(draft: Draft):
    draft.entities["orders"]["fields"]["status"]["may_go_back"] = ["canceled"]
    draft.reads(
        statuses.only_statuses_go_back,
        ORDERS + "fields.status.may_go_back: 'canceled' is no status of ours (did you mean cancelled?)",
    )


def test_a_sum_of_what_is_no_amount_is_found(draft: Draft):
    draft.entities["orders"]["adds_up"]["less"] = ["discount"]
    draft.reads(
        totals.sums_add_up_what_is_there,
        ORDERS + "adds_up.less: orders has no field 'discount' (did you mean discount_total?)",
    )


def test_a_sum_of_a_field_of_another_kind_is_found(draft: Draft):
    draft.entities["orders"]["adds_up"]["lines"]["tax_rate"] = "title"
    draft.reads(
        totals.sums_add_up_what_is_there,
        ORDERS + "adds_up.lines.tax_rate: 'title' is of type text, and a rate is needed here",
    )


def test_a_sum_of_lines_of_another_entity_is_found(draft: Draft):
    draft.entities["orders"]["adds_up"]["lines"]["entity"] = "fulfilment_lines"
    found = [one for one in draft.findings() if one.place.key == "adds_up.lines.entity"]
    assert str(found[0]) == (
        ORDERS + "adds_up.lines.entity: 'fulfilment_lines' is no child of orders; name one of order_lines"
    )


def test_a_tax_on_what_is_not_added_is_found(draft: Draft):
    draft.entities["orders"]["adds_up"]["plus"].remove("shipping_total")
    draft.reads(
        totals.taxed_amounts_are_added,
        ORDERS + "adds_up.tax.rates: 'shipping_total' is not added",
        "add it to plus, or delete its rate",
    )


def test_a_condition_on_lines_that_cannot_be_read_is_found(draft: Draft):
    draft.entities["orders"]["adds_up"]["lines"]["counts"] = "not is_bundle"
    draft.reads(contracts.expressions_can_be_read, ORDERS + "adds_up.lines.counts: ", "reads 'is_bundle'")


def test_a_personal_field_that_is_not_marked_is_found(draft: Draft):
    draft.entities["orders"]["fields"]["phone"]["personal"] = False
    draft.reads(contracts.personal_fields_are_marked, ORDERS + "fields.phone.personal: ", "add personal: true")


@pytest.mark.parametrize(
    ("expression", "says"),
    [
        ("total >=", "DuckDB cannot read `total >=`: syntax error"),
        ("total >= 0, true", "it holds a comma outside parentheses"),
        ("total > (select max(total) from orders)", "it reads a table"),
        ("totl >= 0", "reads 'totl', which is not there (did you mean total?)"),
        ("abss(total) >= 0", "calls abss(), which nobody knows (did you mean abs?)"),
    ],
)
def test_a_rule_that_cannot_be_read_is_found(draft: Draft, expression: str, says: str):
    draft.entities["orders"]["fields"]["total"]["rule"] = expression
    draft.reads(contracts.expressions_can_be_read, ORDERS + "fields.total.rule: ", says)


def test_an_arrow_that_binds_more_than_was_meant_is_found(draft: Draft):
    draft.systems["shopify"]["streams"]["orders_deleted"]["says"]["orders"]["key"] = "'SHOP-' || payload ->> '$.id'"
    draft.reads(
        contracts.expressions_can_be_read,
        SHOPIFY + "streams.orders_deleted.says.orders.key: ",
        "put parentheses around the arrow",
    )


def test_an_item_outside_an_unfolded_list_is_found(draft: Draft):
    draft.systems["shopify"]["streams"]["variants"]["says"]["products"]["fields"]["storefront_title"] = "item ->> '$.t'"
    draft.reads(
        contracts.expressions_can_be_read,
        SHOPIFY + "streams.variants.says.products.fields.storefront_title: ",
        "reads 'item', which is not there",
    )


# Systems


def test_a_connector_that_cannot_be_imported_is_found(draft: Draft):
    draft.systems["warehouse"]["connector"] = "resources.connectors.files.connector.Dorp"
    draft.reads(
        systems.connectors_answer_their_questions,
        "map/systems/warehouse.yaml: connector: resources.connectors.files.connector.Dorp cannot be imported",
        "dotted path",
    )


def test_a_connector_that_cannot_do_what_is_asked_is_found(draft: Draft):
    draft.systems["warehouse"]["streams"]["despatches"]["arrives"]["webhook"] = ["despatched"]
    found = [one for one in draft.findings() if one.rule == systems.connectors_answer_their_questions.__name__]
    assert str(found[0]).startswith(
        "map/systems/warehouse.yaml: streams.despatches.arrives: resources.connectors.files.connector.Drop has no read_webhook(); write it"
    )


def test_a_destination_that_cannot_be_asked_is_a_hint(draft: Draft):
    draft.systems["tryton"] |= {"connector": "tests.map_draft.Deaf", "settings": {}}
    draft.systems["tryton"]["streams"] = {}
    found = [one for one in draft.findings() if one.rule == systems.destinations_can_be_asked.__name__]
    assert [one.place.file for one in found] == ["map/systems/tryton.yaml"]
    assert "has no find(), so a delivery without an answer waits for a person; write it" in found[0].says
    assert found[0].severity == "hint"


def test_a_setting_that_the_connector_does_not_know_is_found(draft: Draft):
    draft.systems["warehouse"]["settings"]["pasword"] = draft.systems["warehouse"]["settings"].pop("password")
    draft.reads(
        systems.settings_are_the_connectors,
        "map/systems/warehouse.yaml: settings.pasword: resources.connectors.files.connector.Drop has no such setting (did you mean password?)",
    )


def test_a_setting_that_is_missing_is_found(draft: Draft):
    del draft.systems["warehouse"]["settings"]["url"]
    draft.reads(
        systems.settings_are_the_connectors,
        "map/systems/warehouse.yaml: settings.url: ",
        "add url: {env: WAREHOUSE_URL}",
    )


def test_settings_of_which_one_group_must_be_whole_are_found(draft: Draft):
    of_the_shop = draft.systems["shopify"]["settings"]
    secret, _ = of_the_shop.pop("client_secret"), of_the_shop.pop("token")
    draft.reads(
        systems.settings_are_the_connectors,
        "map/systems/shopify.yaml: settings.client_secret: resources.connectors.shopify.connector.Shopify needs client_id, client_secret, or token",
        "add client_secret: {env: SHOPIFY_CLIENT_SECRET}",
    )
    of_the_shop["client_secret"] = secret
    assert draft.findings() == []


def test_a_secret_in_the_map_is_found(draft: Draft):
    draft.systems["warehouse"]["settings"]["password"]["default"] = "hunter2"
    found = draft.reads(
        systems.secrets_stay_outside,
        "map/systems/warehouse.yaml: settings.password.default: ",
        "set WAREHOUSE_SFTP_PASSWORD",
    )
    assert "hunter2" not in str(found)


def test_a_time_zone_that_does_not_exist_is_found(draft: Draft):
    draft.systems["warehouse"]["time_zone"] = "Europe/Berln"
    draft.reads(systems.time_zones_exist, "map/systems/warehouse.yaml: time_zone: ", "did you mean Europe/Berlin?")


def test_a_temporary_system_is_remembered(draft: Draft):
    draft.systems["wholesale"]["temporary"] = True
    found: Finding = draft.reads(
        systems.temporary_systems_go, "map/systems/wholesale.yaml: temporary: ", "ask team:wholesale"
    )
    assert found.severity == "hint"


@pytest.mark.parametrize("seed", range(40))
def test_no_broken_map_stops_the_lint(draft: Draft, seed: int):
    """A person mends a map in several steps: whatever is broken, there is a message and never a stack trace."""
    chance = Random(seed)
    files = draft.systems | draft.entities
    place = files[chance.choice(sorted(files))]
    while True:
        key = chance.choice(list(place) if isinstance(place, dict) else range(len(place)))
        if not place[key] or not isinstance(place[key], dict | list) or chance.random() < 0.2:
            break
        place = place[key]
    if chance.random() < 0.5 or isinstance(place[key], dict | list):
        del place[key]
    else:
        place[key] = "nonsense"
    try:
        said = [str(finding) for finding in draft.findings()]
    except MapProblem as problem:
        said = str(problem).splitlines()
    assert [line for line in said if not line.startswith("map/")] == []


# Identities


def test_what_has_no_single_key_of_its_own_cannot_be_matched(draft: Draft):
    draft.entities["stock"]["match"] = {"place": {"by": "location"}}
    draft.reads(matching.matched_records_have_one_key, "map/entities/stock.yaml: match: ", "several parts", "delete")


def test_a_match_that_is_called_like_something_else_is_found(draft: Draft):
    draft.entities["customers"]["match"]["known_as"] = {"by": "name"}
    draft.reads(matching.match_names_are_free, "map/entities/customers.yaml: match.known_as: ", "names something else")


def test_a_customer_inside_an_order_without_an_id_of_its_own_is_found(draft: Draft):
    del draft.systems["shopify"]["streams"]["orders"]["says"]["customers"]["remote_id"]
    draft.reads(
        matching.what_is_told_aside_has_an_id_of_its_own,
        SHOPIFY + "streams.orders.says.customers.remote_id: ",
        "the id of consents, orders",
    )


def test_a_match_by_what_no_record_has_is_found(draft: Draft):
    draft.entities["customers"]["match"]["email"]["by"] = "lower(mail)"
    draft.reads(contracts.expressions_can_be_read, "map/entities/customers.yaml: match.email.by: ", "mail")


# Drift


def test_an_ignored_path_that_is_none_is_found(draft: Draft):
    draft.systems["shopify"]["streams"]["orders"]["ignores"] = ["client_details"]
    draft.reads(
        drift.ignored_paths_are_paths, SHOPIFY + "streams.orders.ignores: 'client_details' is no path", "$.line_items[]"
    )


def test_an_ignored_path_that_is_read_is_found(draft: Draft):
    draft.systems["shopify"]["streams"]["orders"]["ignores"] = ["$.client_details", "$.shipping_address.zip"]
    draft.reads(
        drift.ignored_paths_are_not_read,
        SHOPIFY + "streams.orders.ignores: $.shipping_address.zip is read for orders.postcode",
        "take it out of one of the two",
    )


def test_a_stream_that_tells_its_writer_without_a_list_of_them_is_found(draft: Draft):
    del draft.systems["shopify"]["writers"]
    draft.reads(drift.writers_are_told_apart, SHOPIFY + "streams.orders.writer: nobody may write", "under `writers`")


def test_a_list_of_writers_whom_no_stream_tells_is_found(draft: Draft):
    draft.systems["tryton"]["writers"] = ["concord"]
    draft.reads(
        drift.writers_are_told_apart, "map/systems/tryton.yaml: writers: no stream tells who wrote", "delete the list"
    )


def test_an_ignored_topic_that_a_stream_takes_is_found(draft: Draft):
    draft.systems["shopify"]["ignores"] = ["orders/create", "app/uninstalled"]
    draft.reads(drift.ignored_traffic_is_of_no_stream, SHOPIFY + "ignores: orders/create is taken by a stream here")


# Routes


LINES = "map/entities/order_lines.yaml: routes.places"


def test_a_line_that_two_places_would_ship_is_found_with_an_example(draft: Draft):
    places = draft.entities["order_lines"]["routes"]["places"]
    places["3PL"]["when"] = places["3PL"]["when"].replace("orders.pickup_location is null and ", "")
    found = draft.reads(routing.lines_have_one_route, LINES + ": a line with ", "fits 3PL, STORE", "exclude each other")
    assert "orders.total" in found.says, "whoever reads it can see which line"


def test_a_border_that_two_conditions_share_is_found(draft: Draft):
    draft.entities["order_lines"]["routes"]["places"] = {
        "MAIN": {"mode": "in_house", "by": "erp", "when": "orders.total >= 500"},
        "3PL": {"mode": "3pl", "by": "warehouse", "when": "orders.total <= 500"},
        "STORE": {"mode": "store", "by": "erp"},
    }
    draft.entities["orders"]["flows"].pop("orders_to_supplier")
    draft.systems.pop("supplier")
    draft.reads(routing.lines_have_one_route, LINES + ": a line with orders.total 500.0 fits 3PL, MAIN")


def test_lines_that_no_place_takes_are_found(draft: Draft):
    draft.entities["order_lines"]["routes"]["places"]["MAIN"]["when"] = (
        "orders.country = 'NL' and orders.total > 500 and orders.pickup_location is null and not coalesce(products.is_dropshipped, false)"
    )
    draft.reads(
        routing.lines_have_one_route, LINES + ": no place takes the lines that fit none", "leave out `when` of one"
    )


def test_a_place_whose_shipper_is_told_nothing_is_found(draft: Draft):
    draft.entities["order_lines"]["routes"]["places"]["SUPPLIER"]["by"] = "shopify"
    draft.reads(routing.shippers_are_told, LINES + ".SUPPLIER.by: nobody tells shopify", "ships: SUPPLIER")


def test_a_place_of_nobody_is_found(draft: Draft):
    draft.entities["order_lines"]["routes"]["places"]["3PL"]["by"] = "warehouze"
    draft.reads(routing.shippers_are_told, LINES + ".3PL.by: 'warehouze' is no system", "did you mean warehouse?")


def test_a_flow_from_a_place_that_is_not_is_found(draft: Draft):
    draft.entities["orders"]["flows"]["orders_to_3pl"]["ships"] = "3LP"
    found = [one for one in draft.findings() if one.rule == routing.flows_ship_from_places_that_are.__name__]
    assert str(found[0]).startswith(ORDERS + "flows.orders_to_3pl.ships: '3LP' is no place")
    assert "did you mean 3PL?" in found[0].says


def test_what_is_shown_of_a_field_that_does_not_travel_is_found(draft: Draft):
    draft.entities["sellable"]["flows"]["sellable_to_storefront"]["shows"]["reserved"] = "0"
    draft.reads(
        flows.what_is_shown_is_carried,
        "map/entities/sellable.yaml: flows.sellable_to_storefront.shows.reserved: the flow does not carry 'reserved'",
    )


# Records that are found by a field


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"finds_by": "tracking"}, "fulfilments have no field 'tracking'"),
        ({"finds_by": "order_number"}, "the stream does not tell 'order_number'; spell it in `fields`"),
        ({"originates": "true"}, "a record cannot begin in a stream that finds it elsewhere; delete `originates`"),
    ],
)
def test_records_that_cannot_be_found_by_their_field_are_found(draft: Draft, change: dict[str, str], says: str):
    draft.systems["parcelhub"]["streams"]["tracking"]["says"]["fulfilments"] |= change
    found = [one for one in draft.findings() if one.rule == lookups.what_finds_a_record_is_told.__name__]
    assert [str(one) for one in found] == [
        f"map/systems/parcelhub.yaml: streams.tracking.says.fulfilments.finds_by: {found[0].says}"
    ]
    assert found[0].says.startswith(says)


# Time


@pytest.mark.parametrize(
    ("entity", "field", "advice"),
    [
        ("selling_prices", "ends_at", "no field 'ends_at'"),
        ("selling_prices", "amount", "amount is no moment; give the field `type: timestamp`"),
        ("prices", "valid_to", "give the entity a `model` that looks at the moment"),
    ],
)
def test_an_entity_that_cannot_turn_by_itself_is_found(draft: Draft, entity: str, field: str, advice: str):
    draft.entities[entity]["turns_at"] = field
    draft.reads(effective_dates.what_turns_by_itself_says_when, f"map/entities/{entity}.yaml: turns_at: ", advice)


# Values that one record alone may have


@pytest.mark.parametrize(
    ("entity", "told", "says"),
    [
        ("orders", {"one": {"fields": "numbr"}}, "unique.one.fields: orders has no field numbr"),
        ("stock", {"one": {"fields": "on_hand"}}, "unique.one: stock are no records with one key"),
        ("orders", {"number": {"fields": "number"}}, "unique.number: 'number' is the name of a field or rule, too"),
    ],
)
def test_what_cannot_be_unique_is_found(draft: Draft, entity: str, told: dict[str, object], says: str):
    draft.entities[entity]["unique"] = told
    draft.reads(uniqueness.unique_fields_are_there, f"map/entities/{entity}.yaml: {says}")


# What records may come to together

REFUNDS = "map/entities/refunds.yaml: "


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"adds": "amonut"}, "refunds has no field 'amonut'"),
        ({"adds": "reason"}, "adds up 'reason', which is no number"),
        ({"per": "payment"}, "refunds has no field 'payment'"),
        ({"at_most": "payment.captured"}, "there is no entity 'payment' (did you mean payments?)"),
        ({"at_most": "payments.kept"}, "payments has no field 'kept'"),
        ({"at_most": "payments.status"}, "payments.status is no number"),
    ],
)
def test_a_limit_that_cannot_be_added_up_is_found(draft: Draft, changes: dict[str, str], says: str):
    draft.entities["refunds"]["limits"]["captured"] |= changes
    draft.reads(allocation.limits_can_be_added_up, REFUNDS + f"limits.captured: {says}")


def test_a_limit_of_the_name_of_a_field_is_found(draft: Draft):
    draft.entities["refunds"]["limits"]["amount"] = draft.entities["refunds"]["limits"].pop("captured")
    draft.reads(
        allocation.limits_can_be_added_up, REFUNDS + "limits.amount: 'amount' is the name of a field or rule, too"
    )


@pytest.mark.parametrize(
    ("holds", "says"),
    [
        (["refunds_to_payment"], "refunds has no flow 'refunds_to_payment' that delivers (did you mean"),
        ([], "holds nothing; name the flows that must not go beyond it"),
    ],
)
def test_a_limit_that_holds_nothing_is_found(draft: Draft, holds: list[str], says: str):
    draft.entities["refunds"]["limits"]["captured"]["holds"] = holds
    draft.reads(allocation.limits_hold_flows, REFUNDS + f"limits.captured.holds: {says}")


# What a person does by hand


@pytest.mark.parametrize(
    ("sentence", "says"),
    [
        ("tell {steward} of {key}", "{steward} is filled in by nobody; write {key} for the record's number"),
        ("concord decide orders {key} status paid", "decides about orders, and the difference is one of refunds"),
        ("concord decide refunds {key} state owed", "refunds has no field 'state'"),
        ("concord decide refunds {key} status due", "status can be no 'due'; write one of failed, owed"),
    ],
)
def test_advice_that_nobody_can_follow_is_found(draft: Draft, sentence: str, says: str):
    draft.entities["refunds"]["reconcile"]["shop_and_payments"]["by_hand"]["missing there"] = sentence
    draft.reads(
        reconciliation.what_is_done_by_hand_can_be_done,
        REFUNDS + f"reconcile.shop_and_payments.by_hand.missing there: {says}",
    )


# What hangs on a person


def test_an_entity_that_hangs_on_nothing_is_found(draft: Draft):
    draft.entities["consents"]["of"] = "customer"
    draft.reads(
        consent.what_hangs_on_a_record_is_spelled_for_each,
        CONSENTS + "of: there is no entity 'customer' (did you mean customers?)",
    )


def test_an_entity_of_another_that_does_not_say_each_of_what_is_found(draft: Draft):
    del draft.entities["consents"]["of"]
    draft.reads(consent.what_hangs_on_a_record_is_spelled_for_each, CONSENTS + "of: `of` and `each` belong together")


def test_a_channel_that_the_entity_does_not_have_is_found(draft: Draft):
    each = draft.systems["tryton_crm"]["streams"]["subscriptions"]["says"]["consents"]["each"]
    each["post"] = each.pop("sms")
    draft.reads(
        consent.what_hangs_on_a_record_is_spelled_for_each,
        "map/systems/tryton_crm.yaml: streams.subscriptions.says.consents.each: spells each of post; consents have email, sms",
    )


def test_a_lift_without_a_withdrawal_is_found(draft: Draft):
    draft.entities["consents"]["fields"]["crm_status"]["lifted_by"] = "level = 'confirmed'"
    draft.reads(
        consent.only_withdrawals_are_lifted,
        CONSENTS + "fields.crm_status.lifted_by: 'crm_status' knows no withdrawal that could be lifted",
    )


def test_a_field_that_follows_no_status_is_found(draft: Draft):
    draft.entities["consents"]["fields"]["since"]["follows"] = "channel"
    draft.reads(
        consent.only_withdrawals_are_lifted,
        CONSENTS + "fields.since.follows: 'channel' is no status that a withdrawal wins",
    )


# What is sold at which price


@pytest.mark.parametrize(
    ("key", "told", "rule", "says"),
    [
        ("lines", "order_line", pricing.what_is_sold_is_there, "'order_line' are no lines of anything (did you mean order_lines?)"),
        ("buyer", {"entity": "stock", "number": "customer"}, pricing.what_is_sold_is_there,
         "of 'stock' nobody knows by which number a channel knows them; name one that is matched: customers"),
        ("at", "placed", pricing.what_is_sold_is_there, "orders has no field 'placed' (did you mean placed_at?)"),
        ("lists.group", {}, pricing.lists_are_named_or_found, "write `list` or `has`"),
        ("lists.group", {"has": {"acount": "orders.customer"}}, pricing.lists_are_named_or_found,
         "prices has no field 'acount' (did you mean account?)"),
        ("lists.group", {"list": "customers.group"}, pricing.lists_are_named_or_found, "customers has no field 'group'"),
        ("lists.group", {"list": "price_group"}, pricing.lists_are_named_or_found,
         "`price_group` reads 'price_group', which is not there; use customers.<field>, market, orders.<field>"),
        ("lists.group", {"list": "'VIP'"}, pricing.lists_are_named_or_found,
         "is everybody's list, so that channel, everybody, market, tag would be asked for what it lacks alone; put it last"),
        ("lists.everybody", {"list": "orders.channel"}, pricing.lists_are_named_or_found, "some buyers have no list"),
        ("markets.US", {"countries": "USA", "currency": "USD"}, pricing.a_country_has_one_market, "'USA' is no ISO 3166 country"),
        ("markets.US", {"countries": "US", "currency": "US$"}, pricing.a_country_has_one_market, "'US$' is no ISO 4217 currency"),
        ("markets.WEST", {"countries": ["CA", "US"], "currency": "USD"}, pricing.a_country_has_one_market,
         "US in USD is a country of US, too, and nobody knows which list counts; take it out of one of them"),
    ],
)  # fmt: skip
def test_a_rule_by_which_a_buyer_has_a_list_names_what_is_there(
    draft: Draft, key: str, told: object, rule: Rule, says: str
):
    place = draft.entities["prices"]["sold_by"]
    *parents, last = key.split(".")
    for parent in parents:
        place = place[parent]
    place[last] = told
    draft.reads(rule, f"map/entities/prices.yaml: sold_by.{key}", says)


def test_markets_that_no_rule_asks_for_are_found(draft: Draft):
    del draft.entities["prices"]["sold_by"]["lists"]["market"]
    draft.reads(
        pricing.a_country_has_one_market, "map/entities/prices.yaml: sold_by.markets: no rule asks for a market"
    )


def test_a_price_that_lacks_what_a_sale_is_held_against_is_found(draft: Draft):
    sold = draft.entities["prices"].pop("sold_by")
    draft.entities["payments"]["sold_by"] = sold
    found = [str(finding) for finding in draft.findings() if finding.rule == "what_is_sold_is_there"]
    lacks = "lacks from_quantity, includes_tax, price_list, sku, valid_from, valid_to; add these fields"
    assert found == [f"map/entities/payments.yaml: sold_by: a price of payments {lacks}"]


def test_what_counts_of_a_sum_is_told_by_its_lines(draft: Draft):
    draft.entities["orders"]["adds_up"]["lines"]["counts"] = "not is_parcel"
    draft.reads(
        contracts.expressions_can_be_read,
        ORDERS + "adds_up.lines.counts: `not is_parcel` reads 'is_parcel', which is not there",
    )


# Rows that several tell


def test_who_comes_first_without_owning_a_row_is_found(draft: Draft):
    draft.entities["addresses"]["exists"]["first"] = {"crm": "kind = 'billing'"}
    draft.reads(
        row_ownership.who_comes_first_owns_the_rows,
        ADDRESSES + "exists.first.crm: 'crm' owns no rows of addresses",
        "name one of erp, storefront",
    )


def test_a_condition_on_what_the_parent_lacks_is_found(draft: Draft):
    draft.entities["addresses"]["exists"]["first"] = {"erp": "customers.tax_id is not null"}
    draft.reads(
        row_ownership.who_comes_first_owns_the_rows,
        ADDRESSES + "exists.first.erp: customers has no field 'tax_id'",
    )


def test_rows_that_come_back_as_if_they_were_news_are_found(draft: Draft):
    del draft.systems["tryton"]["streams"]["parties"]["says"]["addresses"]["echo"]
    draft.reads(
        row_ownership.what_is_repeated_can_be_told_apart,
        ADDRESSES + "exists.owner: shopify, tryton are sent addresses and tell them again",
        "spell `echo`, which rows we wrote there, for one of them",
    )


def test_an_echo_of_a_whole_record_is_found(draft: Draft):
    draft.systems["tryton_crm"]["streams"]["contacts"]["says"]["customers"]["echo"] = "true"
    draft.reads(
        row_ownership.some_rows_alone_are_rows_of_a_list,
        "map/systems/tryton_crm.yaml: streams.contacts.says.customers: `only` and `echo` are said of the rows of a list",
        "add `unfold`, or leave them out",
    )


def test_rows_with_owners_of_their_own_that_nobody_compares_are_found(draft: Draft):
    told = draft.entities["customers"]["reconcile"]
    for name in ("addresses_in_the_erp", "addresses_in_the_shop", "addresses_in_the_crm"):
        del told[name]
    draft.reads(
        reconciliation.entities_are_reconciled,
        "map/entities/customers.yaml: reconcile: nobody proves that the systems agree on addresses",
        "add a reconciliation with each: addresses",
    )


def test_a_comparison_of_rows_with_somebody_elses_is_found(draft: Draft):
    draft.entities["customers"]["reconcile"]["addresses_in_the_erp"]["between"] = ["erp", "us"]
    draft.reads(
        reconciliation.reconciliations_compare_what_is_there,
        "map/entities/customers.yaml: reconcile.addresses_in_the_erp.each: compares our rows of a child",
        "write between: [us, <system or role>] and name one of addresses",
    )

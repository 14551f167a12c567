"""What messages carry that the map does not read is told once; what they no longer carry that it does is a broken contract."""

import base64
import hmac
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
import sqlalchemy as sa
from click.testing import CliRunner

from pipelines.commands import main
from pipelines.language.paths import reads_of
from pipelines.language.schema import IntegrationMap, load_map
from pipelines.runtime.door import Door, topics_of
from pipelines.stages.drift import LEARNING, kind_of_file
from pipelines.stages.drift_baseline import IN_A_ROW, KEPT, MISSED, Promise
from resources.connectors.files.connector import Drop
from resources.connectors.shopify.connector import Shopify
from resources.store.findings import Looked
from resources.store.store import Store
from resources.store.webhook_health import record
from tests.drifting_shop import Change, Shop
from tests.map_draft import Draft
from tests.test_webhooks import running
from tests.wanting import select


@pytest.fixture
def shop(store: Store, the_map: IntegrationMap) -> Shop:
    """A shop whose first messages are known."""
    shop = Shop(store, the_map)
    shop.posts(LEARNING)
    assert shop.fields() == []
    return shop


@pytest.fixture
def draft(tmp_path: Path) -> Draft:
    return Draft(tmp_path)


# Fields that the map does not read


def test_an_unknown_field_is_told_once_with_sender_path_message_and_next_step(shop: Shop) -> None:
    shop.posts(1, lambda told: told.update(gift_note="for Ada"))
    [told] = shop.look().findings
    assert (told["system"], told["stream"], told["kind"], told["what"]) == ("shopify", "orders", "field", "$.gift_note")
    assert (told["first_inbox_id"], told["messages"], told["steward"]) == (LEARNING + 1, 1, "team:ecommerce")
    assert told["example"] == "text or a number"
    assert told["next_step"] == (
        "spell it under streams.orders.says in map/systems/shopify.yaml, or name it under streams.orders.ignores"
    )
    shop.posts(4, lambda told: told.update(gift_note="for Alan"))
    assert [(row["finding_id"], row["messages"]) for row in shop.look().findings] == [(told["finding_id"], 5)]
    assert "Ada" not in str(select(shop.store, "select * from findings")), "a value may be a person's"


def test_what_a_stream_carries_from_the_beginning_is_no_news(store: Store, the_map: IntegrationMap) -> None:
    shop = Shop(store, the_map)
    shop.posts(3)
    assert shop.fields() == []
    shop.posts(LEARNING - 4, lambda told: told.update(note="", refunds=[]))
    assert shop.fields() == []
    shop.posts(1, lambda told: told.update(token="t"))  # the last that it learns from
    assert shop.fields() == []
    shop.posts(1, lambda told: told.update(landing_site="/"))
    assert shop.fields() == ["$.landing_site"]


def test_a_stream_of_few_messages_is_known_after_a_week(store: Store, the_map: IntegrationMap) -> None:
    shop = Shop(store, the_map)
    shop.posts(3)
    shop.look()
    with store.transaction() as connection:
        connection.execute(sa.text("update looks set began_at = began_at - interval '8 days'"))
    shop.posts(1, lambda told: told.update(gift_note=""))
    assert shop.fields() == ["$.gift_note"]


def test_fields_in_objects_and_lists_are_told_by_their_path(shop: Shop) -> None:
    def change(told: dict[str, Any]) -> None:
        told["line_items"][0]["tax_lines"][0]["channel_liable"] = False
        told["shipping_address"]["latitude"] = 48.8

    shop.posts(2, change)
    assert shop.fields() == ["$.line_items[].tax_lines[].channel_liable", "$.shipping_address.latitude"]


def test_an_object_is_told_as_one_thing_with_its_keys(shop: Shop) -> None:
    shop.posts(1, lambda told: told.update(company={"id": 1, "location": {"id": 2, "name": "x"}}))
    [told] = shop.look().findings
    assert (told["what"], told["example"]) == ("$.company", "an object with id, location")


def test_an_object_where_nothing_was_before_is_told_as_one_thing(store: Store, the_map: IntegrationMap) -> None:
    shop = Shop(store, the_map)
    shop.posts(LEARNING, lambda told: told.update(company=None, returns=[]))
    shop.look()
    shop.posts(1, lambda told: told.update(company={"id": 1, "tags": ""}, returns=[{"id": 1, "note": ""}]))
    assert shop.fields() == ["$.company", "$.returns[]"]


def test_keys_that_are_data_are_one_path(shop: Shop) -> None:
    for number in range(3):
        shop.posts(1, lambda told, n=number: told.update(by_line={str(1000 + n): {"note": n}}))  # type: ignore[misc]
    shop.posts(1, lambda told: told.update(mails={"ada@example.com": 1}))
    shop.look()
    paths = select(shop.store, "select distinct path from shapes where path ~ 'by_line|mails' order by 1")
    assert paths == ["$.by_line", "$.by_line.*", "$.by_line.*.note", "$.mails", "$.mails.*"]


def test_a_field_that_the_map_ignores_is_no_finding_and_its_finding_ends(shop: Shop, draft: Draft) -> None:
    shop.posts(1, lambda told: told.update(company={"id": 1}))
    assert shop.fields() == ["$.company"]
    draft.systems["shopify"]["streams"]["orders"]["ignores"] = ["$.company"]
    shop.the_map = load_map(draft.write())
    assert shop.fields() == []
    shop.posts(1, lambda told: told.update(company={"id": 1, "name": "x"}, companion=1))
    assert shop.fields() == ["$.companion"]


def test_a_field_that_the_map_reads_by_now_is_no_finding_nor_is_what_lay_beside_it(shop: Shop, draft: Draft) -> None:
    shop.posts(1, lambda told: told.update(company={"id": 1, "name": "x"}))
    assert shop.fields() == ["$.company"]
    says = draft.systems["shopify"]["streams"]["orders"]["says"]["orders"]["fields"]
    says["customer"] = "payload ->> '$.company.name'"
    shop.the_map = load_map(draft.write())
    assert shop.fields() == []
    shop.posts(1, lambda told: told.update(company={"id": 1, "name": "x", "vat": "FR"}))
    assert shop.fields() == ["$.company.vat"]


# Fields that the map reads


def test_a_used_field_that_vanishes_is_a_broken_contract_with_the_sender_named(shop: Shop) -> None:
    def change(told: dict[str, Any]) -> None:
        del told["current_total_price"]

    shop.posts(IN_A_ROW - 1, change)
    assert shop.look().broken == []
    shop.posts(1, change)
    [broken] = shop.look().broken
    assert broken.sentence == (
        f"shopify/orders no longer carries $.current_total_price, which the map reads as a number for orders.total: so in "
        f"the last {IN_A_ROW} messages, while {LEARNING} of {LEARNING} before kept it (the last was message {LEARNING}). "
        "team:ecommerce answers: ask shopify what changed, then spell it anew in map/systems/shopify.yaml under "
        "streams.orders"
    )
    assert shop.alerts("broken contract") == [("shopify/orders", "team:ecommerce", broken.sentence)]
    shop.posts(1)
    assert shop.look().broken == []
    assert shop.alerts("broken contract") == []


def test_an_object_that_vanishes_is_told_without_all_that_lay_in_it(shop: Shop) -> None:
    def change(told: dict[str, Any]) -> None:
        del told["shipping_address"]

    shop.posts(IN_A_ROW, change)
    assert [one.path for one in shop.look().broken] == ["$.shipping_address"]


@pytest.mark.parametrize(
    ("name", "value", "path", "words"),
    [
        ("current_total_price", {"amount": "20.00"}, "$.current_total_price", "now carries an object at"),
        ("current_total_price", "20,00 €", "$.current_total_price", "now carries text that is not a number at"),
        ("created_at", "yesterday", "$.created_at", "now carries text that is not a time at"),
        ("email", ["a@example.com"], "$.email", "now carries a list at"),
        ("line_items", {"edges": []}, "$.line_items", "now carries an object at"),
        ("shipping_address", "1 Rue de Lyon", "$.shipping_address", "now carries text or a number at"),
    ],
)
def test_a_used_field_that_is_retyped_is_a_broken_contract(
    shop: Shop, name: str, value: Any, path: str, words: str
) -> None:
    shop.posts(IN_A_ROW, lambda told: told.update({name: value}))
    [broken] = shop.look().broken
    assert broken.path == path
    assert f"shopify/orders {words} {path}" in broken.sentence


def test_a_price_in_a_line_that_is_no_number_any_more_is_seen(shop: Shop) -> None:
    def change(told: dict[str, Any]) -> None:
        told["line_items"][0]["price"] = "ten"

    shop.posts(IN_A_ROW, change)
    assert [one.path for one in shop.look().broken] == ["$.line_items[].price"]


def test_a_null_is_a_value_and_an_empty_list_says_nothing_of_what_it_would_hold(shop: Shop) -> None:
    shop.posts(3 * IN_A_ROW, lambda told: told.update(email=None, current_total_tax=None, line_items=[]))
    assert shop.look().broken == []


def test_whole_numbers_and_other_spellings_of_a_number_are_no_other_type(shop: Shop) -> None:
    shop.posts(
        3 * IN_A_ROW, lambda told: told.update(current_total_price=20, current_total_tax="3", created_at="2026-11-20")
    )
    assert shop.look().broken == []


def test_optional_keys_that_come_and_go_do_not_alarm(store: Store, the_map: IntegrationMap) -> None:
    """A coupon on every third order, and a season of gifts."""
    shop = Shop(store, the_map)

    def leaves_out(*names: str) -> Change:
        def change(told: dict[str, Any]) -> None:
            for name in names:
                del told[name]

        return change

    for _ in range(10):
        shop.posts(20, leaves_out("phone"))
        shop.posts(10)
    shop.posts(200, leaves_out("email"))
    shop.posts(200)
    shop.look()
    shop.posts(39, leaves_out("phone", "email"))
    assert shop.look().broken == []


def test_an_optional_key_that_is_gone_for_longer_than_ever_alarms(store: Store, the_map: IntegrationMap) -> None:
    shop = Shop(store, the_map)
    for _ in range(100):
        shop.posts(2, lambda told: told.pop("phone"))
        shop.posts(1)
    shop.look()
    shop.posts(20, lambda told: told.pop("phone"))
    assert shop.look().broken == []
    shop.posts(20, lambda told: told.pop("phone"))
    assert [one.path for one in shop.look().broken] == ["$.phone"]


def test_a_field_that_was_never_there_is_not_missed(shop: Shop) -> None:
    shop.posts(100)
    assert "$.contact_email" in reads_of(shop.the_map, shop.the_map.systems["shopify"].streams["orders"])
    assert shop.look().broken == []


def test_an_alternative_that_the_map_no_longer_reads_is_no_broken_contract(shop: Shop, draft: Draft) -> None:
    shop.posts(IN_A_ROW, lambda told: told.pop("current_total_price"))
    assert shop.look().broken != []
    says = draft.systems["shopify"]["streams"]["orders"]["says"]["orders"]["fields"]
    says["total"] = "payload ->> '$.total_price'"
    shop.the_map = load_map(draft.write())
    assert shop.look().broken == []
    assert shop.alerts("broken contract") == []


def test_looks_of_any_size_find_the_same(shop: Shop, store: Store) -> None:
    for count in (1, 2, 3, 1, 3):
        shop.posts(count, lambda told: told.pop("currency"))
        broken = shop.look().broken
    assert [one.path for one in broken] == ["$.currency"]
    assert select(
        store, "select chances, kept, missed from promises where path = '$.currency' and promise = 'is there'"
    ) == [(LEARNING + 10, LEARNING, 10)]


# Traffic that the map does not know


def told_of(looked: Looked) -> list[tuple[str, str, str, int]]:
    return [(row["system"], row["kind"], row["what"], row["messages"]) for row in looked.findings]


def test_a_topic_that_no_stream_names_is_a_finding_when_its_system_signed_it(shop: Shop, draft: Draft) -> None:
    secret, domain, body = "of the shop", "a-shop.myshopify.com", b'{"id":1}'
    storefront = Shopify(base_url="http://127.0.0.1:9", shop=domain, token="none", webhook_secrets=secret)
    topics = [("shopify", topic) for topic in topics_of(shop.the_map.systems["shopify"])]
    door = Door({"shopify": storefront}, topics, shop.store)

    def post(address: str, topic: str, secret: str) -> int:
        signature = base64.b64encode(hmac.digest(secret.encode(), body, "sha256")).decode()
        headers = {"X-Shopify-Topic": topic, "X-Shopify-Shop-Domain": domain, "X-Shopify-Hmac-Sha256": signature}
        return requests.post(
            f"http://127.0.0.1:{served.port}/webhooks/shopify/{address}", data=body, headers=headers, timeout=9
        ).status_code

    with running(door) as served:
        answers = [post("disputes/create", "disputes/create", secret) for _ in range(3)]
        answers.append(post("refunds/forged", "refunds/forged", "a stranger's"))
        answers.append(post("disputes/replayed", "disputes/create", secret))
    record(shop.store, door.tally.close_minute())
    assert answers == [404] * 5
    looked = shop.look()
    assert told_of(looked) == [("shopify", "topic", "disputes/create", 3)]
    [(subject, steward, sentence)] = shop.alerts("unknown traffic")
    assert (subject, steward) == ("shopify/disputes/create", "team:ecommerce")
    assert (
        "posted a webhook topic that no stream of the map names: disputes/create; the door refused it (3 messages"
        in sentence
    )
    draft.systems["shopify"]["ignores"] = ["disputes/*"]
    shop.the_map = load_map(draft.write())
    assert told_of(shop.look()) == []
    assert shop.alerts("unknown traffic") == []


def test_files_that_no_stream_takes_are_told_kind_by_kind(shop: Shop, tmp_path: Path, draft: Draft) -> None:
    drop = tmp_path / "drop"
    names = ["orders/2026-11-20.csv", "orders/2026-11-20.csv.part", "returns/2026-11-20.csv", "returns/2026-11-21.csv",
             "readme.txt", ".hidden/a.csv", "orders/old/2026-11-20.csv"]  # fmt: skip
    for name in names:
        (drop / name).parent.mkdir(parents=True, exist_ok=True)
        (drop / name).write_text("a")
    folder = Drop(url=f"file://{drop}", streams={"order_files": {"glob": "orders/*.csv", "format": "csv"}})
    looked = shop.look(wholesale=folder)
    assert sorted(told_of(looked)) == [
        ("wholesale", "file", "orders/old/*.csv", 1),
        ("wholesale", "file", "readme.txt", 1),
        ("wholesale", "file", "returns/*.csv", 2),
    ]
    assert {row["steward"] for row in looked.findings} == {"team:wholesale"}
    assert sorted(told_of(shop.look(wholesale=folder))) == sorted(told_of(looked)), "told once"
    for name in names:
        if name.startswith("returns"):
            (drop / name).unlink()
    draft.systems["wholesale"]["ignores"] = ["readme.txt", "*/old/*"]
    shop.the_map = load_map(draft.write())
    assert told_of(shop.look(wholesale=folder)) == []


def test_a_drop_folder_that_cannot_be_reached_ends_no_finding(shop: Shop, tmp_path: Path) -> None:
    (tmp_path / "drop").mkdir()
    (tmp_path / "drop" / "stray.txt").write_text("a")
    folder = Drop(url=f"file://{tmp_path}/drop", streams={})
    assert told_of(shop.look(wholesale=folder)) == [("wholesale", "file", "stray.txt", 1)]
    gone = Drop(url=f"file://{tmp_path}/nowhere", streams={})
    assert told_of(shop.look(wholesale=gone)) == [("wholesale", "file", "stray.txt", 1)]


def test_files_of_one_kind_differ_in_their_numbers() -> None:
    names = ["a/2026-11-20.csv", "a/20261120T1200_7.csv", "RET-0001-2.xml", "plain.txt"]
    assert [kind_of_file(name) for name in names] == ["a/*.csv", "a/*.csv", "RET-*.xml", "plain.txt"]


def test_a_stream_that_the_map_no_longer_has_is_a_finding_until_it_is_back(shop: Shop, draft: Draft) -> None:
    whole = shop.the_map
    del draft.systems["shopify"]["streams"]["orders"]
    shop.the_map = load_map(draft.write())
    [told] = shop.look().findings
    assert (told["kind"], told["what"], told["messages"], told["steward"]) == (
        "stream", "orders", LEARNING, "team:ecommerce"
    )  # fmt: skip
    assert told["next_step"].startswith("give map/systems/shopify.yaml its stream orders back")
    shop.posts(3)
    assert told_of(shop.look()) == [("shopify", "stream", "orders", LEARNING + 3)]
    shop.the_map = whole
    assert told_of(shop.look()) == []


def test_what_was_told_of_a_stream_is_over_when_the_map_no_longer_has_it(shop: Shop, draft: Draft) -> None:
    shop.posts(2, lambda told: told.update(gift_note="", source_name="an app"))
    assert [row["kind"] for row in shop.look().findings] == ["writer", "field"]
    del draft.systems["shopify"]["streams"]["orders"]
    shop.the_map = load_map(draft.write())
    assert told_of(shop.look()) == [("shopify", "stream", "orders", LEARNING + 2)]


def test_a_system_that_the_map_no_longer_has_is_told_to_whoever_keeps_concord(shop: Shop) -> None:
    shop.posts(2, system="magento", stream="sales")
    [told] = shop.look().findings
    assert (told["system"], told["kind"], told["what"], told["steward"]) == (
        "magento", "stream", "sales", "whoever keeps Concord"
    )  # fmt: skip


def test_a_writer_whom_the_map_does_not_know_is_a_finding_until_it_does(shop: Shop, draft: Draft) -> None:
    shop.posts(2, lambda told: told.update(source_name="web"))
    assert [row for row in shop.look().findings if row["kind"] == "writer"] == []
    shop.posts(2, lambda told: told.update(source_name="580111"))
    shop.look()
    shop.posts(1, lambda told: told.update(source_name="580111"))
    assert told_of(shop.look()) == [("shopify", "writer", "580111", 3)]
    draft.systems["shopify"]["writers"] += ["580111"]
    shop.the_map = load_map(draft.write())
    assert told_of(shop.look()) == []


def test_the_command_lists_findings_with_steward_and_next_step(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONCORD_DATABASE_URL", shop.store.url)
    assert CliRunner().invoke(main, ["findings"]).output == "the map knows all that arrives\n"
    shop.posts(1, lambda told: told.update(gift_note="for Ada"))
    shop.look()
    said = CliRunner().invoke(main, ["findings", "--steward", "team:ecommerce"]).output
    assert "field shopify/orders carries a field that the map does not read: $.gift_note (text or a number)" in said
    assert said.endswith("1 finding is open\n")
    [told] = json.loads(CliRunner().invoke(main, ["findings", "--json"]).output)
    assert told["what"] == "$.gift_note"
    assert json.loads(CliRunner().invoke(main, ["findings", "--json", "--steward", "nobody"]).output) == []


# Promises


def test_a_promise_is_the_same_whether_its_messages_come_in_one_piece_or_one_by_one() -> None:
    outcomes = np.array([1, 1, 0, 2, 2, 0, 2, 1, 2, 1, 0, 2, 2, 2, 2], dtype=np.int8)
    ids = np.arange(len(outcomes), dtype=np.int64)
    whole = Promise("$.a", "is there").after(outcomes, ids)
    bit_by_bit = Promise("$.a", "is there")
    for position in range(len(outcomes)):
        bit_by_bit = bit_by_bit.after(outcomes[position : position + 1], ids[position : position + 1])
    assert whole == bit_by_bit
    assert (whole.chances, whole.kept, whole.missed, whole.longest_missed) == (12, 4, 4, 3)
    assert (KEPT, MISSED) == (1, 2)

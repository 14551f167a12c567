"""A real storefront that moved from one version of its API to the next, read where CONCORD_REALDATA says it lies."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from pipelines.language.schema import IntegrationMap, load_map
from pipelines.stages.drift import LEARNING, look
from resources.connectors.connector import Message
from resources.host.text import as_payload
from resources.store.findings import Looked
from resources.store.inbox import keep
from resources.store.store import Store
from tests.map_draft import Draft

REALDATA = os.environ.get("CONCORD_REALDATA")
pytestmark = pytest.mark.skipif(not REALDATA, reason="CONCORD_REALDATA does not name a folder of real payloads")


def orders(version: str) -> list[dict[str, Any]]:
    """Every order that the documentation of that version shows."""
    found = []
    for path in sorted((Path(REALDATA or "") / f"shopify/rest_docs_examples_{version}").glob("order__*")):
        body = json.loads(path.read_bytes()).get("body")
        if isinstance(body, dict):
            found += [one for one in [*body.get("orders", []), body.get("order")] if isinstance(one, dict)]
    return found


def move(store: Store, the_map: IntegrationMap) -> Looked:
    """Orders of the old version as long as a stream is learnt, and then those of the new one."""
    old, new = orders("2022-04"), orders("2024-01")
    assert len(old) == len(new) == 31
    _post(store, old * (LEARNING // len(old) + 1))
    before = look(store, the_map, {})
    assert before.broken == []
    assert {row["kind"] for row in before.findings} == {"writer"}  # the documentation's own app
    _post(store, new * 2)
    return look(store, the_map, {})


def _post(store: Store, told: list[dict[str, Any]]) -> None:
    bodies = [json.dumps(one).encode() for one in told]
    messages = [Message("orders", as_payload(body), body) for body in bodies]
    with store.transaction() as connection:
        keep(connection, system="shopify", arrived_by="webhook", messages=messages)


def test_what_the_new_version_added_is_told_and_nothing_that_the_map_reads_is_missed(
    store: Store, the_map: IntegrationMap
) -> None:
    looked = move(store, the_map)
    assert looked.broken == []
    assert [row["what"] for row in looked.findings if row["kind"] == "field"] == [
        "$.confirmation_number",
        "$.fulfillments[].line_items[].current_quantity",
        "$.tax_exempt",
    ]


def test_a_map_that_reads_what_the_new_version_no_longer_carries_is_told_of_a_broken_contract(
    store: Store, tmp_path: Path
) -> None:
    draft = Draft(tmp_path)
    says = draft.systems["shopify"]["streams"]["orders"]["says"]["orders"]["fields"]
    says["customer"] = "coalesce(payload ->> '$.gateway', payload ->> '$.processing_method')"
    looked = move(store, load_map(draft.write()))
    assert [one.path for one in looked.broken] == ["$.gateway", "$.processing_method"]

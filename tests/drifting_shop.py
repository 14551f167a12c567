"""A storefront whose orders change their shape, and the looks at what it posts."""

import json
from collections.abc import Callable
from typing import Any

from pipelines.language.schema import IntegrationMap
from pipelines.stages.drift import look
from resources.connectors.connector import Connector, Message
from resources.host.text import as_payload
from resources.store.findings import Looked
from resources.store.inbox import keep
from resources.store.store import Store
from tests.fixtures_world import line, order
from tests.wanting import select

Change = Callable[[dict[str, Any]], None]


class Shop:
    """A storefront that posts orders, and a look at them."""

    def __init__(self, store: Store, the_map: IntegrationMap) -> None:
        self.store, self.the_map, self.number = store, the_map, 0

    def posts(
        self, count: int, change: Change | None = None, *, stream: str = "orders", system: str = "shopify"
    ) -> None:
        messages = []
        for _ in range(count):
            self.number += 1
            told = order(self.number, lines=[line()])
            if change:
                change(told)
            body = json.dumps(told).encode()
            messages.append(Message(stream, as_payload(body), body, remote_id=str(self.number)))
        with self.store.transaction() as connection:
            keep(connection, system=system, arrived_by="webhook", messages=messages)

    def look(self, **connectors: Connector) -> Looked:
        return look(self.store, self.the_map, connectors)

    def fields(self) -> list[str]:
        """The paths that a look now tells of."""
        return [row["what"] for row in self.look().findings if row["kind"] == "field"]

    def alerts(self, kind: str) -> list[tuple[str, str, str]]:
        return select(
            self.store,
            "select subject, steward, sentence from alerts where over_at is null and kind = :kind order by 1",
            kind=kind,
        )

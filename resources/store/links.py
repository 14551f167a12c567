"""Which remote record is which of ours: what machines find out. People say it through `concord link`."""

from collections.abc import Sequence

import sqlalchemy as sa

from resources.store.store import in_order, query


def link_by_match(connection: sa.Connection, entity: str, matches: Sequence[tuple[str, str, str]]) -> int:
    """Link each (system, remote id) to the key of the record that it was found to be; how many were new or moved.

    What a person linked stays. Both keys are settled again, the one that a record leaves and the one that it joins.
    """
    if not matches:
        return 0
    systems, remote_ids, keys = (list(column) for column in zip(*matches, strict=True))
    in_order(connection)
    return connection.execute(
        query("link_by_match"), {"entity": entity, "systems": systems, "remote_ids": remote_ids, "keys": keys}
    ).rowcount

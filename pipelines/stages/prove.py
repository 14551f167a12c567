"""Prove: what each system really holds, pulled back and compared, and the repairs that follow."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from pipelines.compiler.reconciliation import NOT_WRONG
from pipelines.language.schema import BusinessProof, IntegrationMap, Reconciliation
from resources.connectors.connector import Connector
from resources.host import settings
from resources.host.text import hash_of
from resources.lake import lake
from resources.store.alerts import Alert, end_alerts, raise_alerts
from resources.store.inbox import keep
from resources.store.store import Store, in_order, query


class SnapshotIncomplete(Exception):
    """The system did not say that it told everything; what it told is kept, and the snapshot proves nothing."""


@dataclass(slots=True)
class Reconciled:
    """The outcome of an entity's reconciliations."""

    counts: dict[tuple[str, str], int] = field(default_factory=dict)  # (reconciliation, kind) -> differences
    records: int = 0
    over_alarm: list[str] = field(default_factory=list)  # one sentence for each reconciliation above its alarm

    @property
    def wrong(self) -> int:
        """Differences that are not merely late."""
        return sum(count for (_, kind), count in self.counts.items() if kind not in NOT_WRONG)


def take_snapshot(store: Store, system: str, stream: str, connector: Connector) -> int:
    """Look at everything that the system holds; how many records. Raises Unreachable or SnapshotIncomplete.

    What differs from the record's last message enters the inbox like a poll; each record of the snapshot points at the
    message that tells it, so that both sides of a reconciliation are read in our words.
    """
    with store.turn(f"snapshot/{system}/{stream}"):
        row = store.one("start_snapshot", system=system, stream=stream)
        snapshot_id = row["snapshot_id"] if row else 0
        is_complete = False
        for page in connector.snapshot(stream):
            with store.transaction() as connection:
                keep(connection, system=system, arrived_by="snapshot", messages=page.messages)
                told = {
                    "remote_ids": [message.remote_id for message in page.messages],
                    "body_hashes": [hash_of(message.body) for message in page.messages],
                }
                connection.execute(
                    query("point_at_messages"), {"snapshot_id": snapshot_id, "system": system, "stream": stream, **told}
                )
            is_complete = page.is_last
        if not is_complete:
            raise SnapshotIncomplete(f"{system} broke off while it told its {stream}; the next snapshot tries again")
        finished = store.one("finish_snapshot", snapshot_id=snapshot_id)
        store.execute("forget_old_snapshots", system=system, stream=stream)
    return finished["records"] if finished else 0


def count_differences(entity: str, *, store: Store, the_map: IntegrationMap) -> Reconciled:
    """Read what the reconciliation models found, and raise or end their alerts."""
    reconciled = Reconciled()
    told = the_map.entities[entity]
    with lake.reading(store.url, settings.lake()) as db:
        found = []
        if told.reconcile:
            found += db.execute(
                f"select reconciliation, kind, count(*) from reconcile_{entity} group by all"
            ).fetchall()
        if told.proofs:
            found += db.execute(f"select proof, kind, count(*) from proofs_{entity} group by all").fetchall()
        counted = db.execute(f"select count(*) from {entity}").fetchone()
        reconciled.records = counted[0] if counted else 0
    reconciled.counts = {(name, kind): count for name, kind, count in found}
    raised, over = [], []
    proofs: dict[str, Reconciliation | BusinessProof] = {**told.reconcile, **told.proofs}
    for name, proof in proofs.items():
        wrong = {k: n for (r, k), n in reconciled.counts.items() if r == name and k not in NOT_WRONG}
        total = sum(wrong.values())
        share = proof.alarm_above.endswith("%")
        limit = float(proof.alarm_above.rstrip("%")) * (max(reconciled.records, 1) / 100 if share else 1)
        if total > limit:
            kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(wrong.items()))
            if isinstance(proof, Reconciliation):
                sentence = (
                    f"{' and '.join(proof.between)} disagree about {entity}: {kinds}; {proof.steward} answers; "
                    f"the rows with their repairs stand in reconcile_{entity}"
                )
            else:
                sentence = (
                    f"{name.replace('_', ' ')}: {kinds}; {proof.steward} answers; the rows with what to do stand in "
                    f"proofs_{entity}"
                )
            reconciled.over_alarm.append(sentence)
            raised.append(Alert(f"{entity}/{name}", "reconciliation", proof.steward, sentence))
        else:
            over.append(f"{entity}/{name}")
    with store.transaction() as connection:
        raise_alerts(connection, raised)
        end_alerts(connection, over, kinds=["reconciliation"])
    return reconciled


def repair(store: Store, the_map: IntegrationMap, *, flow: str, keys: Sequence[str], by_whom: str) -> int:
    """Ask that these records be delivered again by this flow; the next sync does it. How many were asked.

    Only the side that does not own the record is repaired so; the owner's own word arrives by poll or snapshot.
    """
    entity = the_map.flows[flow][0].entity
    with store.transaction() as connection:
        in_order(connection)
        return connection.execute(
            query("ask_repair"), {"entity": entity, "keys": list(keys), "flow": flow, "by_whom": by_whom}
        ).rowcount

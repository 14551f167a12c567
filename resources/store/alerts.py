"""What a person must know: raised once, with a steward and a next step, and ended when it is over."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from resources.store.store import query

KEEPER = "whoever keeps Concord"  # answers where the map names nobody


@dataclass(frozen=True, slots=True)
class Alert:
    """One thing that a person must know."""

    subject: str  # a flow, a system, a reconciliation, or <flow>/<key>
    kind: str
    steward: str
    sentence: str  # what happened, and what to do


def raise_alerts(connection: sa.Connection, alerts: Collection[Alert]) -> None:
    """Raise what is not raised yet; an open alert of the same subject and kind takes the new sentence."""
    by_subject = {(alert.subject, alert.kind): alert for alert in alerts}  # one statement touches a row once
    if by_subject:
        told = [by_subject[name] for name in sorted(by_subject)]
        columns = {
            "subjects": [alert.subject for alert in told],
            "kinds": [alert.kind for alert in told],
            "stewards": [alert.steward for alert in told],
            "sentences": [alert.sentence for alert in told],
        }
        connection.execute(query("raise_alerts"), columns)


def end_alerts(connection: sa.Connection, subjects: Collection[str], *, kinds: Sequence[str]) -> None:
    """End the open alerts of these kinds about these subjects."""
    if subjects:
        connection.execute(query("end_alerts"), {"subjects": list(subjects), "kinds": list(kinds)})

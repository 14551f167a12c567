"""Arrive and keep: one poll of one stream, page by page, each page committed with its cursor."""

from dataclasses import dataclass, field

from pipelines.language.schema import IntegrationMap
from resources.connectors.connector import Connector
from resources.store.alerts import Alert, end_alerts, raise_alerts
from resources.store.files_taken import keep_file_page, open_file_problems
from resources.store.inbox import cursor_of, keep_page
from resources.store.store import Store


@dataclass(slots=True)
class Arrived:
    """What one poll brought."""

    system: str
    stream: str
    seen: int = 0  # messages that the system gave
    kept: int = 0  # of them, new to us
    problems: list[str] = field(default_factory=list)  # files that could not be read, one sentence each


def has_changed(store: Store, system: str, stream: str, connector: Connector) -> bool:
    """Whether a poll would bring anything; cheap. Raises Unreachable."""
    return connector.has_changed(stream, cursor_of(store, system=system, stream=stream))


def poll(store: Store, the_map: IntegrationMap, system: str, stream: str, connector: Connector) -> Arrived:
    """Keep what changed since the cursor. Polls of one stream take turns. Raises Unreachable; what came before is kept."""
    arrived = Arrived(system, stream)
    is_file = the_map.systems[system].streams[stream].arrives.file is not None
    keep_one = keep_file_page if is_file else keep_page
    with store.turn(f"poll/{system}/{stream}"):
        for page in connector.changed_since(stream, cursor_of(store, system=system, stream=stream)):
            arrived.seen += len(page.messages)
            arrived.kept += keep_one(store, system=system, stream=stream, page=page)
    if is_file:
        arrived.problems = _tell_file_problems(store, the_map, system, stream)
    return arrived


def _tell_file_problems(store: Store, the_map: IntegrationMap, system: str, stream: str) -> list[str]:
    """An alert for the stream while any of its files could not be read."""
    problems = open_file_problems(store, system=system, stream=stream)
    sentences = [f"{row['file_name']}: {row['problem']}" for row in problems]
    subject, steward = f"{system}/{stream}", the_map.systems[system].steward
    with store.transaction() as connection:
        if sentences:
            told = f"{len(sentences)} files could not be read: {'; '.join(sentences[:3])}; have them sent again"
            raise_alerts(connection, [Alert(subject, "unreadable file", steward, told)])
        else:
            end_alerts(connection, [subject], kinds=["unreadable file"])
    return sentences

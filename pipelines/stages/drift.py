"""Drift: what messages carry that the map does not read, what they no longer carry that it does, and traffic of no stream."""

import fnmatch
import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import duckdb
import numpy as np
import sqlalchemy as sa

from pipelines.language.paths import Read, is_read, reads_of
from pipelines.language.schema import IntegrationMap, Stream, System
from pipelines.stages.drift_baseline import Promise, after_piece, topmost
from resources.connectors.connector import Connector, Unreachable
from resources.lake.json_paths import around, covers
from resources.lake.json_shapes import PIECE, UNFIT, Piece, looking, pieces
from resources.store.alerts import KEEPER, Alert, end_alerts, raise_alerts
from resources.store.findings import Broken, Finding, Looked, end_findings, keep_findings, sentence_of
from resources.store.store import Store, query

LEARNING = 500  # messages of a stream that are its baseline: by then most of what is optional has come once
LEARNING_SECONDS = 7 * 86400.0  # or those of its first week, where fewer come
MANY_KEYS = 6  # that a finding names of an object

KINDS = {"object": "an object", "list": "a list", "text": "text or a number", "boolean": "true or false"}


def look(store: Store, the_map: IntegrationMap, connectors: Mapping[str, Connector]) -> Looked:
    """Look at what arrived since the last look. `connectors` are asked for what lies there and no stream takes."""
    looked = Looked()
    with store.turn("drift"):
        known = {(row["system"], row["stream"]): row for row in store.rows("looks", seconds=LEARNING_SECONDS)}
        newest = {(row["system"], row["stream"]): row["newest_inbox_id"] for row in store.rows("streams_of_inbox")}
        with looking() as db:
            for system in the_map.systems.values():
                for name, stream in system.streams.items():
                    one = _Look(store, db, the_map, system, name, stream)
                    so_far = known.get((system.system, name))
                    if (system.system, name) in newest and (
                        so_far is None or so_far["upto_inbox_id"] < newest[system.system, name]
                    ):
                        looked.messages += one.take(so_far)
                    looked.broken += one.judge()
        lying = {name: _files(the_map.systems[name], connector) for name, connector in connectors.items()}
        with store.transaction() as connection:
            _keep_strangers(connection, the_map, newest, known)
            for system in the_map.systems.values():
                _keep_traffic(connection, system, "topic", _topics(connection, system))
                _keep_traffic(connection, system, "file", lying.get(system.system))
            streams = [f"{s.system}/{name}" for s in the_map.systems.values() for name in s.streams]
            connection.execute(query("end_findings_elsewhere"), {"streams": streams, "systems": list(the_map.systems)})
            _tell(connection, the_map, looked.broken)
        looked.findings = store.rows("open_findings")
    return looked


@dataclass(frozen=True)
class _Look:
    """A look at one stream of the map."""

    store: Store
    db: duckdb.DuckDBPyConnection
    the_map: IntegrationMap
    system: System
    name: str
    stream: Stream

    @property
    def where(self) -> dict[str, str]:
        return {"system": self.system.system, "stream": self.name}

    @property
    def reads(self) -> dict[str, Read]:
        return reads_of(self.the_map, self.stream)

    def take(self, so_far: Mapping[str, Any] | None) -> int:
        """Add what is new to the stream's shapes and promises, piece by piece; how many messages it was."""
        if so_far is None:
            first = self.store.one("first_to_look_at", most=PIECE, **self.where)
            after, seen, is_old = (first or {})["after"], 0, False
        else:
            after, seen, is_old = so_far["upto_inbox_id"], so_far["messages"], so_far["is_old"]
        reads = self.reads
        typed = {read.path: read.expected for read in reads.values() if read.expected in UNFIT}
        taken = 0
        for piece in pieces(self.store, self.db, after=after, typed=typed, writer=self.stream.writer, **self.where):
            promises = [Promise(**row) for row in self.store.rows("promises_of_stream", **self.where)]
            is_learning = so_far is None or (seen + taken < LEARNING and not is_old)
            with self.store.transaction() as connection:
                connection.execute(query("keep_shapes"), self.where | _counted(piece) | {"is_known": is_learning})
                connection.execute(query("keep_promises"), self.where | _columns(after_piece(promises, reads, piece)))
                keep_findings(connection, self._writers(piece))
                look = {"upto": int(piece.inbox_ids[-1]), "messages": len(piece.inbox_ids)}
                connection.execute(query("keep_look"), self.where | look)
            taken += len(piece.inbox_ids)
        return taken

    def judge(self) -> list[Broken]:
        """Tell what the map does not know of the stream, and end what it knows by now; what is broken."""
        reads = self.reads
        with self.store.transaction() as connection:
            self._know(connection, [path for path in self._told(connection, "field") if is_read(reads, path)])
            rows = connection.execute(query("unknown_shapes"), self.where).mappings().all()
            unknown = {row["path"]: dict(row) for row in rows if not self._is_known(row["path"], reads)}
            told = {path: row for path, row in unknown.items() if not any(outer in unknown for outer in around(path))}
            beneath = self._beneath(connection, told)
            keep_findings(connection, [self._field(row, beneath[path]) for path, row in told.items()])
            end_findings(connection, ["field"], told, **self.where)
            strangers = [name for name in self._told(connection, "writer") if name not in self.system.writers]
            end_findings(connection, ["writer"], strangers if self.stream.writer else [], **self.where)
            connection.execute(query("forget_promises"), self.where | {"paths": list(reads)})
            promises = [
                Promise(**row) for row in connection.execute(query("promises_of_stream"), self.where).mappings()
            ]
            return [
                Broken(self.system.system, self.name, one.path, self._sentence(connection, one, reads[one.path]))
                for one in topmost([one for one in promises if one.is_broken])
            ]

    def _is_known(self, path: str, reads: dict[str, Read]) -> bool:
        return is_read(reads, path) or any(covers(ignored, path) for ignored in self.stream.ignores)

    def _beneath(self, connection: sa.Connection, told: Collection[str]) -> dict[str, list[str]]:
        """The keys of each of these paths that is an object."""
        if not told:
            return {}
        paths: Sequence[str] = connection.execute(query("paths_of_stream"), self.where).scalars().all()
        return {
            path: sorted(p[len(path) + 1 :] for p in paths if re.fullmatch(re.escape(path) + r"\.[^.\[]+", p))
            for path in told
        }

    def _field(self, row: Mapping[str, Any], keys: Sequence[str]) -> Finding:
        shown = ", ".join(keys[:MANY_KEYS]) + (" and others" if len(keys) > MANY_KEYS else "")
        example = KINDS.get(row["kind"], "nothing yet")
        return Finding(
            system=self.system.system,
            stream=self.name,
            kind="field",
            what=row["path"],
            steward=self.system.steward,
            next_step=f"spell it under streams.{self.name}.says in map/systems/{self.system.system}.yaml, or name it under "
            f"streams.{self.name}.ignores",
            messages=row["messages"],
            example=f"{example} with {shown}" if keys else example,
            first_inbox_id=row["first_inbox_id"],
            last_inbox_id=row["last_inbox_id"],
        )

    def _know(self, connection: sa.Connection, mapped: Sequence[str]) -> None:
        """What lies in a path that a person has mapped is no news any more: they have seen it."""
        if mapped:
            paths: Sequence[str] = connection.execute(query("paths_of_stream"), self.where).scalars().all()
            seen = [path for path in paths if any(covers(outer, path) for outer in mapped)]
            connection.execute(query("know_shapes"), self.where | {"paths": seen})

    def _writers(self, piece: Piece) -> list[Finding]:
        return [
            Finding(
                system=self.system.system,
                stream=self.name,
                kind="writer",
                what=name,
                steward=self.system.steward,
                next_step=f"find out who that is, then add it to `writers` in map/systems/{self.system.system}.yaml, or "
                "take its access away",
                messages=len(ids),
                first_inbox_id=int(ids[0]),
                last_inbox_id=int(ids[-1]),
            )
            for name, ids in piece.writers.items()
            if name not in self.system.writers
        ]

    def _told(self, connection: sa.Connection, kind: str) -> Sequence[str]:
        """What is told of and not over."""
        found: Sequence[str] = connection.execute(query("told_of"), self.where | {"kind": kind}).scalars().all()
        return found

    def _sentence(self, connection: sa.Connection, promise: Promise, read: Read) -> str:
        readers = ", ".join(read.readers[:3]) + (" and others" if len(read.readers) > 3 else "")
        after = promise.last_kept_inbox_id or 0
        if promise.promise == "is there":
            what = f"no longer carries {promise.path}"
        else:
            kind = connection.execute(query("kinds_at"), self.where | {"path": promise.path, "after": after}).scalar()
            now = KINDS.get(str(kind), "something else")
            what = f"now carries {now} at {promise.path}"
            if read.expected in UNFIT and kind == "text":
                what = f"now carries text that is not {read.expected} at {promise.path}"
        return (
            f"{self.system.system}/{self.name} {what}, which the map reads as {read.expected} for {readers}: so in the "
            f"last {promise.missed} messages, while {promise.kept} of {promise.before} before kept it (the last was "
            f"message {after}). {self.system.steward} answers: ask {self.system.system} what changed, then spell it anew in "
            f"map/systems/{self.system.system}.yaml under streams.{self.name}"
        )


def _counted(piece: Piece) -> dict[str, list[Any]]:
    """How many messages carried which kind at which path, with the first and the last of them."""
    counts = np.bincount(piece.numbers, minlength=len(piece.shapes))
    firsts = piece.inbox_ids[np.unique(piece.numbers, return_index=True)[1]]
    lasts = piece.inbox_ids[len(piece.numbers) - 1 - np.unique(piece.numbers[::-1], return_index=True)[1]]
    found: dict[tuple[str, str], list[int]] = {}
    for shape, *told in zip(piece.shapes, counts.tolist(), firsts.tolist(), lasts.tolist(), strict=True):
        count, first, last = told
        for path, kind in shape.kinds.items():
            known = found.setdefault((path, kind), [0, first, last])
            known[0] += count
            known[1] = min(known[1], first)
            known[2] = max(known[2], last)
    return {
        "paths": [path for path, _ in found],
        "kinds": [kind for _, kind in found],
        "messages": [told[0] for told in found.values()],
        "firsts": [told[1] for told in found.values()],
        "lasts": [told[2] for told in found.values()],
    }


def _columns(promises: Sequence[Promise]) -> dict[str, list[Any]]:
    return {
        "paths": [one.path for one in promises],
        "promises": [one.promise for one in promises],
        "chances": [one.chances for one in promises],
        "kepts": [one.kept for one in promises],
        "misses": [one.missed for one in promises],
        "longests": [one.longest_missed for one in promises],
        "lasts": [one.last_kept_inbox_id for one in promises],
    }


# Traffic of no stream


def _keep_traffic(connection: sa.Connection, system: System, kind: str, found: Sequence[Finding] | None) -> None:
    """Topics and files of a system that no stream takes. None: they could not be asked for."""
    if found is None:
        return
    wanted = [one for one in found if not _is_ignored(system, one.what)]
    keep_findings(connection, wanted)
    end_findings(connection, [kind], [one.what for one in wanted], system=system.system, stream="")


def _is_ignored(system: System, what: str) -> bool:
    return any(fnmatch.fnmatchcase(what, ignored) for ignored in system.ignores)


def _topics(connection: sa.Connection, system: System) -> list[Finding]:
    """Webhook topics that the system signed and that no stream names."""
    named = {topic for stream in system.streams.values() for topic in stream.arrives.webhook}
    return [
        Finding(
            system.system,
            "",
            "topic",
            row["topic"],
            system.steward,
            f"name it under `webhook` of a stream in map/systems/{system.system}.yaml, unsubscribe from it in "
            f"{system.system}, or name it under `ignores` there",
            row["messages"],
            first_seen_at=row["first_seen_at"],
            last_seen_at=row["last_seen_at"],
        )
        for row in connection.execute(query("unknown_topics"), {"system": system.system}).mappings()
        if row["topic"] not in named
    ]


def _files(system: System, connector: Connector) -> list[Finding] | None:
    """Files that lie in the system's drop folder and that no stream takes, kind by kind."""
    try:
        kinds = Counter(kind_of_file(name) for name in connector.unclaimed())
    except Unreachable:  # of which the sensor that looks for its files tells
        return None
    return [
        Finding(
            system.system,
            "",
            "file",
            kind,
            system.steward,
            f"add a stream that takes it to map/systems/{system.system}.yaml, have it removed, or name it under `ignores` "
            "there",
            count,
        )
        for kind, count in kinds.items()
    ]


def kind_of_file(name: str) -> str:
    """Files that differ in their numbers and dates only are of one kind: `returns/2026-11-20.csv` is `returns/*.csv`."""
    return re.sub(r"\*(?:[-_. T:]?\*)+", "*", re.sub(r"\d+", "*", name))


def _keep_strangers(
    connection: sa.Connection,
    the_map: IntegrationMap,
    newest: Mapping[tuple[str, str], int],
    known: Mapping[tuple[str, str], Mapping[str, Any]],
) -> None:
    """Streams of the inbox that the map does not have: their messages are settled by nobody."""
    found: dict[str, list[Finding]] = {name: [] for name in the_map.systems}
    for (name, stream), upto in newest.items():
        system = the_map.systems.get(name)
        if system and (stream in system.streams or _is_ignored(system, stream)):
            continue
        so_far = known.get((name, stream), {"upto_inbox_id": 0, "messages": 0})
        bounds = {"system": name, "stream": stream, "upto": upto}
        new = (
            connection.execute(query("count_new_of_stream"), bounds | {"after": so_far["upto_inbox_id"]})
            .mappings()
            .one()
        )
        if new["messages"]:
            connection.execute(query("keep_look"), bounds | {"messages": new["messages"]})
        file = f"map/systems/{name}.yaml"
        found.setdefault(name, []).append(
            Finding(
                name,
                "",
                "stream",
                stream,
                system.steward if system else KEEPER,
                f"give {file} its stream {stream} back, or name it under `ignores` there"
                if system
                else f"add {file} with the stream {stream}, or stop whatever still writes under that name",
                so_far["messages"] + new["messages"],
                first_inbox_id=new["first_inbox_id"],
                last_inbox_id=upto,
            )
        )
    for name, findings in found.items():
        keep_findings(connection, findings)
        end_findings(connection, ["stream"], [one.what for one in findings], system=name, stream="")


# Alerts


def _tell(connection: sa.Connection, the_map: IntegrationMap, broken: Sequence[Broken]) -> None:
    """One alert a stream whose contract is broken, and one for each traffic that the map does not know."""
    by_stream: dict[str, list[Broken]] = {}
    for one in broken:
        by_stream.setdefault(f"{one.system}/{one.stream}", []).append(one)
    alerts = [
        Alert(
            subject, "broken contract", the_map.systems[told[0].system].steward, "; ".join(o.sentence for o in told[:3])
        )
        for subject, told in by_stream.items()
    ]
    open_findings = [dict(row) for row in connection.execute(query("open_findings")).mappings()]
    strange = [row for row in open_findings if row["kind"] != "field"]
    alerts += [
        Alert(f"{row['system']}/{row['what']}", "unknown traffic", row["steward"], sentence_of(row)) for row in strange
    ]
    raise_alerts(connection, alerts)
    for kind in ("broken contract", "unknown traffic"):
        still = {alert.subject for alert in alerts if alert.kind == kind}
        open_now: Sequence[str] = connection.execute(query("alerts_of_kind"), {"kind": kind}).scalars().all()
        end_alerts(connection, [subject for subject in open_now if subject not in still], kinds=[kind])

"""What a sync reads: the new messages, and of every key that they touch all that was ever said, linked and decided."""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from pipelines.compiler.plan import Neighbour, Plan
from pipelines.stages.batch import Batch
from pipelines.stages.compute import Computer
from pipelines.stages.hot_keys import words_of_few
from pipelines.stages.in_question import InQuestion
from resources.store import settled
from resources.store.settled import Table, driver

LANDING = "inbox_id, system, stream, arrived_by, remote_id, body_hash, file_name, file_occurrence, row_number, received_at, payload"
LEDGER = "ledger_id, key, kind, system, remote_id, field, value, flow, by_whom, happened_at"
IS_OURS = "system || '/' || stream = any(%(streams)s)"

Key = tuple[str | None, ...]
Pair = tuple[str, str]  # system, remote id


@dataclass
class Slice:
    """One batch of one entity, as it is loaded into its computer."""

    plan: Plan
    batch: Batch
    computer: Computer
    connection: sa.Connection
    tables: dict[str, Table]
    touched: set[Key] = field(default_factory=set)
    wakes: list[int] = field(default_factory=list)  # the ids that this batch answers
    read: dict[str, dict[str, int]] = field(
        default_factory=dict
    )  # of a neighbour: value -> the batch that wrote its row
    settle_parts: Callable[["Slice"], set[Key]] | None = None  # of what hand-written models are made: whom that touches
    in_question: InQuestion = field(default_factory=InQuestion)  # of hand-written models
    whole: set[Key] = field(default_factory=set)  # keys of which everything is looked at again
    named: list[tuple[str, str | None, Key]] = field(default_factory=list)  # what the new messages name
    moved: set[Pair] = field(default_factory=set)  # what was linked anew
    known: set[int] = field(default_factory=set)  # the earlier messages that are loaded
    messages: int = 0  # new ones
    history: int = 0  # those that were told before
    only: frozenset[int] | None = None  # of the new messages, where a trial takes some

    def load(self) -> None:
        """Everything but the neighbours, which are known when what was said is staged."""
        plan, batch = self.plan, self.batch
        self.computer.load(
            "batch",
            [
                (
                    batch.after_inbox_id,
                    batch.upto_inbox_id,
                    batch.after_ledger_id,
                    batch.upto_ledger_id,
                    batch.moment,
                    batch.is_full,
                )
            ],
        )
        new = self._inbox("inbox_id > %(after_inbox_id)s")
        self.messages = len(new)
        self.computer.load(f"landing_{plan.entity}", new)
        named = [(row[1], row[2], row[3:]) for row in self.computer.ask("execute keys")] if plan.keys else []
        moved = self._find_touched(named)
        self.computer.load(f"touched_{plan.entity}", sorted(self.touched, key=str))
        self.moved, self.named = moved, named
        if not batch.is_full:
            self.add_history(self.touched)
        self._load_links(named, self.known, moved)
        self._load_ledger()

    def load_turn(self, messages: str | None, turn: int) -> None:
        """One turn of a rebuild, whose messages stand in a table of the query `messages`, each with its key."""
        plan, batch = self.plan, self.batch
        self.computer.load(
            "batch",
            [
                (
                    batch.after_inbox_id, batch.upto_inbox_id, batch.after_ledger_id, batch.upto_ledger_id, batch.moment,
                    batch.is_full,
                )
            ],
        )  # fmt: skip
        keys: list[tuple[Any, ...]] = []
        if messages:
            self.computer.db.execute(f"insert into landing_{plan.entity} select {LANDING} from {messages}")
            keys = self.computer.ask(f"select distinct key from {messages} where key is not null")
        noted = {self._stem(row[0]) for row in self._ledger_news()}
        if noted:
            here = self.computer.ask(
                f"select key from unnest(?) as noted (key) where hash(key) % {batch.turns} = {turn}", [sorted(noted)]
            )
            keys += here
        stems = {str(row[0]) for row in keys}
        self.touched = (
            {(f"{stem}/{part}",) for stem in stems for part in plan.each}
            if plan.of
            else {self._split(stem) for stem in stems}
        )
        self.computer.load(f"touched_{plan.entity}", sorted(self.touched, key=str))
        named = [(row[1], row[2], row[3:]) for row in self.computer.ask("execute keys")] if plan.keys else []
        self._load_links(named, [], set())
        self._load_ledger()

    def load_again(self, more: set[Key]) -> None:
        """Everything anew, with more keys than those of the news."""
        self.touched |= more
        self.read.clear()
        self.known.clear()
        self.computer.empty(*self.computer.columns)
        self.load()

    def touch(self, keys: set[Key]) -> None:
        """Settle these, too, with all that is known of them."""
        new = keys - self.touched
        self.touched |= new
        self.computer.load(f"touched_{self.plan.entity}", sorted(new, key=str))
        self.add_history(new)
        self.computer.empty(f"links_{self.plan.entity}", f"ledger_{self.plan.entity}")
        self._load_links(self.named, self.known, self.moved)
        self._load_ledger()

    def add_history(self, keys: Collection[Key]) -> None:
        """Load what was told of these keys and is not loaded yet."""
        old = self._history(sorted(keys, key=str)) if keys else []
        new = [row for row in old if row[0] not in self.known]
        self.known |= {row[0] for row in new}
        self.history += len(new)
        self.computer.load(f"landing_{self.plan.entity}", new)

    def load_record(self, key: str, most: int) -> None:
        """The newest messages of earlier batches about one record, with its links and its ledger."""
        plan = self.plan
        stem = key.rsplit("/", 1)[0]
        self.touched = {(f"{stem}/{part}",) for part in plan.each} if plan.of else {self._split(key)}
        moment = (*[self.batch.upto_inbox_id] * 2, *[self.batch.upto_ledger_id] * 2, self.batch.moment, False)
        self.computer.load("batch", [moment])
        self.computer.load(f"touched_{plan.entity}", sorted(self.touched, key=str))
        self.whole |= self.touched  # a trace shows what no longer decides anything, too
        old = sorted(self._history(sorted(self.touched, key=str)))[-most:]
        self.computer.load(f"landing_{plan.entity}", old)
        self._load_links([], [row[0] for row in old], set())
        self._load_ledger()

    # What is touched ---------------------------------------------------------------------------------------------------------
    def _find_touched(self, named: Sequence[tuple[str, str | None, Key]]) -> set[Pair]:
        """The keys of the new messages, of the ledger's news and of the wakes; which remote records were linked anew."""
        plan = self.plan
        news = self._ledger_news()
        # What a word meant may have been forgotten where what we sent, or what was decided or linked, is another than it seemed.
        guarded = any(model.name == f"{plan.entity}_conflicts" for model in plan.settling)
        again = ("linked", "unlinked", "revoked", *(("delivered", "held") if guarded else ()))
        self.whole |= {self._split(row[0]) for row in news if row[1] in again}
        moved = {(row[2], row[3]) for row in news if row[1] in ("linked", "unlinked") and row[2] and row[3]}
        self.touched |= {self._split(row[0]) for row in news}
        if len(plan.key) == 1:
            pairs = {(system, remote_id) for system, remote_id, _ in named if remote_id}
            now = self._links_of(pairs | moved, self.batch.upto_ledger_id)
            before = self._links_of(moved, self.batch.after_ledger_id)
            for system, remote_id, key in named:
                linked = now.get((system, remote_id or ""), (None, None))[0]
                self.touched.add((linked,) if linked else key)
            self.touched |= {(key,) for key, _ in [*now.values(), *before.values()] if key}
            self.whole |= {(row[0],) for pair in moved for row in (now.get(pair), before.get(pair)) if row and row[0]}
            if moved and not self.batch.is_full:  # what leaves a key or joins it is judged again
                heard = {(row[0],) for row in self._heard_of(moved)}
                self.touched |= heard
                self.whole |= heard
        else:
            self.touched |= {key for _, _, key in named}
        self.touched |= self._woken()
        if self.settle_parts:
            self.touched |= self.settle_parts(self)
        self.touched = {key for key in self.touched if key[0] is not None}
        if plan.of:  # a message may tell of all that hang on one record, and has one verdict: they are settled together
            self.touched = {(f"{str(key[0]).rsplit('/', 1)[0]}/{part}",) for key in self.touched for part in plan.each}
        return moved

    def _woken(self) -> set[Key]:
        """The records that what changed elsewhere wakes."""
        found: set[Key] = set()
        rows = (
            driver(self.connection)
            .execute(
                "select wake_id, by, value from wakes where entity = %s order by wake_id limit %s",
                [self.plan.entity, None if self.batch.is_full else 2000],
            )
            .fetchall()
        )
        self.wakes = [row[0] for row in rows]
        sliced = {one.name for one in self.plan.by_hand}
        for by in {row[1] for row in rows}:
            table, column = by.split(".")
            if table in sliced:
                self.in_question.add(table, (row[2] for row in rows if row[1] == by))
            elif table in self.tables:
                values = [(row[2],) for row in rows if row[1] == by]
                found |= set(settled.read(self.connection, table, self.plan.key, [column], values))
        return found

    def _ledger_news(self) -> list[tuple[Any, ...]]:
        chosen, kinds = (
            "key, kind, system, remote_id",
            "ledger_id > %(after_ledger_id)s and ledger_id <= %(upto_ledger_id)s",
        )
        rows = self._ask(f"select {chosen} from ledger where {kinds} and entity = %(entity)s")
        if self.plan.of:
            rows += [
                (f"{row[0]}/{part}", row[1], row[2], f"{row[3]}/{part}" if row[3] else None)
                for row in self._ask(
                    f"select {chosen} from ledger where {kinds} and entity = %(of)s and kind in ('linked', 'unlinked')"
                )
                for part in self.plan.each
            ]
        return rows

    def _split(self, key: str) -> Key:
        """The columns of a key that stands in the books as one text."""
        return (key,) if len(self.plan.key) == 1 else tuple(key.split("|"))

    # What was told of it -----------------------------------------------------------------------------------------------------
    def load_set_aside(self) -> None:
        """Give the batch's messages that were set aside their place in the books: everyone has one verdict."""
        rows = self._ask(
            """
            select inbox_id, system, stream, remote_id, received_at, stage || ': ' || error
            from inbox join set_aside using (inbox_id)
            where entity = %(entity)s and fingerprint = %(fingerprint)s
                and inbox_id > %(after_inbox_id)s and inbox_id <= %(upto_inbox_id)s
            """
        )
        if not rows:
            return
        entity = self.plan.entity
        self.computer.load("set_aside", rows)
        self.computer.db.execute(
            f"insert into {entity}_verdicts by name "
            "select inbox_id, system, stream, received_at, 'quarantined' as verdict, remote_id from set_aside"
        )
        self.computer.db.execute(
            f"""
            insert into {entity}_quarantine by name
            select '{entity}' as entity, inbox_id, system, stream, remote_id, received_at, true as is_rejected, reason,
                'whoever keeps Concord' as steward,
                'it was set aside, for it breaks our own SQL: mend the record in ' || system || ', or correct the map' as next_step
            from set_aside
            """
        )

    def _inbox(self, condition: str, **values: Any) -> list[tuple[Any, ...]]:
        taken = "" if self.only is None else "and inbox_id = any(%(only)s)"
        return self._ask(
            f"""
            select {LANDING} from inbox
            where inbox_id <= %(upto_inbox_id)s and {IS_OURS} and {condition} {taken}
                and inbox_id not in (select inbox_id from set_aside where entity = %(entity)s and fingerprint = %(fingerprint)s)
            """,
            only=sorted(self.only or ()),
            **values,
        )

    def _history(self, keys: Sequence[Key]) -> list[tuple[Any, ...]]:
        """The messages of earlier batches about these keys: told of them, or of a remote record that is linked to one."""
        if f"{self.plan.entity}_verdicts" not in self.tables:
            return []
        if self.plan.has_witnesses and f"witnesses_{self.plan.entity}" in self.tables:
            few = [key for key in keys if key not in self.whole]
            return self._witnesses(few) + self._whole_history([key for key in keys if key in self.whole])
        return self._whole_history(keys)

    def _witnesses(self, keys: Sequence[Key]) -> list[tuple[Any, ...]]:
        """Those of the earlier messages about these keys that still decide something."""
        return self._ask(
            f"""
            select {LANDING} from inbox join settled."witnesses_{self.plan.entity}" using (inbox_id) where key = any(%(texts)s)
            """,
            texts=["|".join(str(part) for part in key) for key in keys],
        )

    def _whole_history(self, keys: Sequence[Key]) -> list[tuple[Any, ...]]:
        if not keys:
            return []
        texts = [self._stem("|".join(str(part) for part in key)) for key in keys]
        pairs = self._linked_to([str(key[0]) for key in keys]) if len(self.plan.key) == 1 else set()
        systems, remote_ids = _columns(pairs)
        books = f'settled."{self.plan.entity}_verdicts"'
        chosen = words_of_few(self.plan) if self.plan.has_hot_keys else "select inbox_id from heard"
        return self._ask(
            f"""
            with heard as (
                select inbox_id from {books} where told_key = any(%(texts)s)
                union
                select inbox_id from {books}
                join unnest(%(systems)s::text[], %(remote_ids)s::text[]) as linked (system, remote_id) using (system, remote_id)
            )
            select {LANDING} from inbox join ({chosen}) as chosen using (inbox_id)
            where inbox_id <= %(after_inbox_id)s
                and inbox_id not in (select inbox_id from set_aside where entity = %(entity)s and fingerprint = %(fingerprint)s)
            """,
            texts=sorted(set(texts)), systems=systems, remote_ids=[self._stem(one) for one in remote_ids],
        )  # fmt: skip

    def _heard_of(self, pairs: Collection[Pair]) -> list[tuple[Any, ...]]:
        """The keys that messages about these remote records name themselves."""
        if f"{self.plan.entity}_verdicts" not in self.tables:
            return []
        systems, remote_ids = _columns(pairs)
        found = self._ask(
            f"""
            select distinct told_key from settled."{self.plan.entity}_verdicts"
            join unnest(%(systems)s::text[], %(remote_ids)s::text[]) as moved (system, remote_id) using (system, remote_id)
            where told_key is not null
            """,
            systems=systems, remote_ids=[self._stem(one) for one in remote_ids],
        )  # fmt: skip
        return [(f"{row[0]}/{part}",) for row in found for part in self.plan.each] if self.plan.of else found

    def _stem(self, text: str) -> str:
        """What the parts of a record have in common: the books know it by that."""
        return text.rsplit("/", 1)[0] if self.plan.of else text

    # Links and the ledger ----------------------------------------------------------------------------------------------------
    def _load_links(
        self, named: Sequence[tuple[str, str | None, Key]], old: Collection[int], moved: Collection[Pair]
    ) -> None:
        if len(self.plan.key) > 1:
            return
        told = self.computer.ask("execute keys") if old else []
        pairs = (
            {(system, remote_id) for system, remote_id, _ in named if remote_id}
            | {(row[1], row[2]) for row in told if row[2]}
            | set(moved)
        )
        pairs |= self._linked_to([str(key[0]) for key in self.touched], ever=True)
        links = self._links_of(pairs, self.batch.upto_ledger_id)
        self.computer.load(f"links_{self.plan.entity}", [(*pair, *link) for pair, link in links.items()])

    def _linked_to(self, keys: Collection[str], *, ever: bool = False) -> set[Pair]:
        """The remote records that were ever linked to these keys; unless `ever`, those that still are."""
        asked = """
            select distinct system, remote_id from ledger
            where entity = %(entity)s and key = any(%(keys)s) and kind in ('linked', 'unlinked') and ledger_id <= %(upto_ledger_id)s
                and system is not null and remote_id is not null"""
        pairs = {(row[0], row[1]) for row in self._ask(asked, keys=list(keys))}
        if self.plan.of:
            stems = sorted({self._stem(key) for key in keys})
            told = self._ask(asked.replace("%(entity)s", "%(of)s"), keys=stems)
            pairs |= {(row[0], f"{row[1]}/{part}") for row in told for part in self.plan.each}
        if ever:
            return pairs
        now = self._links_of(pairs, self.batch.upto_ledger_id)
        return {pair for pair, (key, _) in now.items() if key in set(keys)}

    def _links_of(self, pairs: Collection[Pair], upto: int) -> dict[Pair, tuple[str | None, str]]:
        """The newest word on each remote record up to an entry of the ledger: its key, null where it is linked no longer, and whose
        word it is."""
        asked = """
            select pairs.system, pairs.remote_id, newest.key, by_whom, ledger_id
            from unnest(%(systems)s::text[], %(remote_ids)s::text[]) as pairs (system, remote_id)
            cross join lateral (
                select if_linked.key, by_whom, ledger_id
                from ledger cross join lateral (select case when kind = 'linked' then ledger.key end) as if_linked (key)
                where entity = %(asked)s and ledger.system = pairs.system and ledger.remote_id = pairs.remote_id
                    and kind in ('linked', 'unlinked') and ledger_id <= %(upto)s
                order by ledger_id desc limit 1
            ) as newest"""
        systems, remote_ids = _columns(pairs)
        found = {
            (row[0], row[1]): row[2:]
            for row in self._ask(asked, systems=systems, remote_ids=remote_ids, asked=self.plan.entity, upto=upto)
        }
        if self.plan.of:
            stems = [self._stem(one) for one in remote_ids]
            for system, remote_id, key, by_whom, ledger_id in self._ask(
                asked, systems=systems, remote_ids=stems, asked=self.plan.of, upto=upto
            ):
                for part in self.plan.each:
                    pair = (system, f"{remote_id}/{part}")
                    if pair in pairs and (pair not in found or found[pair][2] < ledger_id):
                        found[pair] = (key and f"{key}/{part}", by_whom, ledger_id)
        return {pair: (key, by_whom) for pair, (key, by_whom, _) in found.items()}

    def _load_ledger(self) -> None:
        """Of each kind of entry about a key the newest; a stock keeper's key has thousands of deliveries."""
        keys = sorted({"|".join(str(part) for part in key) for key in self.touched})
        newest = f"select distinct on (key, kind, system, field, flow, by_whom = 'courier') {LEDGER} from ledger where entity = %(asked)s and key = any(%(keys)s) and ledger_id <= %(upto_ledger_id)s"
        asked = f"({newest} order by key, kind, system, field, flow, by_whom = 'courier', ledger_id desc) union ({newest} order by key, kind, system, field, flow, by_whom = 'courier', happened_at desc)"
        rows = self._ask(asked, keys=keys, asked=self.plan.entity)
        if self.plan.of:
            stems = sorted({self._stem(key) for key in keys})
            told = self._ask(
                f"select * from ({asked}) as ledger where kind in ('linked', 'unlinked')",
                keys=stems,
                asked=self.plan.of,
            )
            rows += [
                (row[0], f"{row[1]}/{part}", *row[2:4], row[4] and f"{row[4]}/{part}", *row[5:])
                for row in told
                for part in self.plan.each
            ]
        self.computer.load(f"ledger_{self.plan.entity}", rows)

    # Neighbours --------------------------------------------------------------------------------------------------------------
    def load_neighbour(self, neighbour: Neighbour) -> None:
        """The rows of another entity that this slice reads, and which batch wrote each."""
        table, column = neighbour.table, neighbour.column
        found = self.computer.ask(f"select distinct value from ({neighbour.values}) where value is not null")
        values = [row for row in found if row[0] not in self.read.get(table, {})]
        wanted = list(self.computer.columns[table])
        rows: list[tuple[Any, ...]] = []
        if table in self.tables:
            stands = self.tables[table].columns
            known = [name for name in wanted if name in stands]
            rows = settled.read(self.connection, table, [*known, settled.BATCH], [column], values)
            place = known.index(column)
            batches = {row[place]: row[-1] for row in rows}
            by_name = [dict(zip(known, row[:-1], strict=True)) for row in rows]
            self.computer.load(table, [tuple(row.get(name) for name in wanted) for row in by_name])
        else:
            batches = {}
        self.read.setdefault(table, {}).update({row[0]: batches.get(row[0], 0) for row in values})

    def changed_meanwhile(self, connection: sa.Connection, neighbour: Neighbour) -> list[str]:
        """The values whose rows were written by others since this slice read them."""
        read = self.read.get(neighbour.table, {})
        if not read:
            return []
        found = (
            dict(
                settled.read(
                    connection,
                    neighbour.table,
                    [neighbour.column, settled.BATCH],
                    [neighbour.column],
                    [(v,) for v in read],
                )
            )
            if neighbour.table in settled.tables(connection)
            else {}
        )
        return [value for value, batch in read.items() if found.get(value, 0) != batch]

    def _ask(self, sql: str, **values: Any) -> list[tuple[Any, ...]]:
        batch = self.batch
        given = {
            "after_inbox_id": batch.after_inbox_id, "upto_inbox_id": batch.upto_inbox_id, "after_ledger_id": batch.after_ledger_id,
            "upto_ledger_id": batch.upto_ledger_id, "entity": self.plan.entity, "of": self.plan.of, "streams": list(self.plan.streams),
            "fingerprint": self.plan.fingerprint,
        }  # fmt: skip
        return driver(self.connection).execute(sql, given | values).fetchall()


def everything(plan: Plan, computer: Computer, connection: sa.Connection) -> Slice:
    """Load all that was ever said of an entity, up to now."""
    upto = (
        driver(connection)
        .execute(
            "select (select coalesce(max(inbox_id), 0) from inbox), (select coalesce(max(ledger_id), 0) from ledger)"
        )
        .fetchone()
    )
    assert upto is not None
    batch = Batch(0, 0, upto[0], 0, upto[1], is_full=True, is_woken=False, moment=datetime.now(UTC))
    part = Slice(plan, batch, computer, connection, settled.tables(connection))
    part.load()
    return part


def _columns(pairs: Iterable[Pair]) -> tuple[list[str], list[str]]:
    listed = sorted(pairs)
    return [system for system, _ in listed], [remote_id for _, remote_id in listed]

"""Delivering: couriers carry what is due to one destination, until it is applied, or parked with a named steward."""

import logging
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

from sqlalchemy.exc import SQLAlchemyError

from pipelines.language.schema import Flow, IntegrationMap, System
from pipelines.stages.write_guard import WriteGuard
from resources.connectors.connector import Connector, Delivery, Outcome, Result, Unreachable
from resources.lake.lake import LakeProblem
from resources.store import deliveries, destinations
from resources.store.deliveries import OWN_FIELD, FlowRule, Lag, Parked, Recorded
from resources.store.outbox import park_idle
from resources.store.store import Store

LOG = logging.getLogger(__name__)
LEASE = 90.0  # seconds: longer than a connector waits for one answer (resources.connectors.http.TIMEOUT)
HEARTBEAT = 20.0  # seconds between extensions; three may be missed
LONGEST_WAIT = 2.0  # seconds to wait for the budget; with less allowed, the run ends and a later one goes on
PATIENCE = 5.0  # seconds to wait for another courier's place, when it may just be finishing

Log = Callable[[str], None]


@dataclass(slots=True)
class DeliveryReport:
    """What one call of `deliver` did, and what it could not do."""

    system: str
    applied: int = 0
    retried: int = 0
    unknown: int = 0
    replaced: int = 0
    parked: list[Parked] = field(default_factory=list)  # in this call; each with steward and one sentence
    lags: list[Lag] = field(default_factory=list)  # one per applied delivery whose message is known
    errors: list[str] = field(default_factory=list)  # what the connector did that no connector may
    unreachable: str | None = None  # why the destination could not be reached, the last time
    stopped: str | None = None  # why it ended before everything due was tried

    @property
    def is_clean(self) -> bool:
        """Whether a run may end as a success: nothing newly parked, the destination reached, the connector honest."""
        return not (any(one.is_news for one in self.parked) or self.errors or self.unreachable)

    def sentence(self) -> str:
        """One line for a person."""
        counts = {
            "applied": self.applied,
            "to be tried again": self.retried,
            "unknown": self.unknown,
            "parked": len(self.parked),
            "replaced": self.replaced,
        }
        done = ", ".join(f"{count} {word}" for word, count in counts.items() if count) or "nothing was due"
        problems = [self.unreachable, self.stopped, *self.errors[:1], *(parked.sentence for parked in self.parked[:1])]
        return "; ".join([f"{self.system}: {done}", *(problem for problem in problems if problem)])

    def add(self, recorded: Recorded) -> None:
        """Count one batch in."""
        self.applied += recorded.applied
        self.retried += recorded.retried
        self.unknown += recorded.unknown
        self.replaced += recorded.replaced
        self.parked += recorded.parked
        self.lags += recorded.lags


def deliver(
    store: Store,
    the_map: IntegrationMap,
    system_name: str,
    connector: Connector,
    *,
    run_id: str,
    redo_run: str | None = None,
    deadline_seconds: float | None = None,
    log: Log = LOG.info,
) -> DeliveryReport:
    """Carry what is due to this destination until nothing is, or its budget, its breaker or the deadline says stop.

    `redo_run` is the root run of a re-execution (`run.root_run_id`): what that run or a re-execution of it parked is
    tried again first, once. Every outcome is committed before this returns or raises.
    """
    system = the_map.systems[system_name]
    end = None if deadline_seconds is None else time.monotonic() + deadline_seconds
    report = DeliveryReport(system_name)
    flows = _outbound_flows(the_map, system)
    live = [name for name, flow in flows.items() if flow.mode != "shadow"]
    idle = park_idle(store, system_name, live_flows=live, run_id=run_id)
    if idle:
        log(f"{system_name}: parked {idle} deliveries of flows that are not live")
    with _place(store, system, end=end, insists=redo_run is not None) as is_ours:
        if not is_ours:
            report.stopped = f"another courier is at work for {system_name}"
            return report
        round_trip = _Courier(
            store=store,
            system=system,
            connector=connector,
            guard=WriteGuard(the_map, system, store),
            rules={name: _rule(flow) for name, flow in flows.items()},
            run_id=run_id,
            redo_run=redo_run,
            report=report,
            log=log,
        )
        round_trip.go(end)
    log(report.sentence())
    return report


def due(store: Store) -> list[str]:
    """The destinations for which a run would find something to deliver now, and whose breaker is closed."""
    return deliveries.systems_with_due(store)


def _outbound_flows(the_map: IntegrationMap, system: System) -> dict[str, Flow]:
    return {
        name: flow for name, (entity, flow) in the_map.flows.items() if system in the_map.destinations(entity, flow)
    }


def _rule(flow: Flow) -> FlowRule:
    failure = flow.on_failure
    return FlowRule(
        tier=flow.tier,
        is_latest=flow.deliver == "latest",
        retry_for=failure.retry_for if failure else deliveries.RETRY_FOR,
        parks=failure is None or failure.then == "park",
        steward=flow.steward,
        fallback=failure.fallback if failure else None,
    )


@contextmanager
def _place(store: Store, system: System, *, end: float | None, insists: bool) -> Iterator[bool]:
    """One of the places for couriers of this destination (`limits.at_once`), freed by the database if we die.

    Whoever has the place goes on until nothing is due, so others need not wait for it, unless they `insist`.
    """
    patience = end if insists else time.monotonic() + PATIENCE
    with ExitStack() as stack:
        while True:
            for number in range(system.limits.at_once):
                if stack.enter_context(store.turn(f"courier {system.system} {number}", wait=False)):
                    yield True
                    return
            stack.close()
            is_over = patience is not None and time.monotonic() > patience
            if is_over or not (insists or system.system in deliveries.systems_with_due(store)):
                yield False
                return
            time.sleep(0.2)


@dataclass(slots=True)
class _Courier:
    """One courier on its rounds for one destination."""

    store: Store
    system: System
    connector: Connector
    guard: WriteGuard
    rules: dict[str, FlowRule]
    run_id: str
    redo_run: str | None
    report: DeliveryReport
    log: Log
    name: str = ""
    redone: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.name = f"{self.run_id} {uuid.uuid4().hex[:8]}"

    def go(self, end: float | None) -> None:
        """Batch after batch: what is unknown is looked up first, then what is parked and to be redone, then what is due."""
        system, limits = self.system.system, self.system.limits
        while True:
            if end is not None and time.monotonic() >= end:
                self.report.stopped = f"the time for {system} is up; what is still due is delivered by the next run"
                return
            allowance = destinations.ask(
                self.store, system, wanted=limits.batch, per_second=limits.per_second, trial_seconds=LEASE
            )
            if allowance.is_closed:
                self.report.stopped = (
                    f"{system} is left alone for another {allowance.wait:.0f} s ({allowance.reason}); deliveries wait"
                )
                return
            if not allowance.granted:
                if system not in deliveries.systems_with_due(self.store):
                    return
                if allowance.wait > LONGEST_WAIT:
                    self.report.stopped = f"the budget of {system} allows the next delivery in {allowance.wait:.0f} s"
                    return
                time.sleep(allowance.wait)
                continue
            claimed, to_look_up = self.claim(allowance.granted)
            batch = claimed if to_look_up else self.let_through(claimed)
            unused = allowance.granted if to_look_up else allowance.granted - len(batch)
            destinations.give_back(
                self.store, system, allowance, unused=unused, is_idle=not batch, per_second=limits.per_second
            )
            if not claimed:
                return
            if batch:
                self.carry(batch, to_look_up=to_look_up)

    def claim(self, limit: int) -> tuple[list[Delivery], bool]:
        """The next batch, and whether it is to be looked up."""
        kinds: list[tuple[bool, str | None]] = [(True, None), (False, None)]
        if self.redo_run:
            kinds[1:1] = [(True, self.redo_run), (False, self.redo_run)]
        for to_look_up, parked_by_run in kinds:
            batch = deliveries.claim(
                self.store,
                self.system.system,
                limit=limit,
                lease_seconds=LEASE,
                courier=self.name,
                tiers={name: rule.tier for name, rule in self.rules.items()},
                to_look_up=to_look_up,
                parked_by_run=parked_by_run,
                tried=self.redone,
            )
            if parked_by_run:
                self.redone |= {delivery.delivery_id for delivery in batch}
            if batch:
                return batch, to_look_up
        return [], False

    def let_through(self, batch: Sequence[Delivery]) -> list[Delivery]:
        """What of a batch may leave. What would tell the destination its own field is parked, whoever asked for it."""
        started_at = datetime.now(UTC)
        try:
            refused = self.guard.refused(batch)
        except LakeProblem as problem:  # nobody can tell whose the records are: they wait
            self.record(batch, _for_all(batch, Result.RETRY, str(problem)), started_at, False, None)
            return []
        stopped = [delivery for delivery in batch if delivery.delivery_id in refused]
        if stopped:
            outcomes = [Outcome(one.delivery_id, Result.REFUSED, reason=refused[one.delivery_id]) for one in stopped]
            self.record(stopped, outcomes, started_at, False, OWN_FIELD)
        return [delivery for delivery in batch if delivery.delivery_id not in refused]

    def carry(self, batch: Sequence[Delivery], *, to_look_up: bool) -> None:
        """Send a batch, or look it up, and record what became of it, whatever the connector does."""
        started_at = datetime.now(UTC)
        system = self.system.system
        word: str | None = None
        unreachable: Unreachable | None = None
        try:
            with self.heartbeat(batch):
                answers = self.connector.find(batch) if to_look_up else self.connector.deliver(batch)
            outcomes = self.complete(batch, answers)
        except Unreachable as problem:
            unreachable = problem
            word = "look-up failed" if to_look_up else None
            result = Result.UNKNOWN if to_look_up else Result.RETRY
            outcomes = _for_all(batch, result, f"{system} did not answer: {problem}", problem.retry_after)
        except OSError as problem:  # a time-out or a broken connection, of every client library that we use
            unreachable = Unreachable(f"{type(problem).__name__}: {problem}")
            word = "look-up failed" if to_look_up else None
            outcomes = _for_all(batch, Result.UNKNOWN, f"{system} did not answer in time: {problem}")
        except NotImplementedError as problem:
            word = "cannot look up" if to_look_up else None
            outcomes = _for_all(batch, Result.UNKNOWN, str(problem))
        except Exception as problem:  # noqa: BLE001 (whatever went wrong, it may have been applied)
            self.blame(f"failed with {type(problem).__name__}: {problem}")
            word = "look-up failed" if to_look_up else None
            outcomes = _for_all(batch, Result.UNKNOWN, f"{type(problem).__name__}: {problem}")
        except BaseException:  # the run is being ended: what was on its way may have arrived
            self.record(batch, _for_all(batch, Result.UNKNOWN, "its run was ended"), started_at, to_look_up, None)
            raise
        self.record(batch, outcomes, started_at, to_look_up, word)
        if unreachable:
            self.report.unreachable = outcomes[0].reason
            destinations.did_not_answer(
                self.store,
                system,
                steward=self.system.steward,
                reason=str(unreachable),
                retry_after=unreachable.retry_after,
            )
            return
        if any(outcome.result is not Result.UNKNOWN for outcome in outcomes):
            destinations.answered(self.store, system)
            self.report.unreachable = None
        waits = [outcome.retry_after for outcome in outcomes if outcome.result is Result.RETRY and outcome.retry_after]
        if len(waits) == len(outcomes):  # it wants nothing now, not even another batch
            destinations.pause(self.store, system, seconds=min(waits), reason=outcomes[0].reason or "it asked to wait")

    def record(
        self,
        batch: Sequence[Delivery],
        outcomes: Sequence[Outcome],
        started_at: datetime,
        looked_up: bool,
        word: str | None,
    ) -> None:
        recorded = deliveries.record(
            self.store,
            outcomes,
            rules=self.rules,
            courier=self.name,
            run_id=self.run_id,
            parked_by_run=self.redo_run or self.run_id,
            started_at=started_at,
            looked_up=looked_up,
            words={delivery.delivery_id: word for delivery in batch} if word else None,
        )
        self.report.add(recorded)
        what = "looked up" if looked_up else "stopped" if word == OWN_FIELD else "sent"
        seconds = (datetime.now(UTC) - started_at).total_seconds()
        self.log(
            f"{self.system.system}: {what} {len(batch)} of {batch[0].flow} ({batch[0].action}) in {seconds:.1f} s: "
            f"{recorded.applied} applied, {recorded.retried} to be tried again, {recorded.unknown} unknown, "
            f"{len(recorded.parked)} parked"
        )
        for parked in recorded.parked:
            self.log(f"{parked.steward}: {parked.sentence}")

    def complete(self, batch: Sequence[Delivery], answers: Sequence[Outcome]) -> list[Outcome]:
        """One outcome per delivery; what the connector left out may have been applied."""
        ours = {delivery.delivery_id for delivery in batch}
        told: dict[int, Outcome] = {}
        for answer in answers:
            if answer.delivery_id not in ours or answer.delivery_id in told:
                self.blame(
                    f"answered for delivery {answer.delivery_id}, for which it was not asked or has answered already"
                )
            else:
                told[answer.delivery_id] = answer
        missing = ours - told.keys()
        if missing:
            self.blame(f"did not answer for {len(missing)} of {len(ours)} deliveries; they are looked up")
        left_out = "its connector did not answer for it"
        return [
            told.get(delivery.delivery_id) or Outcome(delivery.delivery_id, Result.UNKNOWN, reason=left_out)
            for delivery in batch
        ]

    def blame(self, what: str) -> None:
        error = f"the connector of {self.system.system} ({self.system.connector}) {what}"
        self.report.errors.append(error)
        self.log(error)

    @contextmanager
    def heartbeat(self, batch: Sequence[Delivery]) -> Iterator[None]:
        """Extend the batch's leases as long as the block runs."""
        is_over = threading.Event()
        ids = [delivery.delivery_id for delivery in batch]

        def beat() -> None:
            while not is_over.wait(HEARTBEAT):
                try:
                    deliveries.extend(self.store, courier=self.name, delivery_ids=ids, lease_seconds=LEASE)
                except SQLAlchemyError as problem:  # the next beat may come through; if none does, they are looked up
                    self.log(f"{self.system.system}: leases could not be extended: {problem}")

        thread = threading.Thread(target=beat, name=f"heartbeat {self.name}", daemon=True)
        thread.start()
        try:
            yield
        finally:
            is_over.set()
            thread.join()


def _for_all(batch: Sequence[Delivery], result: Result, reason: str, retry_after: float | None = None) -> list[Outcome]:
    return [Outcome(delivery.delivery_id, result, reason=reason, retry_after=retry_after) for delivery in batch]

"""Runs Concord and, unless told otherwise, the sandbox systems, and shows how every flow does until Ctrl-C."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import FrameType

import click
from rich.console import Console

from pipelines.commands.terminal import Screen
from pipelines.language.connectors import missing_variables
from pipelines.language.lint.report import lint
from pipelines.language.schema import IntegrationMap, load_map
from pipelines.operations.flow_status import FlowFigures, Watch, plain, table_of
from pipelines.runtime import dagster_instance, services
from pipelines.runtime.services import Address, Planned
from resources.host import embedded_postgres, ports, settings, state
from resources.host.processes import Keeper, end_marked
from resources.lake import lake
from resources.store import migrate
from resources.store.store import Store

LOOK = 0.2  # seconds between two looks at the processes


class CannotRun(Exception):
    """Concord cannot start here; the text says why, and what to do next."""


@click.command("run")
@click.option("--no-sandbox", is_flag=True, help="Without the sandbox: the map's settings name your own systems.")
@click.option("--no-traffic", is_flag=True, help="Without the sandbox's customers: no order comes by itself.")
@click.option("--rate", type=click.FloatRange(min=0.0), help="Orders a second that the sandbox's customers place.")
@click.option("--seed", type=int, help="Which customers and orders; the same seed buys the same.")
def command(no_sandbox: bool, no_traffic: bool, rate: float | None, seed: int | None) -> None:
    """Start everything, and stop it all with Ctrl-C."""
    since = datetime.now(UTC) - timedelta(seconds=_age_of_this_process())
    for variable, value in (("CONCORD_TRAFFIC_RATE", rate), ("CONCORD_TRAFFIC_SEED", seed)):
        if value is not None:
            os.environ[variable] = str(value)
    folder = settings.state_dir()
    screen = Screen(Console())
    ends = threading.Event()
    _end_on_signals(ends)
    state.claim(folder)
    with state.alone(folder):
        left = end_marked(folder / "run")
        if left:
            screen.say(f"{left} processes of a run that was killed were still there; they are stopped now")
        addresses = services.addresses(with_sandbox=not no_sandbox)
        check_ports(addresses)
        the_map = load_map()
        check_map(the_map)
        os.environ.update(dagster_instance.environment())
        if not no_sandbox:
            os.environ.update(sandbox_environment())
        check_settings(the_map)
        plan = [] if no_sandbox else services.sandbox(with_traffic=not no_traffic)
        plan += services.concord(with_sandbox=not no_sandbox)
        keeper = Keeper(folder / "run", folder / "logs", screen.tell)
        try:
            Run(keeper, screen, the_map, plan, since, ends).go(addresses)
        finally:
            _say_goodbye(screen, keeper)


class Run:
    """One run: what was planned is started as soon as it can, and looked after until the end."""

    def __init__(
        self,
        keeper: Keeper,
        screen: Screen,
        the_map: IntegrationMap,
        plan: Sequence[Planned],
        since: datetime,
        ends: threading.Event,
    ) -> None:
        self.keeper = keeper
        self.screen = screen
        self.waiting = list(plan)
        self.since = since
        self.ends = ends
        self.has_database = False
        systems = [system.system for system in the_map.systems_named("erp")]
        store = Store(url=settings.database_url())
        self.watch = Watch(FlowFigures(store, the_map), since, "orders", systems)

    def go(self, addresses: Sequence[Address]) -> None:
        """Start everything and look after it until a signal comes. Raises CannotRun when a preparation fails."""
        is_told = is_first_told = False
        self.screen.say(f"Concord starts; its state is in {self.keeper.folder.parent}")
        with self.screen:
            self._start_what_can()
            self._show()
            prepare_database()
            self.has_database = True
            self.watch.start()
            try:
                while not self.ends.wait(LOOK):
                    self.keeper.look()
                    self._fail_with_a_preparation()
                    self._start_what_can()
                    if not is_told and not self.waiting and all(kept.is_ready for kept in self.keeper.kept.values()):
                        is_told = True
                        self._tell_addresses(addresses)
                    if not is_first_told and self.watch.first_applied_after is not None:
                        is_first_told = True
                        self.screen.say(f"first order applied in the ERP after {self.watch.first_applied_after:.1f} s")
                    self._show()
            finally:
                self.watch.stop()

    def _start_what_can(self) -> None:
        ready = {name for name, kept in self.keeper.kept.items() if kept.is_ready}
        for planned in list(self.waiting):
            if set(planned.after) <= ready and (self.has_database or not planned.needs_database):
                self.keeper.start(planned.program)
                self.waiting.remove(planned)

    def _fail_with_a_preparation(self) -> None:
        for name, kept in self.keeper.kept.items():
            if kept.has_failed:
                raise CannotRun(
                    f"{name} failed: {self.keeper.last_words(name) or 'it said nothing'}; "
                    f"read {self.keeper.log_of(name)}, then start again: what is prepared already is kept"
                )

    def _show(self) -> None:
        self.screen.preparing = {
            name: self.keeper.last_words(name) or "starts"
            for name, kept in self.keeper.kept.items()
            if kept.program.is_step and not kept.is_ready
        }
        if not self.screen.preparing:
            coming = [name for name, kept in self.keeper.kept.items() if not kept.is_ready]
            if coming:
                self.screen.preparing = {"starting": ", ".join(coming)}
        figures = self.watch.latest
        self.screen.update(
            table_of(figures) if figures else None,
            {one.flow: plain(one) for one in figures},
            self.watch.trouble,
            (datetime.now(UTC) - self.since).total_seconds(),
        )

    def _tell_addresses(self, addresses: Sequence[Address]) -> None:
        elapsed = (datetime.now(UTC) - self.since).total_seconds()
        self.screen.say(f"everything is up after {elapsed:.1f} s:")
        width = max(len(address.what) for address in addresses)
        for address in addresses:
            self.screen.say(f"  {address.what:{width}}  {address.url}")
        self.screen.say(f"  {'logs':{width}}  {self.keeper.logs}/")


def check_ports(addresses: Sequence[Address]) -> None:
    """Raises CannotRun when another program listens where we want to."""
    for address in addresses:
        if address.name == "POSTGRES" and embedded_postgres.is_ready():
            continue  # our own server outlived its last run
        if not ports.is_free(address.port):
            raise CannotRun(
                f"port {address.port} ({address.what}) is in use by {ports.listener(address.port)}; "
                f"stop it, or set CONCORD_{address.name}_PORT to a free port"
            )


def check_map(the_map: IntegrationMap) -> None:
    """Raises CannotRun when the map has errors."""
    errors = [finding for finding in lint(the_map).findings if finding.severity == "error"]
    if errors:
        told = "\n".join(f"  {finding}" for finding in errors[:10])
        raise CannotRun(f"the map has {len(errors)} errors; correct them and look again with `concord check`\n{told}")


def check_settings(the_map: IntegrationMap) -> None:
    """Raises CannotRun with every variable that the map asks for and that is not set."""
    missing = {system.system: missing_variables(system).values() for system in the_map.systems.values()}
    told = [f"{', '.join(names)} (map/systems/{system}.yaml)" for system, names in missing.items() if names]
    if told:
        raise CannotRun(
            f"the map asks for variables that are not set: {'; '.join(told)}; "
            "set them in the environment or in .env (see .env.example)"
        )


def prepare_database() -> None:
    """Start the embedded server, bring the database to this version, and tell dbt where the warehouse is."""
    if embedded_postgres.is_embedded():
        embedded_postgres.ensure()
    migrate.migrate(settings.database_url())
    lake.prepare(settings.database_url(), settings.lake())


def sandbox_environment() -> dict[str, str]:
    """What the sandbox systems and their connectors need, as the sandbox's own command tells it."""
    asked = [sys.executable, "-m", "resources.sandbox.environment"]
    done = subprocess.run(asked, capture_output=True, text=True, check=False, cwd=settings.ROOT)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise CannotRun(f"the sandbox does not tell where it is: {reason}")
    told: dict[str, str] = json.loads(done.stdout)
    return told


def _end_on_signals(ends: threading.Event) -> None:
    """SIGINT, SIGTERM and SIGHUP end the run. Programs that we start get the default again."""

    def end(number: int, frame: FrameType | None) -> None:
        ends.set()

    handler: Callable[[int, FrameType | None], None] = end
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, handler)


def _say_goodbye(screen: Screen, keeper: Keeper) -> None:
    count = len(keeper.kept)
    screen.say(f"stopping {count} programs and the database ...")
    keeper.stop()
    if embedded_postgres.is_embedded():
        embedded_postgres.stop()
    screen.say(f"stopped; what it knows stays in {keeper.folder.parent}, and the next run goes on from there")


def _age_of_this_process() -> float:
    """Seconds since this process began, its imports included."""
    began = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19]) / os.sysconf("SC_CLK_TCK")
    return time.clock_gettime(time.CLOCK_BOOTTIME) - began

"""`concord run` from outside: a signed order reaches the ERP, whatever is killed comes back, and nothing stays behind."""

import json
import os
import pty
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import requests
import sqlalchemy as sa

from resources.connectors.tryton.connector import Tryton
from resources.host import settings
from resources.host.embedded_postgres import Server
from resources.host.processes import marked
from resources.sandbox import tryton as sandbox
from resources.store.store import engine_for
from tests.fixtures_postgres import free_port

PORTS = ("POSTGRES", "DOOR", "DAGSTER", "CODE", "SHOPIFY", "STRIPE", "CRM", "TRYTON", "SFTP")
SETTINGS = {  # of systems that nobody runs
    **dict.fromkeys(("SHOPIFY_URL", "STRIPE_URL", "TRYTON_URL", "CRM_URL"), "http://127.0.0.1:9/"),
    **{
        f"{name}_SFTP_URL": "sftp://nobody@127.0.0.1:9/" for name in ("PARCELHUB", "SUPPLIER", "WAREHOUSE", "WHOLESALE")
    },
    **dict.fromkeys(("SHOPIFY_SHOP", "SHOPIFY_WEBHOOK_SECRETS", "TRYTON_DATABASE"), "x"),
    **dict.fromkeys(("SHOPIFY_CLIENT_ID", "SHOPIFY_CLIENT_SECRET"), "x"),
    **dict.fromkeys(("STRIPE_API_KEY", "STRIPE_WEBHOOK_SECRETS"), "x"),
    **dict.fromkeys(("TRYTON_USER", "TRYTON_PASSWORD", "WAREHOUSE_SFTP_PASSWORD", "WHOLESALE_SFTP_PASSWORD"), "x"),
    **dict.fromkeys(("CRM_DATABASE", "CRM_USER", "CRM_PASSWORD"), "x"),
    **dict.fromkeys(("PARCELHUB_SFTP_PASSWORD", "SUPPLIER_SFTP_PASSWORD"), "x"),
}
COMMAND = str(Path(sys.executable).with_name("concord"))
FIRST_ORDER = 420.0  # seconds; about 25 on an idle machine of two cores, but tests may share theirs


class Concord:
    """A state folder of its own, free ports, and `concord run` on them."""

    def __init__(self, folder: Path) -> None:
        self.state = folder / "state"
        self.log = folder / "run.log"
        self.ports = {name: free_port() for name in PORTS}
        self.process: subprocess.Popen[bytes] | None = None
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("CONCORD_", "DAGSTER_"))},
            **{f"CONCORD_{name}_PORT": str(port) for name, port in self.ports.items()},
            "CONCORD_STATE": str(self.state),
            "CONCORD_TEST_CACHE": str(sandbox.template(sandbox.ERP).parent),
            "CONCORD_TRYTON_VENV": str(sandbox.environment_folder()),
        }

    @property
    def server(self) -> Server:
        return Server(self.state / "postgres", self.ports["POSTGRES"])

    def start(self, *options: str) -> None:
        """Type `concord run`."""
        command = [COMMAND, "run", *options]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                command, stdout=log, stderr=log, env=self.environment, cwd=settings.ROOT, start_new_session=True
            )

    def said(self) -> str:
        return self.log.read_text(errors="replace")

    def wait_for(self, pattern: str, seconds: float = FIRST_ORDER) -> re.Match[str]:
        """The first match in what it says. Fails when it ends before or says nothing of the kind in time."""
        deadline = time.monotonic() + seconds
        while not (found := re.search(pattern, self.said())):
            assert self.process
            assert self.process.poll() is None, f"it ended with {self.process.returncode}:\n{self.said()}"
            assert time.monotonic() < deadline, f"not within {seconds} s: {pattern}\n{self.said()}\n{self.logs()}"
            time.sleep(0.2)
        return found

    def logs(self) -> str:
        """The last lines of every program."""
        tails = [f"== {path.name}\n" + "\n".join(path.read_text(errors="replace").splitlines()[-5:])
                 for path in sorted((self.state / "logs").glob("*.log"))]  # fmt: skip
        return "\n".join(tails)

    def pid_of(self, *words: str) -> int:
        """The one process of ours that was started with these words."""
        found = []
        for pid in marked(self.state / "run"):
            with suppress(OSError):
                if list(words) == Path(f"/proc/{pid}/cmdline").read_text().split("\0")[1 : len(words) + 1]:
                    found.append(pid)
        assert len(found) == 1, f"{len(found)} processes {words}"
        return found[0]

    def leftovers(self) -> list[int]:
        """Everything of ours that lives, the database's processes included."""
        return [*marked(self.state / "run"), *self.server.processes()]

    def end(self, number: int = signal.SIGINT) -> int:
        """Signal `concord run` and wait until it has ended."""
        assert self.process
        self.process.send_signal(number)
        return self.process.wait(60)

    def kill_everything(self) -> None:
        """`kill -9` of every process, the supervisor and the database among them."""
        assert self.process
        self.process.kill()
        self.process.wait(10)
        for pid in self.leftovers():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def count(self, sql: str) -> int:
        """A number from the database."""
        engine = engine_for(self.server.url("concord"))
        try:
            with engine.connect() as connection:
                return int(connection.execute(sa.text(sql)).scalar_one())
        finally:
            engine.dispose()

    def applied(self) -> set[str]:
        """The shop's orders of which every version is applied in the ERP."""
        engine = engine_for(self.server.url("concord"))
        told = "select key from concord.outbox where flow = 'orders_to_erp' and key like 'SHOP-%' group by key having bool_and(status = 'applied')"
        try:
            with engine.connect() as connection:
                return set(connection.execute(sa.text(told)).scalars())
        finally:
            engine.dispose()

    def sales(self) -> list[dict[str, str]]:
        """The sales that stand in Tryton."""
        password = json.loads((self.state / "sandbox" / "secrets.json").read_text())["TRYTON_PASSWORD"]
        url = f"http://127.0.0.1:{self.ports['TRYTON']}"
        connector = Tryton(base_url=url, database="concord", user="concord", password=password)
        return [json.loads(message.payload) for page in connector.snapshot("sales") for message in page.messages]


def within(seconds: float, holds: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def is_up(url: str) -> bool:
    try:
        return requests.get(url, timeout=2).status_code == 200
    except requests.RequestException:
        return False


@pytest.fixture
def concord(tmp_path: Path) -> Iterator[Concord]:
    concord = Concord(tmp_path)
    schema = settings.state_dir() / "sandbox" / "shopify"  # fetched once a machine, where npm is
    for path in schema.glob("admin_*.json.gz"):
        (concord.state / "sandbox" / "shopify").mkdir(parents=True, exist_ok=True)
        (concord.state / "sandbox" / "shopify" / path.name).write_bytes(path.read_bytes())
    yield concord
    if concord.process and concord.process.poll() is None:
        concord.end()
    if concord.leftovers():
        concord.kill_everything()


def test_orders_reach_the_erp_and_whatever_is_killed_comes_back(concord: Concord):
    concord.start("--rate", "0.4", "--seed", "3")
    concord.wait_for(r"first order applied in the ERP after [\d.]+ s")
    concord.wait_for("everything is up after", 120)
    applied = concord.applied()
    states = {sale["reference"]: sale["state"] for sale in concord.sales()}
    applied &= concord.applied()  # others are just being made or changed
    assert applied
    assert {states[reference] for reference in applied} <= {"confirmed", "processing", "done", "cancelled"}

    concord.wait_for(r"orders_to_3pl: received \d+, applied [1-9]", 180)  # as files over SFTP

    # one that is killed comes back
    health = f"http://127.0.0.1:{concord.ports['DOOR']}/healthz"
    door = concord.pid_of("-m", "pipelines.runtime.door")
    os.kill(door, signal.SIGKILL)
    concord.wait_for(r"door was killed \(SIGKILL\); it starts again in [\d.]+ s; its log is .*door\.log", 10)
    assert within(60, lambda: is_up(health))
    assert concord.pid_of("-m", "pipelines.runtime.door") != door

    # nobody else may run on the same state
    second = subprocess.run(
        [COMMAND, "run"], env=concord.environment, cwd=settings.ROOT,
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert second.returncode == 2
    assert f"Concord already runs on {concord.state}" in second.stderr
    assert "Traceback" not in second.stderr

    # programs end with a supervisor that is killed; the database outlives it, and is killed too
    messages = concord.count("select count(*) from concord.inbox")
    assert concord.process
    concord.process.kill()
    concord.process.wait(10)
    assert within(30, lambda: not marked(concord.state / "run"))
    concord.kill_everything()
    assert within(20, lambda: not concord.leftovers())

    # the next start goes on where it was
    concord.start("--rate", "0.4", "--seed", "3")
    concord.wait_for(r"first order applied in the ERP after [\d.]+ s")
    assert concord.count("select count(*) from concord.inbox") > messages
    numbers = [sale["reference"] for sale in concord.sales()]
    assert len(numbers) == len(set(numbers)), "no order became two sales"

    # Ctrl-C leaves nothing
    assert concord.end() == 0
    assert concord.leftovers() == []
    assert "stopped; what it knows stays in" in concord.said()
    assert [name for name, port in concord.ports.items() if not can_listen(port)] == []


def can_listen(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        return probe.connect_ex(("127.0.0.1", port)) != 0


def refusal(concord: Concord, *options: str, **environment: str) -> str:
    """What `concord run` says when it refuses, with exit code 2 and nothing left behind."""
    done = subprocess.run(
        [COMMAND, "run", *options], env=concord.environment | environment,
        cwd=settings.ROOT, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 2, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert concord.leftovers() == []
    return done.stderr


def test_a_port_in_use_is_named_with_who_listens_and_the_variable_that_sets_another(concord: Concord):
    with socket.socket() as stranger:
        stranger.bind(("127.0.0.1", concord.ports["DOOR"]))
        stranger.listen()
        said = refusal(concord)
    assert f"port {concord.ports['DOOR']} (webhook door) is in use by process {os.getpid()}" in said
    assert "CONCORD_DOOR_PORT" in said


def test_what_is_missing_or_makes_no_sense_is_named_with_its_variable(concord: Concord):
    bare = {
        name: value
        for name, value in concord.environment.items()
        if not name.startswith(("SHOPIFY_", "STRIPE_", "TRYTON_"))
    }
    concord.environment = bare
    said = refusal(concord, "--no-sandbox")
    assert (
        "SHOPIFY_SHOP, SHOPIFY_CLIENT_ID, SHOPIFY_CLIENT_SECRET, SHOPIFY_WEBHOOK_SECRETS (map/systems/shopify.yaml)"
        in said
    )
    assert "TRYTON_PASSWORD (map/systems/tryton.yaml)" in said, "all that is missing is named at once"
    assert ".env.example" in said
    assert "CONCORD_DOOR_PORT is 'eighty'" in refusal(concord, CONCORD_DOOR_PORT="eighty")


def test_a_terminal_that_is_closed_stops_everything_in_order(concord: Concord):
    ours, theirs = pty.openpty()
    concord.process = subprocess.Popen(
        [COMMAND, "run", "--no-sandbox"], stdin=theirs, stdout=theirs, stderr=theirs, cwd=settings.ROOT, start_new_session=True,
        env=concord.environment | SETTINGS,
    )  # fmt: skip
    os.close(theirs)
    assert within(90, lambda: bool(marked(concord.state / "run"))), os.read(ours, 10_000)
    os.close(ours)
    concord.process.send_signal(signal.SIGHUP)
    assert concord.process.wait(60) == 0
    assert concord.leftovers() == []


def test_a_state_folder_that_holds_other_things_is_refused(concord: Concord, tmp_path: Path):
    home = tmp_path / "home"
    home.mkdir()
    (home / "photos").mkdir()
    said = refusal(concord, CONCORD_STATE=str(home))
    assert "photos" in said
    assert "CONCORD_STATE" in said
    assert [path.name for path in home.iterdir()] == ["photos"]


def test_a_database_that_is_dead_is_a_sentence(concord: Concord):
    said = refusal(concord, "--no-traffic", CONCORD_DATABASE_URL="postgresql://postgres@127.0.0.1:1/concord")
    assert "The database 127.0.0.1:1/concord cannot be prepared" in said
    assert "CONCORD_DATABASE_URL" in said

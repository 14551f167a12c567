"""A real Tryton for the tests: a copy of the prepared database, served on a free port for the whole session."""

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

from resources.connectors.tryton.connector import Tryton
from resources.connectors.tryton.crm import TrytonCrm
from resources.connectors.tryton.rpc import Rpc, rpc_for
from resources.sandbox import tryton as sandbox
from tests.fixtures_postgres import free_port


@dataclass(frozen=True)
class RunningTryton:
    """A server, and the account by which it is spoken to."""

    base_url: str
    database: str
    user: str
    password: str
    file: Path  # the database itself, for what cannot be done through the server

    @property
    def connector(self) -> Tryton:
        """A connector as its map would make it; its conversation with the server is shared within the process."""
        return self.connector_at(self.base_url)

    def connector_at(self, base_url: str) -> Tryton:
        """The same by way of another address."""
        return Tryton(base_url=base_url, database=self.database, user=self.user, password=self.password)

    @property
    def rpc(self) -> Rpc:
        return self.connector.rpc

    @property
    def crm(self) -> TrytonCrm:
        """The CRM, which is another database of the same server."""
        return TrytonCrm(base_url=self.base_url, database="crm", user=self.user, password=self.password)

    @property
    def people(self) -> Rpc:
        """The CRM as the page speaks to it on which people confirm and withdraw."""
        return rpc_for(self.base_url, "crm", "preferences", self.password, has_company=False)


@contextmanager
def running_tryton(folder: Path) -> Iterator[RunningTryton]:
    """A server of one's own in that folder."""
    sandbox.copy_template(folder / "concord.sqlite", sandbox.ERP)
    sandbox.copy_template(folder / "crm.sqlite", sandbox.CRM)
    port = free_port()
    log = folder / "tryton.log"
    with log.open("wb") as output:
        process = subprocess.Popen(sandbox.server_command(folder, port, "concord", "crm"), stdout=output, stderr=output)
    try:
        base_url = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + 60
        while True:
            try:
                requests.get(base_url, timeout=5)
                break
            except requests.ConnectionError:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"Tryton did not start: {log.read_text()[-2000:]}") from None
                time.sleep(0.05)
        file = folder / "concord.sqlite"
        yield RunningTryton(base_url, "concord", sandbox.TEMPLATE_USER, sandbox.TEMPLATE_PASSWORD, file)
    finally:
        process.terminate()
        process.wait(10)


@pytest.fixture(scope="session")
def tryton(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningTryton]:
    """The session's server; tests keep out of each other's way by order numbers and SKUs of their own."""
    with running_tryton(tmp_path_factory.mktemp("tryton")) as server:
        yield server

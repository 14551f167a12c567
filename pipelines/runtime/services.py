"""The programs that make up a running Concord and its sandbox: what each is for, its port, and what it waits for."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import NamedTuple

from pipelines.runtime import dagster_instance
from resources.host import embedded_postgres, settings
from resources.host.ports import answers
from resources.host.processes import Program
from resources.store.store import Store


class Address(NamedTuple):
    """A port of ours: what listens there, and what a person does with it."""

    name: str  # CONCORD_<name>_PORT
    port: int
    what: str
    url: str


@dataclass(frozen=True, slots=True)
class Planned:
    """A program, the programs that must be ready before it starts, and whether the database must be."""

    program: Program
    after: tuple[str, ...] = ()
    needs_database: bool = False


def addresses(*, with_sandbox: bool) -> list[Address]:
    """Every port that a run listens on, with the settings applied. Raises BadSetting."""
    here = "127.0.0.1"

    def address(name: str, default: int, what: str, url: str) -> Address:
        port = settings.port(name, default)
        return Address(name, port, what, url.format(f"{here}:{port}"))

    ours = [
        address("DAGSTER", 13000, "Dagster: lineage, runs, checks", "http://{}/"),
        address("DOOR", 18700, "webhook door", "http://{}/healthz"),
    ]
    if embedded_postgres.is_embedded():
        ours.append(address("POSTGRES", 15432, "database", "postgresql://postgres@{}/concord"))
    if with_sandbox:
        ours += [
            address("SHOPIFY", 18800, "sandbox shop", "http://{}/"),
            address("STRIPE", 18420, "sandbox payment service", "http://{}/"),
            address("TRYTON", 18069, "Tryton, the sandbox's ERP", "http://{}/"),
            address("CRM", 18071, "the sandbox's CRM", "http://{}/"),
            address("SFTP", 18022, "sandbox SFTP server", "sftp://{}/"),
        ]
    return ours


def concord(*, with_sandbox: bool) -> list[Planned]:
    """The programs that are Concord itself."""
    dagster, code = settings.port("DAGSTER", 13000), settings.port("CODE", 13001)
    workspace = str(_workspace(code))
    server = ("api", "grpc", "-h", "127.0.0.1", "-p", str(code), "-m", "pipelines.definitions", "-a", "defs")
    pages = ("-h", "127.0.0.1", "-p", str(dagster), "-w", workspace)
    warm = ("code-server", "warm")  # a run that is asked for before begins from nothing, which takes seconds
    systems = ("shopify", "stripe", "tryton", "sftp") if with_sandbox else ()  # a poll that is asked for before fails
    door = _module("door", "pipelines.runtime.door", port=settings.port("DOOR", 18700))
    forks = _module("warm", "pipelines.runtime.warm_pool", is_ready=settings.warm_socket().is_socket)
    definitions = _module("code-server", "dagster", *server, "--location-name", "concord", port=code)
    works = partial(daemon_works, datetime.now(UTC))
    daemon = _module("daemon", "pipelines.runtime.daemon", "run", "-w", workspace, is_ready=works)
    webserver = _module("webserver", "dagster_webserver", *pages, port=dagster)
    return [
        Planned(definitions, needs_database=True),
        Planned(forks, needs_database=True),
        Planned(door, needs_database=True),
        Planned(daemon, after=(*warm, *systems), needs_database=True),
        Planned(webserver, after=("daemon",), needs_database=True),  # orders go before pages
    ]


def sandbox(*, with_traffic: bool) -> list[Planned]:
    """The outside world to practise on."""
    shopify, tryton, sftp = (settings.port(*it) for it in (("SHOPIFY", 18800), ("TRYTON", 18069), ("SFTP", 18022)))
    crm = settings.port("CRM", 18071)
    planned = [
        Planned(_sandbox("tryton-preparation", "tryton", "erp", "prepare", is_step=True)),
        Planned(_sandbox("shopify-preparation", "shopify", "prepare", is_step=True)),
        Planned(_sandbox("tryton", "tryton", "erp", port=tryton), after=("tryton-preparation",)),
        Planned(_sandbox("crm", "tryton", "crm", port=crm), after=("daemon",)),  # orders go before contacts
        Planned(_sandbox("shopify", "shopify", port=shopify), after=("shopify-preparation",)),
        Planned(_sandbox("sftp", "sftp", port=sftp)),
        Planned(_sandbox("stripe", "stripe", port=settings.port("STRIPE", 18420))),
        Planned(_sandbox("warehouse", "warehouse"), after=("sftp", "tryton")),
    ]
    if with_traffic:
        planned += [
            Planned(_sandbox("traffic", "traffic"), after=("shopify", "door", "tryton")),
            Planned(_sandbox("wholesale", "wholesale"), after=("sftp", "tryton")),
            Planned(_sandbox("till", "till"), after=("shopify", "stripe", "daemon")),  # orders go before their money
        ]
    return planned


def daemon_works(since: datetime) -> bool:
    """Whether Dagster's daemon has looked at its sensors since then."""
    return Store(url=settings.database_url()).one("daemon_works", since=since) is not None


def _workspace(port: int) -> Path:
    """Webserver and daemon ask one code server, so that the definitions are imported once for both."""
    path = dagster_instance.home() / "workspace.yaml"
    server = f"{{host: 127.0.0.1, port: {port}, location_name: concord}}"
    path.write_text(f"load_from:\n  - grpc_server: {server}\n")
    return path


def _module(
    name: str,
    module: str,
    *arguments: str,
    port: int | None = None,
    is_ready: Callable[[], bool] | None = None,
    is_step: bool = False,
) -> Program:
    probe = is_ready or (partial(answers, port) if port else _at_once)
    return Program(name, [sys.executable, "-m", module, *arguments], is_ready=probe, is_step=is_step)


def _sandbox(name: str, module: str, *arguments: str, port: int | None = None, is_step: bool = False) -> Program:
    return _module(name, f"resources.sandbox.{module}", *arguments, port=port, is_step=is_step)


def _at_once() -> bool:
    return True

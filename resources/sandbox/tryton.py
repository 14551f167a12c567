"""The sandbox's ERP: a real Tryton on SQLite, in a virtual environment of its own, filled once and copied.

SQLite and not Postgres: in batches of 40 one Tryton took 7.5 sales a second on SQLite and 3.9 on Postgres (two cores,
November 2026), for it asks many small questions; and a database that is one file is copied for every test session and
survives a `kill -9`. Without an invoice per order, as the sandbox is set, SQLite took 11.9.

The CRM is a database of its own with a server of its own, so that the ERP neither waits for it nor shares its time.

usage: python -m resources.sandbox.tryton (erp | crm) [prepare]
"""

import fcntl
import hashlib
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import venv
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from resources.host import settings
from resources.sandbox.environment import sandbox_environment

HERE = Path(__file__).parent
REQUIREMENTS = HERE / "requirements-tryton.txt"


class Kind(NamedTuple):
    """A kind of database: its settings, modules, the script that fills it, and the other files that it is made of."""

    name: str
    prefix: str  # of its variables
    port: int
    modules: tuple[str, ...]
    seed: str
    files: tuple[str, ...] = ()


ERP = Kind(
    "tryton",
    "TRYTON",
    18069,
    ("ir", "res", "sale", "product_price_list_dates", "sale_price_list"),
    "tryton_seed.py",
    ("catalogue.py", "countries.csv"),
)
CRM = Kind("crm", "CRM", 18071, ("ir", "res", "party", "marketing_email"), "crm_seed.py", ("countries.csv",))
TEMPLATE_USER, TEMPLATE_PASSWORD = (
    "concord",
    "concord-template",
)  # of the template alone: a copy that serves gets its own
CONFIGURATION = """\
[database]
uri = sqlite://
path = {folder}
[web]
listen = 127.0.0.1:{port}
"""


def home() -> Path:
    return settings.state_dir() / "sandbox" / "tryton"


def prepare(kind: Kind) -> Path:
    """The folder with a database that is ready to serve; makes whatever of it is missing."""
    environment = sandbox_environment()
    folder = home() / ("database" if kind is ERP else kind.name)
    database = folder / f"{environment[f'{kind.prefix}_DATABASE']}.sqlite"
    if not database.exists():
        copy_template(database, kind)
    _set_password(database, kind, environment[f"{kind.prefix}_USER"], environment[f"{kind.prefix}_PASSWORD"])
    return folder


def serve(kind: Kind) -> None:
    """Serve the database until a signal ends it; this process becomes Tryton's."""
    port = settings.port(kind.prefix, kind.port)
    folder = prepare(kind)
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            sys.exit(
                f"tryton: port {port} is in use; stop what listens there, or set CONCORD_{kind.prefix}_PORT to a free port"
            )
    command = server_command(folder, port, sandbox_environment()[f"{kind.prefix}_DATABASE"])
    _say(f"serving on http://127.0.0.1:{port}/")
    os.dup2(sys.stdout.fileno(), sys.stderr.fileno())  # Tryton logs to stderr
    os.execv(command[0], command)  # noqa: S606 - a list that we built


def server_command(folder: Path, port: int, *databases: str) -> list[str]:
    """What serves the databases of that folder in the foreground."""
    configuration = _configure(folder, port)
    return [_program("python"), _program("trytond"), "-c", str(configuration), "-d", *databases]


def copy_template(database: Path, kind: Kind) -> None:
    """A filled database of one's own in that file; it appears there whole or not at all."""
    source = template(kind)
    database.parent.mkdir(parents=True, exist_ok=True)
    unfinished = database.with_suffix(f".{os.getpid()}")
    shutil.copyfile(source, unfinished)
    unfinished.replace(database)


def template(kind: Kind) -> Path:
    """The filled database that is copied; made once per machine and again when what it is made of has changed.

    It is kept under CONCORD_TEST_CACHE, or in the state folder.
    """
    made_of = b"".join((HERE / name).read_bytes() for name in (REQUIREMENTS.name, kind.seed, *kind.files))
    cache = Path(os.environ.get("CONCORD_TEST_CACHE") or settings.state_dir() / "cache").resolve()
    finished = cache / f"{kind.name}-{hashlib.sha256(made_of).hexdigest()[:16]}.sqlite"
    with _turn(cache / f"{kind.name}.lock"):
        if not finished.exists():
            _build(finished, kind)
    return finished


def _build(finished: Path, kind: Kind) -> None:
    """A kill on the way leaves a folder that the next attempt empties."""
    folder = finished.parent / f"{kind.name}-unfinished"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    database = folder / "template.sqlite"
    database.touch()  # Tryton fills a file that is there, and makes none
    configuration = _configure(folder, 1)  # nothing listens
    password_file = folder / "password"
    password_file.write_text(TEMPLATE_PASSWORD)
    _say(f"building the database of {kind.name} (about half a minute, once)")
    command: list[str | Path] = [
        _program("trytond-admin"),
        "-c",
        configuration,
        "-d",
        "template",
        "-u",
        *kind.modules,
    ]
    _run(
        [*command, "--activate-dependencies", "--indexes", "--email", "admin@example.com"],
        {"TRYTONPASSFILE": str(password_file)},
    )
    _seed(kind, "fill", configuration, "template", TEMPLATE_USER, TEMPLATE_PASSWORD)
    with sqlite3.connect(database) as connection:  # one file, without a journal beside it
        connection.execute("pragma wal_checkpoint(truncate)")
        connection.execute("pragma journal_mode=delete")
    connection.close()
    database.replace(finished)
    shutil.rmtree(folder, ignore_errors=True)


def _set_password(database: Path, kind: Kind, user: str, password: str) -> None:
    """Give the copy the password that its environment says, when that has changed."""
    known = database.with_suffix(".password")
    said = hashlib.sha256(f"{user} {password}".encode()).hexdigest()
    if known.exists() and known.read_text() == said:
        return
    _say("setting the password")
    configuration = _configure(database.parent, settings.port(kind.prefix, kind.port))
    _seed(kind, "password", configuration, database.stem, user, password)
    known.write_text(said)


def _seed(kind: Kind, verb: str, configuration: Path, database: str, user: str, password: str) -> None:
    command: list[str | Path] = [
        _program("python"),
        HERE / kind.seed,
        verb,
        configuration,
        f"sqlite:///{database}",
    ]
    _run(command, {"TRYTON_USER": user, "TRYTON_PASSWORD": password})


def _configure(folder: Path, port: int) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    configuration = folder / "trytond.conf"
    configuration.write_text(CONFIGURATION.format(folder=folder, port=port))
    return configuration


def _program(name: str) -> str:
    return str(environment_folder() / "bin" / name)


def environment_folder() -> Path:
    """Tryton's virtual environment: the one that CONCORD_TRYTON_VENV names, else our own, which is made when missing."""
    if named := os.environ.get("CONCORD_TRYTON_VENV"):
        return Path(named)
    folder = home() / "venv"
    finished = folder / "finished"
    wanted = REQUIREMENTS.read_text()
    if finished.exists() and finished.read_text() == wanted:
        return folder
    with _turn(home() / "venv.lock"):
        if finished.exists() and finished.read_text() == wanted:  # somebody else was at it
            return folder
        _say("installing Tryton into its own virtual environment (about half a minute, once)")
        venv.create(folder, clear=True, with_pip=True)
        _run([folder / "bin" / "pip", "install", "--quiet", "--requirement", REQUIREMENTS], {})
        finished.write_text(wanted)
    return folder


def _run(command: list[str | Path], environment: Mapping[str, str]) -> None:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("TRYTOND_", "PYTHON"))}
    done = subprocess.run(
        command,
        env=inherited | dict(environment),
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode:
        last = "\n".join(done.stderr.strip().splitlines()[-15:])
        sys.exit(f"tryton: {Path(command[0]).name} ended with code {done.returncode}:\n{last}")


@contextmanager
def _turn(lock: Path) -> Iterator[None]:
    """One process at a time; a process that dies gives its turn back."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _say(sentence: str) -> None:
    print(f"tryton: {sentence}", flush=True)


if __name__ == "__main__":
    named = {"erp": ERP, "crm": CRM}[sys.argv[1]]
    prepare(named) if sys.argv[2:] == ["prepare"] else serve(named)

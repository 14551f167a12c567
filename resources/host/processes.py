"""Processes that we start: kept alive, known again after our own death by a mark in their environment, and all stopped.

Every descendant inherits the mark, whatever session it moves to, so none is lost and no stranger is taken for ours.
"""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

MARK = "CONCORD_KEPT_BY"  # the folder of the keeper that started a process
LOG_LIMIT = 10_000_000  # bytes, after which a log is set aside; one older log is kept
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0  # seconds before a process that died is started again
LONG_LIFE = 60.0  # seconds: who lived so long and died is not failing at its start
GRACE = 12.0  # seconds to end in order; Dagster's webserver takes 5
DIES_WITH_US = ("setpriv", "--pdeathsig", "TERM", "--")  # the kernel ends the child when we end, however we end


@dataclass(frozen=True, slots=True)
class Program:
    """What to start, and how to tell that it serves."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)  # beside our own
    is_ready: Callable[[], bool] = lambda: True
    is_step: bool = False  # ends by itself; ready when it ended well


@dataclass(slots=True)
class Kept:
    """A program that was started, and how it does."""

    program: Program
    process: subprocess.Popen[bytes]
    started_at: float
    is_ready: bool = False
    pause: float = FIRST_PAUSE
    again_at: float | None = None  # it died, and is started again then

    @property
    def has_failed(self) -> bool:
        """Whether a step ended badly."""
        return self.program.is_step and self.process.poll() not in (None, 0)


class Keeper:
    """Starts programs, starts again those that die, and stops them all."""

    def __init__(self, folder: Path, logs: Path, tell: Callable[[str], None]) -> None:
        self.folder = folder
        self.logs = logs
        self.tell = tell
        self.kept: dict[str, Kept] = {}

    def log_of(self, name: str) -> Path:
        """Where the output of a program goes."""
        return self.logs / f"{name}.log"

    def start(self, program: Program) -> None:
        """Start a program. Only the main thread may: the kernel ends a child when the thread that made it ends."""
        self.kept[program.name] = Kept(program, self._spawn(program), time.monotonic())

    def look(self) -> None:
        """Notice who became ready and who died, start again whose time has come, and keep logs small."""
        now = time.monotonic()
        for name, kept in self.kept.items():
            _set_aside(self.log_of(name))
            ended = kept.process.poll()
            if kept.program.is_step:
                kept.is_ready = ended == 0
            elif ended is None:
                kept.is_ready = kept.is_ready or kept.program.is_ready()
            elif kept.again_at is None:
                kept.is_ready = False
                kept.pause = FIRST_PAUSE if now - kept.started_at > LONG_LIFE else kept.pause
                kept.again_at = now + kept.pause
                self.tell(f"{name} {_how(ended)}; it starts again in {kept.pause:g} s; its log is {self.log_of(name)}")
                kept.pause = min(LONGEST_PAUSE, kept.pause * 2)
            elif now >= kept.again_at:
                kept.process, kept.started_at, kept.again_at = self._spawn(kept.program), now, None

    def stop(self) -> None:
        """End every process that carries our mark: in order first, by force after a while."""
        for kept in self.kept.values():
            if kept.process.poll() is None:
                kept.process.terminate()
        deadline = time.monotonic() + GRACE
        while any(kept.process.poll() is None for kept in self.kept.values()) and time.monotonic() < deadline:
            time.sleep(0.05)
        self.kept.clear()
        end_marked(self.folder)

    def last_words(self, name: str) -> str:
        """The last line that a program printed, or nothing."""
        try:
            with self.log_of(name).open("rb") as log:
                log.seek(max(0, log.seek(0, os.SEEK_END) - 2_000))
                lines = log.read().decode(errors="replace").split("\n")
        except OSError:
            return ""
        return next((line.strip() for line in reversed(lines) if line.strip()), "")

    def _spawn(self, program: Program) -> subprocess.Popen[bytes]:
        self.logs.mkdir(parents=True, exist_ok=True)
        path = self.log_of(program.name)
        _set_aside(path)
        leash = DIES_WITH_US if shutil.which(DIES_WITH_US[0]) else ()  # else the next start ends what is left
        with path.open("ab") as log:
            return subprocess.Popen(
                [*leash, *program.command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=os.environ | program.environment | {MARK: str(self.folder), "PYTHONUNBUFFERED": "1"},
                start_new_session=True,  # Ctrl-C is for us: we stop them in order
            )


def _set_aside(log: Path) -> None:
    """Copy a log that has grown large and empty it: the program that holds it open, to append, goes on from its start.

    What is written between the two is lost, and where there is no room for a copy, all of it: a log may not fill the disk.
    """
    if not log.exists() or log.stat().st_size <= LOG_LIMIT:
        return
    older = log.with_suffix(".log.1")
    try:
        shutil.copyfile(log, older)
    except OSError:
        older.unlink(missing_ok=True)
    os.truncate(log, 0)


def _how(ended: int) -> str:
    if ended < 0:
        return f"was killed ({signal.Signals(-ended).name})"
    return f"ended by itself (exit code {ended})"


def marked(folder: Path) -> list[int]:
    """The living processes that a keeper of this folder started, and their descendants."""
    mark = f"{MARK}={folder}".encode()
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        pid = int(path.parent.name)
        if pid != os.getpid() and _carries(pid, mark):
            found.append(pid)
    return found


def end_marked(folder: Path, grace: float = 5.0) -> int:
    """End whatever a keeper of this folder started and left behind; how many processes there were."""
    mark = f"{MARK}={folder}".encode()
    ended: set[int] = set()
    deadline = time.monotonic() + grace
    while left := marked(folder):
        number = signal.SIGTERM if time.monotonic() < deadline else signal.SIGKILL
        for pid in left:
            if number == signal.SIGKILL or pid not in ended:
                _signal(pid, mark, number)
            ended.add(pid)
        time.sleep(0.05)
    return len(ended)


def _signal(pid: int, mark: bytes, number: int) -> None:
    """Signal that process if it is still the one that carries the mark, and not another by the same number."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        if _carries(pid, mark):
            signal.pidfd_send_signal(handle, number)
    except ProcessLookupError:
        return
    finally:
        os.close(handle)


def _carries(pid: int, mark: bytes) -> bool:
    try:
        return mark in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")  # empty for a zombie
    except OSError:  # it is another user's, or has just ended
        return False


def identity(pid: int) -> str:
    """A process by its id and start time, for ids are given out again."""
    return f"{pid}@{_started_at(pid)}"


def pid_of(known: str) -> int:
    """The id alone."""
    return int(known.partition("@")[0])


def is_alive(known: str) -> bool:
    """Whether the process of this identity lives."""
    try:
        return identity(pid_of(known)) == known
    except (OSError, ValueError, IndexError):
        return False


def was_there(pid: int, moment: float) -> bool:
    """Whether a process with this id lives, and began before that moment."""
    try:
        ticks = int(_started_at(pid))
    except (OSError, ValueError, IndexError):
        return False
    return time.time() - time.clock_gettime(time.CLOCK_BOOTTIME) + ticks / os.sysconf("SC_CLK_TCK") <= moment + 1


def _started_at(pid: int) -> str:
    state, *fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    if state == "Z":
        raise ProcessLookupError(pid)
    return fields[18]  # starttime, in clock ticks since boot: field 22 of proc_pid_stat(5)

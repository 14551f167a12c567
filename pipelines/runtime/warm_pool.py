"""The warm process: it has imported everything that a run needs, and forks workers that execute runs at once.

A run that begins from nothing imports Dagster and plans what its sync runs: seconds before its first step. A worker
has all of it already, and from its first run on also the connections and caches that are half the work of a small sync.
So it executes one run after the other, until one fails, it has done many, has grown, has run dbt, or nobody needs it.

usage: python -m pipelines.runtime.warm_pool
"""

import gc
import importlib
import json
import logging
import os
import resource
import selectors
import signal
import socket
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import dagster as dg
from dagster._cli.api import _execute_run_command_body
from dagster._core.instance.ref import InstanceRef
from dagster._serdes import deserialize_value
from dagster._utils.interrupts import capture_interrupts

from resources.host import settings
from resources.host.processes import identity, is_alive, pid_of
from resources.host.unix_socket import ANSWER_WITHIN, listening, written
from resources.lake import lake

LOG = logging.getLogger("concord.warm")
GRACE = 5.0  # seconds that runs have to end when the warm process is stopped, and again when they are interrupted
RUNS_OF_A_WORKER = 200
IDLE_SECONDS = 60.0  # that a worker waits for its next run
MOST_MEMORY = 600 << 20  # bytes: who holds more after a run takes no other
PRELOADED = (
    "dagster_postgres",
    "pipelines.definitions",
    "pandas",  # imported by duckdb at the first query otherwise
)
WATCHED = (
    "pipelines/**/*.py",
    "pipelines/**/*.yaml",
    "pipelines/compiler/templates/*",
    "resources/**/*.py",
    "dbt_project/**/*.*",
)


@dataclass(slots=True)
class Worker:
    """A forked process as its parent knows it."""

    pid: int
    line: socket.socket
    nice: int
    run_id: str | None = None  # the run that it executes
    idle_since: float = field(default_factory=time.monotonic)
    is_leaving: bool = False  # it takes no other run


class WarmProcess:
    """Listens, forks workers, and gives them runs."""

    def __init__(self, path: Path, module: str = "pipelines.definitions") -> None:
        self.path = path
        self.module = module
        self.workers: dict[int, Worker] = {}  # by pid
        self.is_over = False
        self.stamp = stamp()

    def warm_up(self) -> None:
        """Import, build and plan everything that a run needs; leave no connection open and no thread behind."""
        for name in PRELOADED:
            importlib.import_module(name)
        definitions = importlib.import_module(self.module)
        definitions.defs.get_repository_def().get_all_jobs()
        if the_map := getattr(definitions, "the_map", None):
            importlib.import_module("pipelines.stages.sync").make_plans(the_map)
        lake.prepare(settings.database_url(), settings.lake())
        gc.collect()
        gc.freeze()  # a collection in a child would touch every page, and copy it

    def serve(self) -> None:
        """Answer until SIGTERM or SIGINT; then give the runs under way a little time, and interrupt them."""
        waker, wakened = socket.socketpair()
        for end in (waker, wakened):
            end.setblocking(False)
        for sign in (signal.SIGTERM, signal.SIGINT):
            signal.signal(sign, lambda *_: self.end())
        signal.set_wakeup_fd(waker.fileno(), warn_on_full_buffer=False)
        with listening(self.path) as listener:
            LOG.info("warm; runs are forked from here (%s threads)", len(os.listdir("/proc/self/task")))
            while not self.is_over:
                ready = self._hear(IDLE_SECONDS / 4, listener, wakened)
                self._dismiss()
                if listener in ready:
                    self._answer(listener)
        self._finish()

    def end(self) -> None:
        self.is_over = True

    # questions

    def _answer(self, listener: socket.socket) -> None:
        line, _ = listener.accept()
        with line:
            line.settimeout(ANSWER_WITHIN)
            try:
                with line.makefile() as question:
                    told = json.loads(question.readline())
                if "interrupt" in told:
                    answer = self._interrupt(told["interrupt"], told["worker"])
                else:
                    answer = self._launch(told, listener, line)
                line.sendall(written(answer))
            except (OSError, ValueError, KeyError) as problem:
                LOG.warning("a question could not be answered: %s", problem)

    def _launch(self, told: dict[str, Any], *open_here: socket.socket) -> dict[str, str]:
        if told["module"] != self.module:
            return {"refused": f"only runs of {self.module} are warm, not of {told['module']}"}
        if stamp() != self.stamp:
            LOG.info("the code has changed; beginning again with the new one")
            self.is_over = True
            return {"refused": "the code has changed since the warm process began"}
        worker = self._idle(told["nice"]) or self._fork(told["nice"], open_here)
        name = identity(worker.pid)
        worker.line.sendall(written({"run_id": told["run_id"], "instance": told["instance"]}))
        worker.run_id = told["run_id"]
        return {"worker": name}

    def _interrupt(self, run_id: str, known: str) -> dict[str, str]:
        """Whoever executes that run is interrupted, and nobody who has gone on to another."""
        worker = self.workers.get(pid_of(known))
        if worker is not None and worker.run_id != run_id:
            return {"refused": "its run is over"}
        if is_alive(known):  # also the worker of a warm process before this one
            os.kill(pid_of(known), signal.SIGINT)
        return {"worker": known}

    # workers

    def _idle(self, nice: int) -> Worker | None:
        """A worker that waits, whose priority is the one asked for: it cannot be raised again."""
        waiting = (w for w in self.workers.values() if w.run_id is None and not w.is_leaving and w.nice == nice)
        return next(waiting, None)

    def _fork(self, nice: int, open_here: Sequence[socket.socket]) -> Worker:
        ours, theirs = socket.socketpair()
        pid = os.fork()
        if pid == 0:
            work(theirs, nice, (ours, *open_here, *(worker.line for worker in self.workers.values())))
        theirs.close()
        ours.settimeout(ANSWER_WITHIN)
        self.workers[pid] = Worker(pid, ours, nice)
        return self.workers[pid]

    def _hear(self, seconds: float, *beside: socket.socket) -> set[Any]:
        """Wait for workers to say that a run is over, or to be gone, and for the sockets beside; which were ready."""
        lines = {worker.line: worker for worker in self.workers.values()}
        with selectors.DefaultSelector() as waiting:
            for line in (*beside, *lines):
                waiting.register(line, selectors.EVENT_READ)
            ready = {key.fileobj for key, _ in waiting.select(seconds)}
        for line, worker in lines.items():
            if line in ready:
                told = line.recv(4096)
                if told:
                    self._is_free(worker, **json.loads(told))
                else:
                    self._is_gone(worker)
        return ready

    def _is_free(self, worker: Worker, cpu_seconds: float, megabytes: float, is_leaving: bool) -> None:
        LOG.info("run %s took %.1f s of CPU, %.0f MB", worker.run_id, cpu_seconds, megabytes)
        worker.run_id, worker.idle_since = None, time.monotonic()
        worker.is_leaving = worker.is_leaving or is_leaving

    def _is_gone(self, worker: Worker) -> None:
        worker.line.close()
        del self.workers[worker.pid]
        code = os.waitstatus_to_exitcode(os.waitpid(worker.pid, 0)[1])
        if code < 0:  # a run's own failures stand in its events
            LOG.warning("the process of run %s was ended by signal %s", worker.run_id, -code)

    def _dismiss(self) -> None:
        """Let those go who waited long."""
        for worker in self.workers.values():
            if worker.run_id is None and not worker.is_leaving and time.monotonic() - worker.idle_since > IDLE_SECONDS:
                worker.is_leaving = True
                worker.line.shutdown(socket.SHUT_WR)  # it reads to the end, and ends

    # the end

    def _finish(self) -> None:
        if stamp() != self.stamp:  # workers stay until their run is over
            os.execv(sys.executable, [sys.executable, "-m", "pipelines.runtime.warm_pool"])  # noqa: S606
        self._part(None)
        self._part(signal.SIGINT)
        self._part(signal.SIGKILL)

    def _part(self, sign: signal.Signals | None) -> None:
        """Signal every worker, and wait a while until it is gone; without a signal, for its run to be over."""
        for worker in self.workers.values():
            if sign is not None:
                os.kill(worker.pid, sign)
            elif not worker.is_leaving:
                worker.line.shutdown(socket.SHUT_WR)
        deadline = time.monotonic() + GRACE
        while self.workers and time.monotonic() < deadline:
            self._hear(deadline - time.monotonic())


def work(line: socket.socket, nice: int, open_here: Sequence[socket.socket]) -> None:
    """Execute runs in this forked process, one after the other, and leave without going back."""
    try:
        os.nice(nice)
        signal.set_wakeup_fd(-1)
        _be_quiet()
        for end in open_here:
            os.close(end.fileno())
        os.setsid()  # Ctrl-C at the warm process is not meant for it
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        before = 0.0
        with line.makefile() as told:
            for done, run in enumerate(told, 1):
                is_well = execute(**json.loads(run))
                used = resource.getrusage(resource.RUSAGE_SELF)
                cpu = used.ru_utime + used.ru_stime
                over = {
                    "cpu_seconds": cpu - before,
                    "megabytes": used.ru_maxrss / 1024,
                    "is_leaving": not is_well
                    or done >= RUNS_OF_A_WORKER
                    or memory() > MOST_MEMORY
                    or "dbt" in sys.modules,
                }
                line.sendall(written(over))
                before = cpu
                if over["is_leaving"]:
                    break
    except (KeyboardInterrupt, BrokenPipeError):
        pass  # nobody needs us any longer
    except BaseException:
        LOG.exception("a worker cannot go on")
    finally:
        os._exit(0)


def execute(run_id: str, instance: str) -> bool:
    """Whether the run succeeded; why it did not stands in its events."""
    told: set[str] = set()
    try:
        with capture_interrupts():
            _execute_run_command_body(
                run_id, instance_of(instance), lambda event: told.add(event.event_type_value), True
            )
    except Exception:
        LOG.exception("run %s could not be executed", run_id)
    return dg.DagsterEventType.PIPELINE_SUCCESS.value in told


@cache
def instance_of(ref: str) -> dg.DagsterInstance:
    """Dagster's instance by its reference; its connections stay open from run to run."""
    return dg.DagsterInstance.from_ref(deserialize_value(ref, InstanceRef))


def memory() -> int:
    """Bytes that this process holds."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _be_quiet() -> None:
    """Keep the log for what no event tells: Dagster prints every event of a run, and all of them stand in its storage."""
    log = os.fdopen(os.dup(1), "w", buffering=1)
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.StreamHandler):
            handler.setStream(log)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)


def stamp() -> float:
    """When the code, the map or a model was last changed."""
    return max(path.stat().st_mtime for pattern in WATCHED for path in settings.ROOT.glob(pattern))


def main() -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stdout)
    process = WarmProcess(settings.warm_socket())
    process.warm_up()
    process.serve()


if __name__ == "__main__":
    main()

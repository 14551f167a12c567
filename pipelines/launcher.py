"""Runs that begin at once: a warm process that has imported everything forks one child a run.

A run that begins from nothing imports Dagster and dbt and parses the project, which costs seconds before its first step;
a fork has all of it already. `python -m pipelines.launcher` is the warm process. Where it does not run, or was started
from older code, Dagster's default launcher takes over, so plain `dagster dev` works without it.
"""

import gc
import importlib
import json
import logging
import os
import re
import selectors
import signal
import socket
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import dagster as dg
from dagster._cli.api import _execute_run_command_body
from dagster._core.instance.ref import InstanceRef
from dagster._core.launcher import CheckRunHealthResult, DefaultRunLauncher, LaunchRunContext, WorkerStatus
from dagster._core.storage.tags import PRIORITY_TAG
from dagster._serdes import ConfigurableClassData, deserialize_value, serialize_value
from dagster._utils.interrupts import capture_interrupts

from resources import lake, settings

LOG = logging.getLogger("concord.launcher")
WORKER = "concord/worker"  # a run's tag: pid and start time of the process that works on it
ANSWER_WITHIN = 5.0  # seconds: a fork takes 20 ms; whoever answers later is not well
GRACE = 5.0  # seconds that runs have to end when the warm process is stopped, and again when they are interrupted
PRELOADED = (
    "dagster_postgres",
    "pipelines.definitions",
    "dbt.adapters.duckdb.impl",
    "pandas",  # imported by duckdb at the first query otherwise
)
HIGHEST = 30  # the priority of a run of the first tier
STARTED = re.compile(r"Started process for run \(pid: (\d+)\)")
WATCHED = (
    "pipelines/**/*.py",
    "pipelines/**/*.yaml",
    "pipelines/templates/*",
    "resources/**/*.py",
    "dbt_project/**/*.*",
)


class WarmLauncher(DefaultRunLauncher):
    """Launches runs from the warm process, and from the code server where there is none."""

    def __init__(self, socket_path: str | None = None, inst_data: ConfigurableClassData | None = None) -> None:
        self.socket_path = Path(socket_path) if socket_path else path_of_socket()
        super().__init__(inst_data=inst_data)

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        return {"socket_path": dg.Field(dg.StringSource, is_required=False)}

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData, config_value: Any) -> "WarmLauncher":
        return cls(inst_data=inst_data, **config_value)

    def launch_run(self, context: LaunchRunContext) -> None:
        """Ask the warm process for a fork; without one, launch as Dagster does by default."""
        run = context.dagster_run
        origin = run.job_code_origin
        told = {
            "run_id": run.run_id,
            "instance": serialize_value(self._instance.get_ref()),
            "module": _module_of(origin),
            "nice": niceness(run.tags),
        }
        try:
            answer = ask(self.socket_path, told)
        except (OSError, ValueError) as problem:
            answer = {"refused": f"{type(problem).__name__}: {problem}"}
        if "worker" in answer:
            self._instance.add_run_tags(run.run_id, {WORKER: answer["worker"]})
            return
        LOG.info("run %s begins from nothing: %s", run.run_id, answer.get("refused"))
        super().launch_run(context)

    def terminate(self, run_id: str) -> bool:
        """Interrupt the run's process; the run then ends as cancelled."""
        run = self._instance.get_run_by_id(run_id)
        if run is None or run.is_finished:
            return False
        worker = run.tags.get(WORKER)
        if worker is None:
            return super().terminate(run_id)
        self._instance.report_run_canceling(run)
        if not is_alive(worker):
            self._instance.report_run_canceled(run, message="Its process was gone already.")
            return True
        os.kill(int(worker.split("@")[0]), signal.SIGINT)
        return True

    @property
    def supports_check_run_worker_health(self) -> bool:
        return True

    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        """Whether the run's process lives."""
        worker = run.tags.get(WORKER) or self._worker_told(run.run_id)
        if worker is None or is_alive(worker):
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        return CheckRunHealthResult(
            WorkerStatus.FAILED, "its process is gone; nothing is lost: the next run goes on where it was"
        )

    def _worker_told(self, run_id: str) -> str | None:
        """The process of a run that was launched by default, as its first event tells it, and where it lives still."""
        events = self._instance.all_logs(run_id, of_type=dg.DagsterEventType.ENGINE_EVENT)
        for event in events:
            told = STARTED.search(event.message) or STARTED.search(event.user_message)
            if told:
                return worker_name(int(told[1])) if was_there(int(told[1]), event.timestamp) else f"{told[1]}@gone"
        return None


def niceness(tags: Mapping[str, str]) -> int:
    """How far a run gives way to others on a busy machine: not at all at the highest priority of a tier."""
    return max(0, min(19, (HIGHEST - int(tags.get(PRIORITY_TAG, "0"))) // 2))


def path_of_socket() -> Path:
    """Where the warm process listens."""
    return settings.state_dir() / "launcher.sock"


def ask(path: Path, told: dict[str, Any]) -> dict[str, Any]:
    """One question to the warm process. Raises OSError or ValueError where nobody answers."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
        line.settimeout(ANSWER_WITHIN)
        with short(path) as name:
            line.connect(name)
        line.sendall(json.dumps(told).encode() + b"\n")
        with line.makefile() as answer:
            return json.loads(answer.readline())


@contextmanager
def short(path: Path) -> Iterator[str]:
    """A name for that path of fewer than 108 bytes, which is all that a socket's address may have."""
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


def worker_name(pid: int) -> str:
    """A process by its id and start time, for ids are given out again."""
    return f"{pid}@{_started_at(pid)}"


def is_alive(worker: str) -> bool:
    """Whether that very process lives."""
    pid, _, started_at = worker.partition("@")
    try:
        return _started_at(int(pid)) == started_at
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


def _module_of(origin: Any) -> str | None:
    pointer = getattr(getattr(origin, "repository_origin", None), "code_pointer", None)
    return getattr(pointer, "module", None)


class WarmProcess:
    """Has everything imported, listens, and forks."""

    def __init__(self, path: Path, module: str = "pipelines.definitions") -> None:
        self.path = path
        self.module = module
        self.children: dict[int, str] = {}  # pid: run id
        self.is_over = False
        self.stamp = stamp()

    def warm_up(self) -> None:
        """Import, build and parse everything that a run needs; open no connection and start no thread."""
        for name in PRELOADED:
            importlib.import_module(name)
        importlib.import_module(self.module).defs.get_repository_def().get_all_jobs()
        lake.prepare(settings.database_url(), settings.lake())
        os.environ["DBT_STATIC_PARSER"] = "false"  # it has threads of its own, which a fork would wait for and not have
        models = importlib.import_module("pipelines.models")
        models.manifest(models.PROJECT)  # with the argument by which a run asks for it, so that it finds it
        gc.collect()
        gc.freeze()  # a collection in a child would touch every page, and copy it

    def serve(self) -> None:
        """Fork runs until SIGTERM or SIGINT; then give those under way a little time, and interrupt them."""
        waker, wakened = socket.socketpair()
        for end in (waker, wakened):
            end.setblocking(False)
        for sign in (signal.SIGTERM, signal.SIGINT):
            signal.signal(sign, lambda *_: self.end())
        signal.signal(signal.SIGCHLD, lambda *_: None)  # wakes the loop, which reaps
        signal.set_wakeup_fd(waker.fileno(), warn_on_full_buffer=False)
        with self._listening() as listener, selectors.DefaultSelector() as waiting:
            waiting.register(listener, selectors.EVENT_READ)
            waiting.register(wakened, selectors.EVENT_READ)
            LOG.info("warm; runs are forked from here (%s threads)", len(os.listdir("/proc/self/task")))
            while not self.is_over:
                for key, _ in waiting.select(timeout=60):
                    if key.fileobj is wakened:
                        with suppress(BlockingIOError):
                            wakened.recv(4096)
                    else:
                        self._answer(listener)
                self._reap()
        self._finish()

    def end(self) -> None:
        self.is_over = True

    @contextmanager
    def _listening(self) -> Iterator[socket.socket]:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
            with short(self.path) as name:
                listener.bind(name)
            self.path.chmod(0o600)
            listener.listen(128)
            try:
                yield listener
            finally:
                self.path.unlink(missing_ok=True)

    def _answer(self, listener: socket.socket) -> None:
        line, _ = listener.accept()
        with line:
            line.settimeout(ANSWER_WITHIN)
            try:
                with line.makefile() as question:
                    told = json.loads(question.readline())
                answer = self._launch(told, listener, line)
                line.sendall(json.dumps(answer).encode() + b"\n")
            except (OSError, ValueError, KeyError) as problem:
                LOG.warning("a question could not be answered: %s", problem)

    def _launch(self, told: dict[str, Any], *open_here: socket.socket) -> dict[str, str]:
        if told["module"] != self.module:
            return {"refused": f"only runs of {self.module} are warm, not of {told['module']}"}
        if stamp() != self.stamp:
            LOG.info("the code has changed; beginning again with the new one")
            self.is_over = True
            return {"refused": "the code has changed since the warm process began"}
        pid = os.fork()
        if pid == 0:
            work(told["run_id"], told["instance"], told["nice"], open_here)
        self.children[pid] = told["run_id"]
        return {"worker": worker_name(pid)}

    def _reap(self) -> None:
        while self.children:
            pid, status, used = os.wait4(-1, os.WNOHANG)
            if pid == 0:
                return
            run_id = self.children.pop(pid, "?")
            LOG.info("run %s took %.1f s of CPU, %.0f MB", run_id, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)
            code = os.waitstatus_to_exitcode(status)
            if code < 0:  # the run's own failures are told by its events
                LOG.warning("the process of run %s was ended by signal %s", run_id, -code)

    def _finish(self) -> None:
        if stamp() != self.stamp:
            os.execv(sys.executable, [sys.executable, "-m", "pipelines.launcher"])  # noqa: S606  children stay, and go on
        self._wait()
        for sign in (signal.SIGINT, signal.SIGKILL):
            for pid in self.children:
                with suppress(ProcessLookupError):
                    os.kill(pid, sign)
            self._wait()

    def _wait(self) -> None:
        deadline = time.monotonic() + GRACE
        while self.children and time.monotonic() < deadline:
            time.sleep(0.05)
            self._reap()


def work(run_id: str, instance_ref: str, nice: int, open_here: tuple[socket.socket, ...]) -> None:
    """Execute a run in this forked child, and leave without going back."""
    code = 1
    try:
        os.nice(nice)
        signal.set_wakeup_fd(-1)
        _be_quiet()
        for line in open_here:
            os.close(line.fileno())
        os.setsid()  # Ctrl-C at the warm process is not meant for it
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        ref = deserialize_value(instance_ref, InstanceRef)
        with capture_interrupts(), dg.DagsterInstance.from_ref(ref) as instance:
            code = _execute_run_command_body(run_id, instance, lambda _: None, True)
    except BaseException:
        LOG.exception("run %s could not be executed", run_id)
    finally:
        os._exit(code)


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
    warm = WarmProcess(path_of_socket())
    warm.warm_up()
    warm.serve()


if __name__ == "__main__":
    main()

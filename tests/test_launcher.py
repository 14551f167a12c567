"""Runs begin at once in workers of the warm process: real forks, a real Dagster instance."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.code_pointer import ModuleCodePointer
from dagster._core.definitions.reconstruct import ReconstructableRepository
from dagster._core.launcher import LaunchRunContext, WorkerStatus
from dagster._core.test_utils import instance_for_test

from pipelines.runtime.launcher import WORKER, WarmLauncher
from resources.host import settings, state
from resources.host.embedded_postgres import Server
from resources.host.processes import identity, is_alive, pid_of
from resources.host.unix_socket import ask
from tests.fixtures_postgres import fresh_database
from tests.launcher_jobs import SERVE, defs

REPOSITORY = ReconstructableRepository(ModuleCodePointer("tests.launcher_jobs", "defs", str(settings.ROOT)))


def until(told: Callable[[], Any], seconds: float = 30.0) -> Any:
    """What is told as soon as it is something."""
    deadline = time.monotonic() + seconds
    while not (answer := told()):
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.02)
    return answer


@dataclass
class Warm:
    """A warm process, and a Dagster instance that launches runs there."""

    process: subprocess.Popen[bytes]
    instance: dg.DagsterInstance
    told: Path

    @property
    def launcher(self) -> WarmLauncher:
        launcher = self.instance.run_launcher
        assert isinstance(launcher, WarmLauncher)
        return launcher

    def launch(self, job: str, **tags: str) -> str:
        """Ask for a run; its id."""
        origin = REPOSITORY.get_reconstructable_job(job).get_python_origin()
        run = self.instance.create_run_for_job(defs.resolve_job_def(job), job_code_origin=origin, tags=tags)
        self.launcher.launch_run(LaunchRunContext(dagster_run=run, workspace=None))
        return run.run_id

    def run(self, run_id: str) -> dg.DagsterRun:
        run = self.instance.get_run_by_id(run_id)
        assert run is not None
        return run

    def ended(self, run_id: str) -> dg.DagsterRunStatus:
        """How the run ended, once it has and its worker said so."""
        return until(lambda: self.run(run_id).is_finished and self.run(run_id).status)

    def worker(self, run_id: str) -> str:
        return self.run(run_id).tags[WORKER]

    def lines(self, word: str) -> list[int]:
        """The processes that said this word."""
        told = [line.split() for line in self.told.read_text().splitlines()] if self.told.exists() else []
        return [int(pid) for said, pid in told if said == word]


@contextmanager
def warm_process(database_server: Server, folder: Path) -> Iterator[Warm]:
    told, socket_path = folder / "told", folder / "warm.sock"
    overrides = {
        "run_launcher": {
            "module": "pipelines.runtime.launcher",
            "class": "WarmLauncher",
            "config": {"socket_path": str(socket_path)},
        }
    }
    with fresh_database(database_server) as url, instance_for_test(overrides, temp_dir=str(folder)) as instance:
        environment = {"LAUNCHER_TOLD": str(told), "CONCORD_DATABASE_URL": url, "CONCORD_LAKE": str(folder / "lake")}
        process = subprocess.Popen(
            [sys.executable, "-c", SERVE, str(socket_path)], cwd=settings.ROOT, env=os.environ | environment
        )
        try:
            until(socket_path.is_socket, 120)
            yield Warm(process, instance, told)
        finally:
            process.terminate()
            process.wait(30)


@pytest.fixture(scope="module")
def warm(database_server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warm]:
    with warm_process(database_server, tmp_path_factory.mktemp("warm")) as process:
        yield process


def test_a_worker_executes_one_run_after_the_other(warm: Warm) -> None:
    known, runs = len(warm.lines("well")), []
    for _ in range(6):  # a run is over a moment before its worker is free, so some may take turns
        runs.append(warm.launch("well_job"))
        assert warm.ended(runs[-1]) == dg.DagsterRunStatus.SUCCESS
    assert len({warm.worker(run) for run in runs}) < len(runs)
    assert warm.lines("well")[known:] == [pid_of(warm.worker(run)) for run in runs]


def test_runs_at_once_have_a_worker_each(warm: Warm) -> None:
    runs = [warm.launch("long_job"), warm.launch("long_job"), warm.launch("well_job")]
    assert warm.ended(runs[2]) == dg.DagsterRunStatus.SUCCESS
    assert len({warm.worker(run) for run in runs}) == 3
    for run in runs[:2]:
        assert warm.launcher.terminate(run)
        assert warm.ended(run) == dg.DagsterRunStatus.CANCELED


def test_workers_take_turns_at_the_database_for_each_has_its_own_connection(warm: Warm) -> None:
    runs = [warm.launch("turn_job") for _ in range(2)]
    assert [warm.ended(run) for run in runs] == [dg.DagsterRunStatus.SUCCESS] * 2
    assert len({warm.worker(run) for run in runs}) == 2
    assert (len(warm.lines("turn")), len(warm.lines("no-turn"))) == (1, 1)


def test_a_run_of_another_tier_never_gets_a_worker_that_gives_way(warm: Warm) -> None:
    low, high = {"dagster/priority": "-10"}, {"dagster/priority": "30"}
    gives_way = warm.launch("well_job", **low)
    warm.ended(gives_way)
    goes_first = warm.launch("well_job", **high)
    warm.ended(goes_first)
    assert warm.worker(gives_way) != warm.worker(goes_first)
    assert os.getpriority(os.PRIO_PROCESS, pid_of(warm.worker(gives_way))) == 19
    assert os.getpriority(os.PRIO_PROCESS, pid_of(warm.worker(goes_first))) == 0


def test_a_worker_whose_run_failed_takes_no_other(warm: Warm) -> None:
    failed = warm.launch("badly_job")
    assert warm.ended(failed) == dg.DagsterRunStatus.FAILURE
    until(lambda: not is_alive(warm.worker(failed)))
    after = warm.launch("well_job")
    assert warm.ended(after) == dg.DagsterRunStatus.SUCCESS
    assert warm.worker(after) != warm.worker(failed)


def test_a_terminated_run_is_cancelled_and_its_worker_takes_no_other(warm: Warm) -> None:
    known = len(warm.lines("long"))
    run = warm.launch("long_job")
    until(lambda: len(warm.lines("long")) > known)
    assert warm.launcher.check_run_worker_health(warm.run(run)).status == WorkerStatus.RUNNING
    assert warm.launcher.terminate(run)
    assert warm.ended(run) == dg.DagsterRunStatus.CANCELED
    until(lambda: not is_alive(warm.worker(run)))
    assert not warm.launcher.terminate(run)


def test_the_end_of_one_run_is_never_the_interrupt_of_the_next(warm: Warm) -> None:
    over = warm.launch("well_job")
    warm.ended(over)
    run = warm.launch("long_job")
    until(lambda: pid_of(warm.worker(run)) in warm.lines("long"))
    answer = ask(warm.launcher.socket_path, {"interrupt": over, "worker": warm.worker(run)})
    assert answer == {"refused": "its run is over"}
    assert warm.launcher.check_run_worker_health(warm.run(run)).status == WorkerStatus.RUNNING
    warm.launcher.terminate(run)
    assert warm.ended(run) == dg.DagsterRunStatus.CANCELED


def test_a_run_whose_worker_is_killed_is_seen_to_be_dead(warm: Warm) -> None:
    known = len(warm.lines("long"))
    run = warm.launch("long_job")
    until(lambda: len(warm.lines("long")) > known)
    os.kill(pid_of(warm.worker(run)), signal.SIGKILL)
    until(lambda: not is_alive(warm.worker(run)))
    assert warm.launcher.check_run_worker_health(warm.run(run)).status == WorkerStatus.FAILED
    assert warm.launcher.terminate(run)
    assert warm.run(run).status == dg.DagsterRunStatus.CANCELED
    after = warm.launch("well_job")
    assert warm.ended(after) == dg.DagsterRunStatus.SUCCESS


def test_a_socket_that_a_kill_left_behind_is_no_stranger_in_the_state_folder() -> None:
    assert settings.warm_socket().name in state.OURS


def test_a_process_is_known_by_its_id_and_its_start(warm: Warm) -> None:
    assert is_alive(identity(os.getpid()))
    assert not is_alive(f"{os.getpid()}@1")


def test_at_its_end_the_warm_process_interrupts_what_does_not_end(database_server: Server, tmp_path: Path) -> None:
    with warm_process(database_server, tmp_path) as warm:
        run = warm.launch("long_job")
        until(lambda: warm.lines("long"))
        warm.process.terminate()
        assert warm.process.wait(30) == 0
        assert warm.run(run).status == dg.DagsterRunStatus.FAILURE  # nobody asked for it, so it is there to be repeated
        assert not is_alive(warm.worker(run))
        assert not warm.launcher.socket_path.exists()

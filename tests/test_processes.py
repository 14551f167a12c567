"""Keeping processes: who dies is started again, who is ours is known, and nothing is left behind."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from resources.host import processes
from resources.host.processes import Keeper, Program, end_marked, marked

SLEEP = [sys.executable, "-c", "import time; time.sleep(600)"]
# ends in order when asked to, and leaves a child in a session of its own
HAS_A_CHILD = [
    sys.executable, "-c",
    "import subprocess, sys, time; subprocess.Popen(['sleep', '600'], start_new_session=True); time.sleep(600)",
]  # fmt: skip


def within(seconds: float, holds: Callable[[], bool]) -> bool:
    """Whether it holds before that time is over."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


class Kept:
    """A keeper and what it said."""

    def __init__(self, folder: Path) -> None:
        self.said: list[str] = []
        self.keeper = Keeper(folder / "run", folder / "logs", self.said.append)

    def look_until(self, holds: Callable[[], bool], seconds: float = 20) -> bool:
        def looked() -> bool:
            self.keeper.look()
            return holds()

        return within(seconds, looked)


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Kept]:
    kept = Kept(tmp_path)
    yield kept
    kept.keeper.stop()


def test_a_program_that_is_killed_starts_again(kept: Kept):
    kept.keeper.start(Program("sleeper", SLEEP))
    first = kept.keeper.kept["sleeper"].process.pid
    os.kill(first, signal.SIGKILL)
    assert kept.look_until(lambda: kept.keeper.kept["sleeper"].process.pid != first)
    assert "sleeper was killed (SIGKILL); it starts again in 0.5 s; its log is" in kept.said[0]


def test_a_program_that_fails_at_its_start_is_given_longer_and_longer_pauses(kept: Kept):
    kept.keeper.start(Program("broken", [sys.executable, "-c", "raise SystemExit('no disk')"]))
    assert kept.look_until(lambda: len(kept.said) == 3)
    assert [sentence.split("again in ")[1].split(" s;")[0] for sentence in kept.said] == ["0.5", "1", "2"]
    assert "exit code 1" in kept.said[0]
    assert kept.keeper.last_words("broken") == "no disk"


def test_a_step_is_ready_when_it_has_ended_well_and_is_not_started_again(kept: Kept):
    kept.keeper.start(Program("good", [sys.executable, "-c", "print('done')"], is_step=True))
    kept.keeper.start(Program("bad", [sys.executable, "-c", "raise SystemExit(3)"], is_step=True))
    assert kept.look_until(lambda: kept.keeper.kept["good"].is_ready and kept.keeper.kept["bad"].has_failed)
    assert not kept.keeper.kept["bad"].is_ready
    assert kept.said == []


def test_a_stop_ends_grandchildren_in_other_sessions_too(kept: Kept):
    kept.keeper.start(Program("parent", HAS_A_CHILD))
    assert within(20, lambda: len(marked(kept.keeper.folder)) == 2)
    kept.keeper.stop()
    assert marked(kept.keeper.folder) == []


def test_a_program_that_ignores_the_request_is_ended_by_force(kept: Kept, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(processes, "GRACE", 0.3)
    deaf = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(600)"
    )
    kept.keeper.start(Program("deaf", [sys.executable, "-c", deaf]))
    assert within(20, lambda: kept.keeper.last_words("deaf") == "deaf")
    kept.keeper.stop()
    assert marked(kept.keeper.folder) == []


def test_programs_end_with_a_keeper_that_is_killed(tmp_path: Path):
    keeps = f"""
import sys, time
from pathlib import Path
from resources.host.processes import Keeper, Program
keeper = Keeper(Path({str(tmp_path / "run")!r}), Path({str(tmp_path / "logs")!r}), print)
keeper.start(Program("sleeper", {SLEEP!r}))
time.sleep(600)
"""
    with subprocess.Popen([sys.executable, "-c", keeps]) as parent:
        assert within(20, lambda: len(marked(tmp_path / "run")) == 1)
        parent.kill()
    assert within(10, lambda: marked(tmp_path / "run") == [])


def test_what_a_killed_keeper_left_is_found_again_and_nobody_elses(tmp_path: Path):
    mark = {**os.environ, processes.MARK: str(tmp_path / "run")}
    with (
        subprocess.Popen(SLEEP, env=mark, start_new_session=True) as ours,
        subprocess.Popen(SLEEP, env={**mark, processes.MARK: str(tmp_path / "running")}) as others,
    ):
        assert within(20, lambda: marked(tmp_path / "run") == [ours.pid])
        assert end_marked(tmp_path / "run") == 1
        assert ours.wait(10) == -signal.SIGTERM
        assert others.poll() is None
        others.kill()


def test_a_log_that_has_grown_is_set_aside_at_the_next_start(kept: Kept, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(processes, "LOG_LIMIT", 10)
    kept.keeper.logs.mkdir(parents=True)
    kept.keeper.log_of("sleeper").write_text("what it said the last time")
    kept.keeper.start(Program("sleeper", SLEEP))
    assert kept.keeper.log_of("sleeper").with_suffix(".log.1").read_text() == "what it said the last time"
    assert kept.keeper.log_of("sleeper").read_text() == ""


def test_a_program_hears_the_interrupt_that_a_background_job_ignores(kept: Kept):
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        kept.keeper.start(Program("sleeper", SLEEP))
    finally:
        signal.signal(signal.SIGINT, before)
    process = kept.keeper.kept["sleeper"].process
    assert within(20, lambda: len(marked(kept.keeper.folder)) == 1)
    process.send_signal(signal.SIGINT)
    assert process.wait(10) == -signal.SIGINT

"""Every bench starts in a fresh clone, in which nobody has set a variable. What it measures here means nothing."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from resources.host.settings import ROOT
from tests.bench.__main__ import BENCHES

SMALL = {
    "door": ["--rate", "50", "--seconds", "1"],
    "engine": ["--settled", "200", "--more", "50"],
    "outbox": ["--rows", "200"],
}
ELSEWHERE = {"latency": "is `concord run` with its sandbox, which tests/test_run.py starts without a variable"}


def test_no_bench_is_forgotten() -> None:
    assert SMALL.keys() | ELSEWHERE.keys() == BENCHES.keys()


@pytest.mark.parametrize("bench", sorted(SMALL))
def test_a_bench_starts_without_a_variable(bench: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", f"tests.bench.{bench}", *SMALL[bench]]
    bare = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**bare, "CONCORD_STATE": str(tmp_path / "state" / ".concord")},
        capture_output=True,
        text=True,
        check=False,
        timeout=900,  # seconds; a quarter of a minute each, where nothing else runs
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert len(done.stdout.splitlines()) > 5

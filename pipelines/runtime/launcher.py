"""How Dagster launches a run: a worker of the warm process takes it at once.

Where the warm process does not run, or was started from older code, Dagster's default launcher takes over, so plain
`dagster dev` works without it.
"""

import logging
import os
import re
import signal
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import dagster as dg
from dagster._core.launcher import CheckRunHealthResult, DefaultRunLauncher, LaunchRunContext, WorkerStatus
from dagster._core.storage.tags import PRIORITY_TAG
from dagster._serdes import ConfigurableClassData, serialize_value

from pipelines.runtime.tags import AS_PROMPT_AS
from resources.host import settings
from resources.host.processes import identity, is_alive, pid_of, was_there
from resources.host.unix_socket import ask

LOG = logging.getLogger("concord.launcher")
WORKER = ".dagster/concord_worker"  # a run's tag, which pages hide: pid and start time of its process
HIGHEST = 30  # the priority of a run of the first tier
STARTED = re.compile(r"Started process for run \(pid: (\d+)\)")


class WarmLauncher(DefaultRunLauncher):
    """Launches runs from the warm process, and from the code server where there is none."""

    def __init__(self, socket_path: str | None = None, inst_data: ConfigurableClassData | None = None) -> None:
        self.socket_path = Path(socket_path) if socket_path else settings.warm_socket()
        super().__init__(inst_data=inst_data)

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        return {"socket_path": dg.Field(dg.StringSource, is_required=False)}

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData, config_value: Any) -> "WarmLauncher":
        return cls(inst_data=inst_data, **config_value)

    def launch_run(self, context: LaunchRunContext) -> None:
        """Ask the warm process for a worker; without one, launch as Dagster does by default."""
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
        try:
            ask(self.socket_path, {"interrupt": run_id, "worker": worker})
        except (OSError, ValueError):  # nobody gives that worker another run
            with suppress(ProcessLookupError):
                os.kill(pid_of(worker), signal.SIGINT)
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
                return identity(int(told[1])) if was_there(int(told[1]), event.timestamp) else f"{told[1]}@gone"
        return None


def niceness(tags: Mapping[str, str]) -> int:
    """How far a run gives way to others on a busy machine: not at all at the highest priority of a tier, and never further
    than those who wait for it, else they would give way with it."""
    priority = int(tags.get(AS_PROMPT_AS, tags.get(PRIORITY_TAG, "0")))
    return max(0, min(19, (HIGHEST - priority) // 2))


def _module_of(origin: Any) -> str | None:
    pointer = getattr(getattr(origin, "repository_origin", None), "code_pointer", None)
    return getattr(pointer, "module", None)

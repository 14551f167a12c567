"""Jobs for the launcher's tests: what each run leaves is a line with its process in the file that LAUNCHER_TOLD names."""

import os
import time
from pathlib import Path

import dagster as dg

from resources.store.store import Store


def tell(word: str) -> None:
    with Path(os.environ["LAUNCHER_TOLD"]).open("a") as file:
        file.write(f"{word} {os.getpid()}\n")


@dg.op
def well() -> None:
    tell("well")


@dg.op
def badly() -> None:
    tell("badly")
    raise dg.Failure("it was meant to fail")


@dg.op
def long() -> None:
    tell("long")
    time.sleep(60)


@dg.op
def turn() -> None:
    with Store(url=os.environ["CONCORD_DATABASE_URL"]).turn("of one run at a time", wait=False) as is_ours:
        tell("turn" if is_ours else "no-turn")
        time.sleep(3)


def job_of(op: dg.OpDefinition) -> dg.JobDefinition:
    return dg.GraphDefinition(name=f"{op.name}_job", node_defs=[op]).to_job(executor_def=dg.in_process_executor)


defs = dg.Definitions(jobs=[job_of(well), job_of(badly), job_of(long), job_of(turn)])
SERVE = (
    "import sys, logging; from pathlib import Path; from pipelines.runtime.warm_pool import WarmProcess; "
    "logging.basicConfig(level=logging.INFO); "
    "it = WarmProcess(Path(sys.argv[1]), 'tests.launcher_jobs'); it.warm_up(); it.serve()"
)

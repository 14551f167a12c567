"""The models that dbt runs in the lake: parsed once a process, and run within it.

Only who compares whole tables imports this: dbt takes 100 MB, which a worker that settles does without.
"""

import logging
import os
import re
import time
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from dbt.adapters.duckdb.connections import DuckDBConnectionManager
from dbt.cli.main import dbtRunner
from dbt.contracts.graph.manifest import Manifest

from pipelines.stages.batch import PROJECT, BuildFailed, Built
from resources.host import settings
from resources.lake import lake

LOG = logging.getLogger("concord.dbt")
CONFLICT = re.compile("conflict|could not serialize|failed to commit ducklake", re.IGNORECASE)
TRIES = 4  # when other writers of the lake keep being faster; DuckLake itself tries ten times
_MET: dict[str, int | None] = {}  # the catalogue that this process last built in, by database


class Conflict(BuildFailed):
    """Another writer of the lake was faster; building again is safe."""


@cache
def manifest(project: Path = PROJECT) -> Manifest:
    """The parsed dbt project, once a process: passing it on makes a run ten times faster. Raises BuildFailed."""
    os.environ["DBT_STATIC_PARSER"] = "false"  # it has threads of its own, which a fork would wait for and not have
    result = dbtRunner().invoke(["parse", *_folders(project), "--quiet"])
    if not isinstance(result.result, Manifest):
        raise BuildFailed(f"the dbt project cannot be parsed: {result.exception}; run `concord write` and look again")
    return result.result


def run_dbt(arguments: Sequence[str], project: Path = PROJECT) -> list[Built]:
    """Run dbt in this process. Raises BuildFailed with the first model that failed and why."""
    for tries in range(1, TRIES + 1):
        try:
            return _run(arguments, project)
        except Conflict as problem:
            if tries == TRIES:
                raise
            LOG.warning("%s; it is built again", problem)
            time.sleep(tries)
    raise AssertionError("the last try returns or raises")


def meet_catalogue(url: str) -> None:
    """Close what remembers another catalogue: a worker outlives a lake that was deleted to be built again."""
    met = lake.catalogue(url)
    if _MET.setdefault(url, met) != met:
        close()
    _MET[url] = met


def close() -> None:
    """Close the databases of this process that see the lake; the next run opens them again."""
    lake.close()
    if DuckDBConnectionManager._ENV:
        DuckDBConnectionManager._ENV.close()
    DuckDBConnectionManager.close_all_connections()


def _run(arguments: Sequence[str], project: Path) -> list[Built]:
    silent = ["--no-write-json", "--log-level", "none", "--log-level-file", "none"]
    result = dbtRunner(manifest=manifest(project)).invoke([*arguments, *_folders(project), *silent])
    if result.exception and not isinstance(result.exception, Exception):
        raise result.exception  # it was stopped
    if result.exception:
        raise BuildFailed(f"dbt could not run: {result.exception}")
    nodes: Any = result.result
    built = [Built(n.node.name, str(n.status), n.execution_time, str(n.message or "")) for n in nodes]
    for node in built:
        if node.status in ("error", "runtime error"):
            kind = Conflict if CONFLICT.search(node.message) else BuildFailed
            raise kind(f"model {node.name} could not be built: {' '.join(node.message.split())[:600]}")
    return built


def _folders(project: Path) -> list[str]:
    state = settings.state_dir() / "dbt"
    folders = {"--project-dir": project, "--profiles-dir": project, "--target-path": state, "--log-path": state}
    return [str(word) for pair in folders.items() for word in pair]

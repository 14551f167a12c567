"""A sync in a process of its own, to be killed. The server that forks such processes imports and plans everything once."""

import multiprocessing
import os
from multiprocessing.process import BaseProcess

from pipelines.language.schema import load_map
from pipelines.stages.sync import make_plans, sync
from resources.lake import lake
from resources.store.store import Store

FORKS = multiprocessing.get_context("forkserver")

if os.environ.get("FORKS_SYNCS"):  # in the forking server alone, before its first fork
    MAP = load_map()
    make_plans(MAP)


def settle(url: str, folder: str, entity: str) -> None:
    os.environ["CONCORD_DATABASE_URL"] = url
    os.environ.update(lake.environment(url, folder))
    sync(entity, store=Store(url=url), the_map=MAP, run_id="doomed", log=lambda _: None)


def start(url: str, folder: str, entity: str) -> BaseProcess:
    """Begin to settle the entity; the process ends with 0 when it has."""
    os.environ["FORKS_SYNCS"] = "1"
    FORKS.set_forkserver_preload([__name__, "pandas"])
    process = FORKS.Process(target=settle, args=(url, folder, entity))
    process.start()
    return process

"""A courier in a process of its own, to be killed: `python -m tests.courier_process DATABASE DESTINATION TIMEOUT`."""

import sys

from pipelines.stages.deliver import deliver
from resources.store.store import Store
from tests.destination import HttpDestination
from tests.wanting import a_map


def main(database: str, destination: str, timeout: str) -> None:
    connector = HttpDestination(base_url=destination, timeout=float(timeout))
    print(deliver(Store(url=database), a_map(), "erp", connector, run_id="doomed").sentence(), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])

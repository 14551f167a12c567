"""`make bench`: every bench in a process of its own, one after the other, as one table for the README."""

import os
import platform
import subprocess
import sys

BENCHES = {
    "door": "The webhook door, open loop",
    "engine": "Judging, settling, wanting",
    "outbox": "The outbox",
    "latency": "From webhook to ERP, through Dagster",
}


def main() -> int:
    cores = len(os.sched_getaffinity(0))
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    print(f"{cores} cores, {memory:.0f} GiB, Python {platform.python_version()}\n")
    failed = 0
    for name in sys.argv[1:] or BENCHES:
        print(f"| {BENCHES[name]} | |\n|---|---|", flush=True)
        failed += bool(subprocess.run([sys.executable, "-m", f"tests.bench.{name}"], check=False).returncode)
        print(flush=True)
    return failed


if __name__ == "__main__":
    raise SystemExit(main())

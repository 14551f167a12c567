"""How many webhooks a second the door takes, beside what the same Postgres can commit at all.

`python -m tests.bench.door [--rate 1000] [--seconds 60]`. Everything runs on this machine at the same time: the sender,
the door and a durable embedded Postgres (fsync on).
"""

import argparse
import json
import os
import random
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psycopg

from pipelines.language.schema import load_map
from resources.host.embedded_postgres import Server, _programs
from resources.host.settings import ROOT, state_dir
from resources.store.migrate import migrate
from tests.bench.open_loop import SECRET, SHOP
from tests.bench.order_bodies import order_body
from tests.fixtures_postgres import free_port

TICKS = os.sysconf("SC_CLK_TCK")
SAMPLES = 1_000
BARE_SECONDS = 5
ONE_ROW = """\\set n random(1, {samples})
begin;
{lock}
insert into concord.inbox (system, stream, arrived_by, event_id, body_hash, is_versioned, payload, body)
select 'shop', 'bare', 'webhook', gen_random_uuid()::text, gen_random_uuid()::text, true, payload, body
from samples where sample_id = :n;
commit;
"""
GROUPED = """begin;
select pg_advisory_xact_lock(4011001);
insert into concord.inbox (system, stream, arrived_by, event_id, body_hash, is_versioned, payload, body)
select 'shop', 'bare', 'webhook', gen_random_uuid()::text, gen_random_uuid()::text, true, payload, body
from samples where sample_id <= 100;
commit;
"""


def cpu_seconds(processes: set[int]) -> float:
    """User and system time of these processes so far."""
    total = 0
    for process in processes:
        try:
            fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        total += int(fields[11]) + int(fields[12])
    return total / TICKS


def peak_mb(process: int) -> float:
    return int(re.findall(r"VmHWM:\s+(\d+)", Path(f"/proc/{process}/status").read_text())[0]) / 1024


def settings_of_nobody() -> dict[str, str]:
    """A value for every variable of the map: the door opens for all systems that post, and asks none of them anything."""
    the_map = load_map()
    return {setting.env: "nobody" for system in the_map.systems.values() for setting in system.settings.values()}


def drive_door(server: Server, rate: float, seconds: float) -> tuple[dict, dict[str, float]]:
    """Run door and sender; what the sender measured, and what door and database used meanwhile."""
    port = free_port()
    command = [sys.executable, "-m", "pipelines.runtime.door"]
    told_to_door = {
        **os.environ,
        **settings_of_nobody(),
        "CONCORD_DATABASE_URL": server.url("bench"),
        "CONCORD_DOOR_PORT": str(port),
        "SHOPIFY_SHOP": SHOP,
        "SHOPIFY_WEBHOOK_SECRETS": SECRET,
    }
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, env=told_to_door) as door:
        try:
            while True:
                if door.poll() is not None:
                    sys.exit("the door did not open; start `python -m pipelines.runtime.door` by hand to see why")
                with socket.socket() as probe:
                    if probe.connect_ex(("127.0.0.1", port)) == 0:
                        break
                time.sleep(0.05)
            sender = subprocess.Popen(
                [sys.executable, "-m", "tests.bench.open_loop", str(port), str(rate), str(seconds)],
                cwd=ROOT,
                stdout=subprocess.PIPE,
                text=True,
            )
            before = cpu_seconds({door.pid}), cpu_seconds(server.processes())
            said, _ = sender.communicate()
            told = json.loads(said)
            used = {
                "door": (cpu_seconds({door.pid}) - before[0]) / seconds,
                "postgres": (cpu_seconds(server.processes()) - before[1]) / seconds,
                "door_mb": peak_mb(door.pid),
            }
        finally:
            door.terminate()
    return told, used


def bare(server: Server, script: str, clients: int, folder: Path) -> float:
    """Transactions a second of pgbench, which asks nothing of Python."""
    path = folder / "script.sql"
    path.write_text(script)
    command = [str(_programs() / "pgbench"), "-n", "-M", "prepared", "-f", str(path), "-c", str(clients), "-j", "2"]
    command += ["-T", str(BARE_SECONDS), server.url("bench")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(re.findall(r"tps = ([\d.]+)", done.stdout)[0])


def fill_samples(url: str) -> None:
    """Bodies for the bare inserts, kept uncompressed, so that inserting them compresses them as the door's are."""
    with psycopg.connect(url) as connection:
        connection.execute("create table public.samples (sample_id int primary key, payload text, body bytea)")
        for column in ("payload", "body"):
            connection.execute(f"alter table public.samples alter column {column} set storage external")
        dice = random.Random(7)
        for number in range(1, SAMPLES + 1):
            body = order_body(number, dice)
            connection.execute("insert into public.samples values (%s, %s, %s)", [number, body.decode(), body])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=float, default=1_000)
    parser.add_argument("--seconds", type=float, default=60)
    asked = parser.parse_args()
    parent = state_dir() / "run"
    parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="bench-", dir=parent))  # on the disk that `concord run` uses, not in memory
    folder.chmod(0o755)
    server = Server(folder / "postgres", free_port())
    try:
        server.ensure()
        migrate(server.url("bench"))
        told, used = drive_door(server, asked.rate, asked.seconds)
        with psycopg.connect(server.url("bench")) as connection:
            row = connection.execute("select count(*) from concord.inbox").fetchone()
        fill_samples(server.url("bench"))
        one_row = bare(
            server, ONE_ROW.format(samples=SAMPLES, lock="select pg_advisory_xact_lock(4011001);"), 8, folder
        )
        unlocked = bare(server, ONE_ROW.format(samples=SAMPLES, lock=""), 8, folder)
        grouped = 100 * bare(server, GROUPED, 1, folder)
    finally:
        server.stop()
        shutil.rmtree(folder)
    cores = os.cpu_count() or 1
    lines = [
        ("posts due, open loop, Poisson", f"{told['due']:,} in {asked.seconds:.0f} s ({asked.rate:,.0f}/s)"),
        ("mean post", f"{told['mean_body']:,.0f} bytes"),
        ("answered", f"{told['answered']:,} {told['statuses']}, {told['lost_connections']} connections lost"),
        ("rows in the inbox", f"{row[0] if row else 0:,}"),
        ("reached", f"{told['per_second']:,.0f}/s"),
        ("latency from the due time, p50", f"{told['p50']:.1f} ms"),
        ("p95", f"{told['p95']:.1f} ms"),
        ("p99", f"{told['p99']:.1f} ms"),
        ("p99.9", f"{told['p99.9']:.1f} ms"),
        ("max", f"{told['max']:.1f} ms"),
        (f"CPU of the sender, of {cores} cores", f"{told['cpu']:.0%} of one"),
        ("CPU of the door", f"{used['door']:.0%} of one, peak memory {used['door_mb']:.0f} MB"),
        ("CPU of Postgres", f"{used['postgres']:.0%} of one"),
        ("bare Postgres, one row a commit, 8 connections, with the lock", f"{one_row:,.0f}/s"),
        ("the same without the lock", f"{unlocked:,.0f}/s"),
        ("bare Postgres, 100 rows a commit, 1 connection", f"{grouped:,.0f} rows/s"),
        ("door's rate to the bare one-row rate", f"{told['per_second'] / one_row:.2f}"),
    ]
    width = max(len(name) for name, _ in lines)
    for name, value in lines:
        print(f"| {name:<{width}} | {value} |")


if __name__ == "__main__":
    main()

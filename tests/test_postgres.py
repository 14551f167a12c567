"""The embedded server and the migrations: started, killed, started again, and clear about what is in the way."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from resources.host import embedded_postgres
from resources.host.embedded_postgres import Server, ServerProblem
from resources.store import migrate
from resources.store.migrate import CannotMigrate
from tests.fixtures_postgres import free_port

DAEMON = 1  # an ordinary user that every machine has


@pytest.fixture(scope="module")
def own_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A durable server that these tests may kill."""
    server = Server(tmp_path_factory.mktemp("own") / "postgres", free_port())
    server.ensure()
    with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
        connection.execute("create database words")
    yield server
    server.stop()


@pytest.fixture
def server(own_server: Server) -> Server:
    own_server.ensure()
    return own_server


def write(server: Server, text: str) -> None:
    with psycopg.connect(server.url("words")) as connection:
        connection.execute("create table if not exists said (word text)")
        connection.execute("insert into said values (%s)", [text])


def words(server: Server) -> set[str]:
    with psycopg.connect(server.url("words")) as connection:
        return {row[0] for row in connection.execute("select word from said")}


def postmaster(server: Server) -> int:
    return int((server.data / "postmaster.pid").read_text().split("\n")[0])


def test_starting_twice_leaves_one_server(server: Server) -> None:
    before = postmaster(server)
    server.ensure()
    assert postmaster(server) == before


def test_two_processes_starting_at_once_leave_one_server(server: Server) -> None:
    server.stop()
    threads = [threading.Thread(target=server.ensure) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert server.is_ready()


def test_a_commit_survives_the_kill_of_the_postmaster(server: Server) -> None:
    write(server, "before the kill")
    os.kill(postmaster(server), signal.SIGKILL)
    server.ensure()
    assert "before the kill" in words(server)


def test_a_commit_survives_the_kill_of_every_process(server: Server) -> None:
    write(server, "before all were killed")
    server._signal(signal.SIGKILL)
    server.ensure()
    assert "before all were killed" in words(server)


def test_a_busy_orphan_does_not_prevent_the_next_start(server: Server) -> None:
    with psycopg.connect(server.url("postgres")) as connection:
        busy = connection.info.backend_pid
        thread = threading.Thread(target=_count_for_a_minute, args=(server.url("postgres"),), daemon=True)
        thread.start()
        while (
            connection.execute(
                "select 1 from pg_stat_activity where query like '%%generate_series(1,%%' and pid <> %s", [busy]
            ).fetchone()
            is None
        ):
            connection.rollback()
            time.sleep(0.02)
    os.kill(postmaster(server), signal.SIGKILL)
    server.ensure()
    assert server.is_ready()
    thread.join(5)


def _count_for_a_minute(url: str) -> None:
    try:
        with psycopg.connect(url) as connection:
            connection.execute("select count(*) from generate_series(1, 400000000) as n where n % 7 = 3")
    except psycopg.OperationalError:
        return


def test_a_process_number_left_behind_and_reused_by_a_stranger_does_not_prevent_the_start(server: Server) -> None:
    server.stop()
    path = server.data / "postmaster.pid"
    path.write_text(f"{os.getpid()}\n{server.data}\n{int(time.time())}\n{server.port}\n\n127.0.0.1\n")
    server.ensure()
    assert server.is_ready()


def test_a_folder_half_initialised_by_a_kill_is_made_anew(tmp_path: Path) -> None:
    server = Server(tmp_path / "postgres", free_port(), is_fast=True)
    (server.folder / "data.new").mkdir(parents=True)
    (server.folder / "data.new" / "PG_VERSION").write_text("18\n")
    server.ensure()
    server.stop()


def test_stopping_is_clean_and_stopping_again_does_nothing(server: Server) -> None:
    server.stop()
    assert not server.is_ready()
    assert not server.processes()
    server.stop()


def test_a_changed_port_moves_the_server(server: Server) -> None:
    moved = replace(server, port=free_port())
    moved.ensure()
    assert moved.is_ready()
    assert not server.is_ready()
    moved.stop()


def test_a_port_taken_by_a_stranger_is_told_with_the_next_step(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        server = Server(tmp_path / "postgres", stranger.getsockname()[1])
        with pytest.raises(ServerProblem, match=r"is taken by another program; .* CONCORD_POSTGRES_PORT"):
            server.ensure()


def test_another_database_on_our_port_is_not_taken_for_ours(server: Server, tmp_path: Path) -> None:
    intruder = Server(tmp_path / "postgres", server.port)
    assert not intruder.is_ready()
    with pytest.raises(ServerProblem, match="is taken by another program"):
        intruder.ensure()


def test_a_full_disk_is_told_in_one_sentence() -> None:
    server = Server(Path("/nowhere"), 1)
    said = 'FATAL:  could not write to file "pg_wal/xlogtemp.12": No space left on device'
    assert server._explain(said) == "The disk that holds /nowhere is full; free some space on it and start again"


def test_a_server_that_cannot_start_quotes_its_reason_and_its_log(tmp_path: Path) -> None:
    server = Server(tmp_path / "postgres", free_port())
    server.ensure()
    server.stop()
    with (server.data / "postgresql.conf").open("a") as settings:
        settings.write("no_such_setting = 1\n")
    with pytest.raises(ServerProblem, match=r"did not start: .*server\.log"):
        server.ensure()


def test_nobody_can_log_in_as_superuser_or_run_programs_through_the_server(server: Server) -> None:
    with pytest.raises(psycopg.OperationalError, match="pg_hba"):
        psycopg.connect(server.url("postgres").replace("postgres@", f"{embedded_postgres.SUPERUSER}@"))
    with (
        psycopg.connect(server.url("postgres")) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute("copy (select 1) to program 'cat > /dev/null'")


def test_commits_are_durable_unless_asked_otherwise(server: Server) -> None:
    with psycopg.connect(server.url("postgres")) as connection:
        durable = [connection.execute(f"show {name}").fetchone() for name in ("fsync", "synchronous_commit")]
    assert durable == [("on",), ("on",)]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has to step down to another user")
def test_as_root_the_server_runs_as_nobody_even_in_a_closed_folder(server: Server) -> None:
    assert not embedded_postgres._may_enter(
        embedded_postgres.NOBODY, server.folder
    )  # pytest closes its folders to others
    assert Path(f"/proc/{postmaster(server)}").stat().st_uid == embedded_postgres.NOBODY


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_as_root_in_an_open_folder_the_server_keeps_no_right_of_roots() -> None:
    folder = Path("/var/tmp") / f"concord-test-{os.getpid()}"
    folder.mkdir(mode=0o755)
    server = Server(folder / "postgres", free_port(), is_fast=True)
    if not embedded_postgres._may_enter(embedded_postgres.NOBODY, embedded_postgres._programs()):
        shutil.rmtree(folder)
        pytest.skip("the virtual environment lies in a closed folder")
    try:
        server.ensure()
        status = Path(f"/proc/{postmaster(server)}/status").read_text()
        assert "CapEff:\t0000000000000000" in status
    finally:
        server.stop()
        shutil.rmtree(folder)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_an_ordinary_user_can_run_the_server_and_root_takes_it_over_later() -> None:
    folder = Path("/var/tmp") / f"concord-user-{os.getpid()}"
    folder.mkdir(mode=0o755)
    os.chown(folder, DAEMON, DAEMON)
    server = Server(folder / "postgres", free_port())
    if not embedded_postgres._may_enter(DAEMON, embedded_postgres._programs()):
        shutil.rmtree(folder)
        pytest.skip("the virtual environment lies in a closed folder")
    program = (
        "import os, sys; from pathlib import Path; from resources.host.embedded_postgres import Server;"
        "os.setgroups([]); os.setgid(1); os.setuid(1); Server(Path(sys.argv[1]), int(sys.argv[2])).ensure()"
    )
    command = [sys.executable, "-c", program, str(server.folder), str(server.port)]
    try:
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert server.data.stat().st_uid == DAEMON
        server.stop()
        server.ensure()
        assert Path(f"/proc/{postmaster(server)}").stat().st_uid == DAEMON
    finally:
        server.stop()
        shutil.rmtree(folder)


def test_migrating_makes_the_database_and_its_schemas_once(database_server: Server) -> None:
    url = database_server.url("migrated_once")
    threads = [threading.Thread(target=migrate.migrate, args=(url,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert migrate.migrate(url) == migrate.newest_version()
    with psycopg.connect(url) as connection:
        schemas = {row[0] for row in connection.execute("select nspname from pg_namespace")}
        versions = connection.execute("select count(*) from concord.schema_version").fetchone()
    assert {"concord", "dagster", "lake"} <= schemas
    assert versions == (1,)


def test_a_newer_migration_is_applied_once_and_in_order(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "903_then.sql").write_text("alter table said add column at timestamptz;")
    (tmp_path / "902_first.sql").write_text("create table said (word text);")
    monkeypatch.setattr(migrate, "MIGRATIONS", tmp_path)
    assert migrate.migrate(database_url) == 903
    assert migrate.migrate(database_url) == 903


def test_a_migration_that_fails_leaves_nothing_behind(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "902_broken.sql").write_text("create table half (n int); select 1 / 0;")
    monkeypatch.setattr(migrate, "MIGRATIONS", tmp_path)
    with pytest.raises(CannotMigrate, match="division by zero"):
        migrate.migrate(database_url)
    with psycopg.connect(database_url) as connection:
        assert connection.execute("select to_regclass('concord.half')").fetchone() == (None,)


def test_a_database_of_a_newer_version_is_refused(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute("insert into concord.schema_version values (9999)")
    with pytest.raises(CannotMigrate, match=r"is of version 9999.*update Concord"):
        migrate.migrate(database_url)


def test_a_dead_database_is_told_without_its_password() -> None:
    with pytest.raises(
        CannotMigrate, match=r"127\.0\.0\.1:\d+/concord cannot be prepared.*CONCORD_DATABASE_URL"
    ) as told:
        migrate.migrate(f"postgresql://someone:secret@127.0.0.1:{free_port()}/concord")
    assert "secret" not in str(told.value)

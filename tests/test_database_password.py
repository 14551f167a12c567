"""The database's password: any will do, and it stands in nothing that a person or a log is told."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
import pytest
from click.testing import CliRunner, Result

from pipelines.commands import main
from pipelines.definitions import build
from pipelines.language.schema import IntegrationMap
from pipelines.stages import dbt_models
from resources.lake import lake
from resources.store.store import Store, engine_for
from tests.destination import HttpDestination
from tests.fixtures_postgres import Guarded
from tests.fixtures_world import World, order
from tests.test_definitions import SEEN_BY_NOBODY, run, sentence

PLAIN = "of-nobody-s-business"
HARD = ["with a space", "a 'quoted' word", 'back\\slash "and" more', "%41:/@?#&= +", "späße"]


def concord(*arguments: str) -> Result:
    """Run a command in this process, as a person would type it, with the world's environment."""
    return CliRunner().invoke(main, list(arguments))


@contextmanager
def own_world(guarded: Guarded, folder: Path, the_map: IntegrationMap, role: str, password: str) -> Iterator[World]:
    """A world whose database asks for a password."""
    known = {name: os.environ.get(name) for name in ("CONCORD_LAKE", "CONCORD_DATABASE_URL")}
    with guarded.database(role, password) as url:
        try:
            yield World(Store(url=url), folder, the_map)
        finally:
            dbt_models.close()
            os.environ.update({name: value for name, value in known.items() if value is not None})


def leave_free(guarded: Guarded, world: World, connections: int) -> None:
    """Let the role open so many connections and not one more, beginning with none."""
    dbt_models.close()
    engine_for(world.store.url).dispose()
    guarded.rule(f"alter role plain connection limit {connections}")


@pytest.mark.parametrize("password", HARD)
def test_any_password_opens_the_database_and_the_warehouse(
    guarded: Guarded, tmp_path: Path, the_map: IntegrationMap, password: str
) -> None:
    with own_world(guarded, tmp_path / "the lake's", the_map, "the keeper's", password) as world:
        world.say("tryton", "products", {"id": 1, "code": "TEE", "name": "Tee", "list_price": "10.00", "salable": True,
                                         "active": True, "write_date": "2026-11-20T12:00:00.000000Z"},
                  by="poll", remote_id="1")  # fmt: skip
        result = concord("sync", "products")
        assert result.exit_code == 0, result.output
        assert "1 applied" in result.output


def test_a_refused_warehouse_is_told_by_a_command_without_the_password(
    guarded: Guarded, tmp_path: Path, the_map: IntegrationMap
) -> None:
    with own_world(guarded, tmp_path / "lake", the_map, "plain", PLAIN) as world:
        world.say("shopify", "orders", order())
        leave_free(guarded, world, 1)
        os.environ["CONCORD_LAKE"] = str(tmp_path / "another")
        told = concord("sync", "orders")
        assert told.exit_code != 0
        assert "too many connections" in told.output
        assert PLAIN not in told.output


def test_a_refused_warehouse_is_told_by_a_worker_without_the_password(
    guarded: Guarded, tmp_path: Path, the_map: IntegrationMap
) -> None:
    with (
        own_world(guarded, tmp_path / "lake", the_map, "plain", PLAIN) as world,
        dg.DagsterInstance.ephemeral() as kept,
    ):
        erp = HttpDestination(base_url="http://127.0.0.1:9")
        defs = build(the_map, {"store": world.store, "tryton": erp, "shopify": SEEN_BY_NOBODY}, head_start=0)
        world.say("shopify", "orders", order())
        leave_free(guarded, world, 2)  # its turn and its questions take both: dbt finds none
        failed = run(defs, kept, "sync_orders")
        assert "too many connections" in sentence(failed)
        events = kept.all_logs(failed.run_id)
        assert len(events) > 3
        assert PLAIN not in "\n".join(dg.serialize_value(event) for event in events)


def test_a_lake_that_was_made_by_another_is_told_without_the_password(
    guarded: Guarded, tmp_path: Path, the_map: IntegrationMap
) -> None:
    with own_world(guarded, tmp_path / "lake", the_map, "plain", PLAIN) as world:
        with pytest.raises(lake.LakeProblem) as told, lake.reading(world.store.url, str(tmp_path / "another")):
            pass
        assert "CONCORD_LAKE" in str(told.value)
        assert PLAIN not in f"{told.value}{told.value.__cause__}"


@pytest.mark.parametrize("url", ["u:half/of-it@127.0.0.1:1/db", "u:half%of-it@127.0.0.1:1/db", "u:half of-it@h/db"])
@pytest.mark.parametrize("verb", [("status",), ("sync", "orders")])
def test_an_address_that_cannot_be_read_is_told_without_its_words(
    monkeypatch: pytest.MonkeyPatch, url: str, verb: tuple[str, ...]
) -> None:
    monkeypatch.setenv("CONCORD_DATABASE_URL", f"postgresql://{url}")
    told = concord(*verb)
    assert told.exit_code == 2, told.output
    assert "CONCORD_DATABASE_URL" in told.output
    assert "percent" in told.output
    assert "half" not in told.output
    assert "should not happen" not in told.output

"""One record's history, staged again as its syncs stage it: the state keeps its newest words alone."""

from datetime import UTC, datetime
from pathlib import Path

import duckdb

from pipelines.language.schema import IntegrationMap
from pipelines.stages.batch import PROJECT, Batch
from pipelines.stages.slices import Slice
from pipelines.stages.sync import computer_of, plan_of
from resources.store import settled
from resources.store.store import Store, query

MOST = 500  # words, the newest: a stock keeper's record has thousands, and nobody reads on


def show(
    db: duckdb.DuckDBPyConnection,
    store: Store,
    the_map: IntegrationMap,
    entity: str,
    key: str,
    project: Path = PROJECT,
) -> None:
    """Let the connection see what was said about one record, with its links, ledger and verdicts, as temporary tables under the
    names of their models."""
    own, computer = plan_of(the_map, entity, project), computer_of(the_map, entity, project)
    with store.engine.connect() as connection, computer.slice():
        last = connection.execute(query("last_settled"), {"entity": entity}).mappings().first()
        if last is None:
            return
        upto, entry = last["upto_inbox_id"], last["upto_ledger_id"]
        batch = Batch(0, upto, upto, entry, entry, is_full=False, is_woken=False, moment=datetime.now(UTC))
        part = Slice(own, batch, computer, connection, settled.tables(connection))
        part.load_record(key, MOST)
        computer.fill(*own.staging)
        for name in (*(model.name for model in own.staging), f"links_{entity}", f"ledger_{entity}"):
            told = computer.db.execute(f"from {name}").to_arrow_table()  # noqa: F841  (DuckDB finds it by its name)
            db.execute(f"create or replace temp table {name} as from told")
        ids = computer.ask(f"select inbox_id from landing_{entity}")
        verdicts = settled.read(connection, f"{entity}_verdicts", ["inbox_id", "verdict"], ["inbox_id"], ids)
    db.execute(f"create or replace temp table {entity}_verdicts (inbox_id bigint, verdict varchar)")
    if verdicts:
        db.executemany(f"insert into {entity}_verdicts values (?, ?)", verdicts)

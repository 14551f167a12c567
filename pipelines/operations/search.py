"""Which records go by a name: a look into an index for each place where it may stand."""

from collections.abc import Iterator, Sequence

from pipelines.compiler.entity import Facts
from resources.store import settled
from resources.store.store import Store

MOST = 20  # that are named to a person


def keys_of(store: Store, facts: Facts, numbers: Sequence[str], name: str) -> list[str]:
    """The keys of the settled records that go by this name: key, system's id, or one of these number fields."""
    with store.transaction() as connection:
        if not settled.columns_of(connection, facts.name):
            return []
        asked = " union ".join(_places(facts, numbers))
        parts = name.split("|")
        given = {
            "entity": facts.name, "name": name, "names": [name, f"#{name}"], "streams": list(facts.stream_names),
            "systems": sorted({stream.split("/")[0] for stream in facts.stream_names}),
            **{f"part_{place}": parts[place] if len(parts) == len(facts.key) else None for place in range(len(facts.key))},
        }  # fmt: skip
        sql = f"select key from ({asked}) as found where key is not null order by key limit {MOST}"
        return [row[0] for row in settled.driver(connection).execute(sql.encode(), given).fetchall()]


def _places(facts: Facts, numbers: Sequence[str]) -> Iterator[str]:
    key = f"concat_ws('|', {', '.join(facts.key)})"
    of_the_parts = " and ".join(f"{column} = %(part_{place})s" for place, column in enumerate(facts.key))
    yield f"select {key} as key from settled.{facts.name} where {of_the_parts}"
    if not facts.sources:
        return
    yield "select key from links where entity = %(entity)s and system = any(%(systems)s) and remote_id = %(name)s"
    yield f"select key from settled.{facts.name}_verdicts where told_key = %(name)s"
    of_the_id = "remote_id = %(name)s and system = any(%(systems)s)"
    yield f"select key from settled.{facts.name}_verdicts where {of_the_id}"
    said_key = ", ".join(f"said.{column}" for column in facts.key)
    for field in numbers:
        yield f"""
            select coalesce(links.key, concat_ws('|', {said_key}))
            from settled.said_{facts.name} as said
            left join links on links.entity = %(entity)s and links.system = said.system and links.remote_id = said.remote_id
            where said.{field} = any(%(names)s)"""

"""What a stream that tells everything at once says by not naming a record, as SQL over what a sync keeps of it.

Of each complete file is kept how many records it named, and of each record when it was last named. A record is gone when the two
newest files do not name it, since the first file that did not; unless more than the bearable share of what the file before that one
named is gone with it, for a truncated file is no mass deletion.
"""

from dataclasses import dataclass

from pipelines.compiler.entity import Facts
from pipelines.compiler.mapping import quoted

# In models, in place of the lake's own: what is absent is known by what is kept.
KEPT_ABSENCES = """
{% macro absences(entity, system, stream, largest, key) -%}
(select {{ key }}, absent_since from named_{{ entity }} where absent_since is not null)
{%- endmacro %}
"""

Told = tuple[str, str, tuple[str, ...], tuple[str, ...]]  # name, query, what makes a row unique, by what rows are found


@dataclass(frozen=True, slots=True)
class Absences:
    """The complete stream of an entity, and what is kept of it."""

    entity: str
    key: tuple[str, ...]
    news: str  # whether this batch tells of a complete file
    outcomes: str  # by last file: since when the records are absent that it named last
    tables: tuple[Told, ...]

    @property
    def given(self) -> dict[str, str]:
        """What the loader fills: the kept rows as they stand, and how many records each file named last."""
        key = ", ".join(f"{column} varchar" for column in self.key)
        return {
            f"previous_named_{self.entity}": f"{key}, as_of timestamptz, absent_since timestamptz, stands boolean",
            f"previous_files_{self.entity}": "as_of timestamptz, records bigint",
            f"last_named_{self.entity}": "as_of timestamptz, records bigint",
        }


def absences(facts: Facts) -> Absences | None:
    """What is kept of the complete stream of an entity; None where it has none."""
    if not facts.complete_streams:
        return None
    (source,) = facts.complete_streams
    entity, key = facts.name, ", ".join(facts.key)
    system, stream = source.system.system, source.stream_name
    largest = str(source.stream.largest_disappearance).removesuffix("%")
    told = f"stg_{entity} where system = {quoted(system)} and stream = {quoted(stream)} and not is_rejected"
    in_batch = "inbox_id > (select after_inbox_id from batch) and inbox_id <= (select upto_inbox_id from batch)"
    own = told
    if len(facts.key) == 1:  # what is linked is named as what it is linked to
        own = f"""(
            select stg.* replace (coalesce(links.key, stg.{key}) as {key}) from stg_{entity} as stg left join links_{entity} as links using (system, remote_id)
        ) where system = {quoted(system)} and stream = {quoted(stream)} and not is_rejected"""
    # A file that comes in parts, or again, names each record once.
    files = f"""
        select {quoted(system)} as system, {quoted(stream)} as stream, as_of, cast(sum(records) as bigint) as records
        from (
            select as_of, records from previous_files_{entity}
            union all
            select occurred_at, count(*)
            from (select {key}, occurred_at from {told} group by all having bool_and({in_batch}))
            group by occurred_at
        )
        group by as_of"""
    named = f"""
        select {key}, max(as_of) as as_of
        from (
            select {key}, occurred_at as as_of from {own}
            union all
            select {key}, as_of from previous_named_{entity} where stands
        )
        semi join touched_{entity} using ({key})
        group by {key}"""
    outcomes = f"""
        select as_of, if(second is not null and left_behind <= records * {largest} / 100.0, next, null) as absent_since
        from (
            select as_of, records, lead(as_of) over (order by as_of) as next, lead(as_of, 2) over (order by as_of) as second
            from ({files})
        )
        join (
            select as_of, sum(records) as left_behind
            from (
                select as_of, records from last_named_{entity}
                union all
                select as_of, -count(*) from previous_named_{entity} group by as_of
                union all
                select as_of, count(*) from ({named}) group by as_of
            )
            group by as_of
        ) using (as_of)"""
    news = f"(select exists (select 1 from {told} and {in_batch}))"
    rows = f"""
        select
            {key}, {quoted(system)} as system, {quoted(stream)} as stream, as_of,
            if({news}, outcomes.absent_since, previous.absent_since) as absent_since
        from ({named}) as named
        left join ({outcomes}) as outcomes using (as_of)
        left join previous_named_{entity} as previous using ({key}, as_of)"""
    tables = (
        (f"files_{entity}", f"select * from ({files}) where {news}", ("system", "stream", "as_of"), ("as_of",)),
        (f"named_{entity}", rows, tuple(facts.key), tuple(facts.key)),
    )
    return Absences(entity, tuple(facts.key), f"select {news}", outcomes, tables)

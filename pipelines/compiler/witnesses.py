"""Which of all that a record heard still decides something, as SQL: a key that is told every night has thousands of words.

Only entities qualify whose every field is told by its owner's newest word. What counts besides that word is the newest of each kind
(what it tells, what of it was broken), where the record began, what came last, what waits, and of a field that others may not change
the first and last word since the system took ours.
"""

from collections.abc import Iterator

from pipelines.compiler.absences import Told
from pipelines.compiler.entity import Facts


def can_be_pruned(facts: Facts) -> bool:
    """Whether few words of a record's history decide all of it."""
    entity = facts.entity
    fields = [field for field in facts.fields.values() if field.owner != ["us"]]
    return (
        bool(facts.sources)
        and not any(child.sources for child in facts.children)
        and all(field.resolve == "latest" and not field.follows for field in fields)
        and not (entity.of or entity.match or entity.unique or entity.limits or facts.finders or facts.climbing)
    )


def witnesses(facts: Facts) -> Iterator[Told]:
    """The words that are loaded when a record is touched again, with the record of which they are."""
    if not can_be_pruned(facts):
        return
    entity = facts.name
    ranks = {
        "newest": "kind order by order_key desc nulls last, inbox_id desc",
        "oldest": "key, system, may_originate and not is_rejected order by order_key nulls last, inbox_id",
        "last": "key, is_rejected order by inbox_id desc",
        "latest": "key, is_rejected order by received_at desc, inbox_id desc",
    }
    if facts.guarded:
        ranks |= {
            "first_since": "kind, is_since order by inbox_id",
            "last_since": "kind, is_since order by inbox_id desc",
        }
    picked = ", ".join(f"row_number() over (partition by {told}) as {name}" for name, told in ranks.items())
    chosen = " or ".join(f"{name} = 1" for name in ranks)
    query = f"""
        select inbox_id, key
        from (
            select inbox_id, key, verdict, {picked}
            from (
                select
                    stg.*, verdicts.key, verdicts.verdict,
                    (verdicts.key, stg.system, stg.stream, stg.remote_id, is_rejected, is_deletion, said, broken) as kind,
                    coalesce(stg.received_at >= delivered_at, true) as is_since
                from stg_{entity} as stg
                join {entity}_verdicts as verdicts using (inbox_id)
                left join (
                    select key, system, max(happened_at) as delivered_at
                    from ledger_{entity}
                    where kind in ('delivered', 'held')
                    group by key, system
                ) as deliveries on deliveries.key = verdicts.key and deliveries.system = stg.system
                where verdicts.key is not null
            )
        )
        where {chosen} or verdict = 'pending'"""
    yield f"witnesses_{entity}", query, ("inbox_id",), ("key",)

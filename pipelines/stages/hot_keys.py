"""How much of a key's history is loaded where every order of an account, or of a till's walk-in, is a word about its customer."""

from pipelines.compiler.plan import Plan

MOST_WORDS = 200  # of a key beside those that decide something: what a record was told thousands of times it repeats
OLDEST = 50  # of these, those with which the record began; the others are its newest
MOST_BYTES = 5_000_000  # of a key: payloads of 10 kB, five hundred of them, are staged within a second


def words_of_few(plan: Plan) -> str:
    """Of the messages in `heard` those that are loaded, as a query for Postgres.

    What decides comes first: what set a field or waits, what each remote record began with, and the newest word of each kind that it
    said. Of what a key with more words heard beside them, the middle is left out.
    """
    books, said = f'settled."{plan.entity}_verdicts"', f'settled."said_{plan.entity}"'
    return f"""
        select inbox_id
        from (
            select
                inbox_id, sum(octet_length(payload)) over (
                    partition by key order by decides desc, newest, inbox_id rows between unbounded preceding and 1 preceding
                ) as bytes_before
            from (
                select
                    inbox_id, key,
                    verdict in ('applied', 'pending') or began = 1 or inbox_id in (select inbox_id from {said}) as decides,
                    newest, oldest
                from (
                    select
                        inbox_id, coalesce(key, told_key) as key, verdict,
                        row_number() over (partition by coalesce(key, told_key) order by inbox_id desc) as newest,
                        row_number() over (partition by coalesce(key, told_key) order by inbox_id) as oldest,
                        row_number() over (partition by system, remote_id order by inbox_id) as began
                    from {books} join heard using (inbox_id)
                ) as ranked
            ) as judged
            join inbox using (inbox_id)
            where decides or oldest <= {OLDEST} or newest <= {MOST_WORDS - OLDEST}
        ) as measured
        where coalesce(bytes_before, 0) < {MOST_BYTES}"""

{# What was told about the touched records of this turn, under the key that each has now: its own, or the one it is linked to.
   Two halves, each with a plain condition on a key, so that most of a long history is not even read. #}
{% macro told_of(stg, links, key) -%}
    (
        select stg.*, links.by_whom, stg.{{ key }} as told_as
        from {{ stg }} as stg
        left join {{ links }} as links using (system, remote_id)
        where stg.{{ key }} in (select {{ key }} from temp.keys_in_turn) and links.key is null

        union all by name

        select stg.* replace (links.key as {{ key }}), links.by_whom, if(links.by_whom = 'courier', links.key, stg.{{ key }}) as told_as
        from {{ stg }} as stg
        join {{ links }} as links using (system, remote_id)
        where links.key in (select {{ key }} from temp.keys_in_turn)
    )
{%- endmacro %}

{# Records of a complete snapshot that the two newest do not mention; none while too many vanish at once,
   for a truncated file is no mass deletion. #}
{% macro absences(entity, system, stream, largest, key) -%}
(
        with messages as (
            select {{ key }}, occurred_at
            from {{ ref("stg_" ~ entity) }}
            where system = '{{ system }}' and stream = '{{ stream }}' and not is_rejected
        ),
        told as (select {{ key }}, max(occurred_at) as told_at from messages group by {{ key }}),
        newest as (
            select min(occurred_at) as the_one_before, max(occurred_at) as the_newest
            from (select distinct occurred_at from messages order by occurred_at desc limit 2)
        )
        select {{ key }}, the_newest as absent_since
        from told, newest
        where told_at < the_one_before
            and (select count(*) filter (where told_at < the_one_before) / count(*) from told, newest)
                <= {{ largest | replace("%", "") }} / 100.0
    )
{%- endmacro %}

{# Which remote record is which of ours: the newest word on each. #}
{% macro links(entity) -%}
(
        select
            system, remote_id,
            arg_max_null(if(kind = 'linked', key, null), ledger_id) as key,
            arg_max(by_whom, ledger_id) as by_whom
        from {{ ref("ledger_" ~ entity) }}
        where kind in ('linked', 'unlinked')
        group by system, remote_id
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

{# What was told about the touched records, under the key that each has now: its own, or the one it is linked to.
   Two halves, each with a plain condition on a key, so that most of a long history is not even read. #}
{% macro told_of(stg, links, touched, key) -%}
    (
        select stg.*, links.by_whom, stg.{{ key }} as told_as
        from {{ stg }} as stg
        left join {{ links }} as links using (system, remote_id)
        where stg.{{ key }} in (select {{ key }} from {{ touched }}) and links.key is null

        union all by name

        select stg.* replace (links.key as {{ key }}), links.by_whom, if(links.by_whom = 'courier', links.key, stg.{{ key }}) as told_as
        from {{ stg }} as stg
        join {{ links }} as links using (system, remote_id)
        where links.key in (select {{ key }} from {{ touched }})
    )
{%- endmacro %}

{# Records of a complete snapshot that the two newest do not mention, since the first that did not; none of those that vanish with
   too many others of the snapshot before it, for a truncated file is no mass deletion. #}
{% macro absences(entity, system, stream, largest, key) -%}
(
        with messages as (
            select distinct {{ key }}, occurred_at as told_at
            from {{ ref("stg_" ~ entity) }}
            where system = '{{ system }}' and stream = '{{ stream }}' and not is_rejected
        ),
        told as (select {{ key }}, max(told_at) as told_at from messages group by {{ key }}),
        snapshots as (
            select told_at, count(*) as records, lead(told_at) over (order by told_at) as next, lead(told_at, 2) over (order by told_at) as second
            from messages
            group by told_at
        ),
        left_behind as (select told_at, count(*) as records from told group by told_at)
        select {{ key }}, next as absent_since
        from told
        join snapshots using (told_at)
        join left_behind using (told_at)
        where second is not null and left_behind.records <= snapshots.records * {{ largest | replace("%", "") }} / 100.0
    )
{%- endmacro %}

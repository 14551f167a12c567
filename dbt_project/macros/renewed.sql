{# How tables follow their batch. #}

{% macro in_batch(column="inbox_id") -%}
    {{ column }} > {{ var('after_' ~ column) }} and {{ column }} <= {{ var('upto_' ~ column) }}
{%- endmacro %}

{# What of the batch is in turn, where a model takes it in several. #}
{% macro in_turn_of_batch(column) -%}
    {{ in_batch(column) }} and in_turn({{ column }})
{%- endmacro %}

{# The keys that this turn settles: in the lake a table of its own, since the lake's counts forget nothing that was deleted. #}
{% macro keys_in_turn() -%} temp.keys_in_turn {%- endmacro %}

{# A table in which a run's share is taken out and written anew, in one transaction: a run that was killed and repeated
   leaves the same rows. The touched keys of a turn stand in a table of their own, `keys_in_turn`: the lake's counts forget
   nothing that was deleted, and a plan for a million touched keys is a bad plan for ten. #}
{% materialization renewed, adapter="duckdb" %}
    {%- set meta = config.require("meta") -%}
    {%- set table = this.incorporate(type="table") -%}
    {%- set is_new = meta.renews == "anew" or should_full_refresh() or standing(this.identifier) is none -%}
    {%- for turn in turns_of(meta) -%}
        {%- call statement("main") -%}
            {% if meta.key %}
            create or replace temp macro in_turn(key) as {{ turn }};
            {% endif %}
            {% if meta.touched %}
            create or replace temp table keys_in_turn as
            select {{ meta.key }} from {{ ref(meta.touched) }} where in_turn({{ meta.key.split(", ")[0] }});
            {% endif %}
            {% if is_new and loop.first %}
            create or replace table {{ table }} as
            {{ sql }}
            {% elif is_new %}
            insert into {{ table }} by name select * from (
            {{ sql }}
            );
            {% else %}
            create or replace temp table new_rows as
            {{ sql }};
            delete from {{ table }} where {{ share_of_the_run(meta) }};
            insert into {{ table }} by name from temp.new_rows;
            {% endif %}
        {%- endcall -%}
    {%- endfor -%}
    {%- do adapter.commit() -%}
    {{ return({"relations": [table]}) }}
{% endmaterialization %}

{# The turns in which a table is renewed, each as a condition on its keys: a range, so that what is written together is found
   together later. `meta` says how many rows of which tables fit in memory at once, of the touched keys alone where the run
   has such, and of the messages of a batch. A thousand keys have few enough, and so has a batch of few ids. #}
{% macro turns_of(meta) -%}
    {%- set needed = namespace(turns=1, is_known=false) -%}
    {%- for table, rows in (meta.at_once or {}).items() if not needed.is_known -%}
        {%- set of_the_run = " semi join " ~ ref(meta.touched) ~ " using (" ~ meta.key ~ ")" if meta.touched and meta.touched != table -%}
        {%- if meta.renews == "batch" -%}
            {%- set of_the_run = " where " ~ in_batch(meta.column) -%}
            {%- set needed.is_known = var("upto_" ~ meta.column) | int - var("after_" ~ meta.column) | int <= rows -%}
        {%- endif -%}
        {%- if not needed.is_known -%}
            {%- set counted = run_query("select count(*) from " ~ ref(table) ~ of_the_run).columns[0][0] | int -%}
            {%- set needed.turns = [needed.turns, counted // rows + 1] | max -%}
            {%- set needed.is_known = table == meta.touched and counted <= 1000 -%}
        {%- endif -%}
    {%- endfor -%}
    {%- if needed.turns == 1 -%}
        {{ return(["true"]) }}
    {%- endif -%}
    {%- set quantiles -%}
        select distinct unnest(quantile_disc(key, list_transform(range(1, {{ needed.turns }}), lambda n: n / {{ needed.turns }}))) as bound
        from (
            from (
                select {{ meta.key.split(", ")[0] }} as key from {{ ref(meta.touched or meta.sampled) }}
                {{ "where " ~ in_batch(meta.column) if meta.renews == "batch" }}
            ) using sample 10000 rows
        )
        order by bound
    {%- endset -%}
    {%- set bounds = [] -%}
    {%- for bound in run_query(quantiles).columns[0].values() -%}
        {%- do bounds.append(dbt.string_literal(dbt.escape_single_quotes(bound | string))) -%}
    {%- endfor -%}
    {%- set turns = ["key < " ~ bounds[0]] -%}
    {%- for bound in bounds[1:] -%}
        {%- do turns.append("key >= " ~ bounds[loop.index0] ~ " and key < " ~ bound) -%}
    {%- endfor -%}
    {{ return(turns + ["key >= " ~ bounds[-1]]) }}
{%- endmacro %}

{# The rows that a run renews, as `meta` of the model says. #}
{% macro share_of_the_run(meta) -%}
    {%- if meta.renews == "batch" -%}  {# those of the batch #}
        {{ in_turn_of_batch(meta.column) if meta.at_once else in_batch(meta.column) }}
    {%- elif meta.renews == "touched" -%}  {# everything that is known of the touched keys #}
        ({{ meta.key }}) in (select ({{ meta.key }}) from temp.keys_in_turn)
    {%- elif meta.renews == "told" -%}  {# what is told again #}
        ({{ meta.column }}) in (select ({{ meta.column }}) from temp.new_rows)
    {%- elif meta.renews == "all" -%}
        true
    {%- endif -%}
{%- endmacro %}

{# Rows of a table as its last build left them; none before the first, and none when all is built anew unless they are `of_ever`.
   Reads without an edge in the graph. #}
{% macro previous(model, columns, of_ever=false) -%}
    {%- set relation = standing(model) if execute else none -%}
    {%- if relation and (of_ever or not should_full_refresh()) -%}
        (select {{ columns }} from {{ relation }})
    {%- else -%}
        (select {% for column in columns.split(", ") %}{{ "true" if column.startswith("is_") else "null" }} as {{ column }}{{ ", " if not loop.last }}{% endfor %} where false)
    {%- endif -%}
{%- endmacro %}

{# What many records outside of the run have in common, under this match: none, for all of them are looked at. #}
{% macro crowded(entity, match) -%} (select cast(null as varchar) as value where false) {%- endmacro %}

{# A table as its last build left it, or none. Whoever runs dbt may know that all of them stand: asking binds every view. #}
{% macro standing(model) -%}
    {%- if var("all_stand") -%}
        {{ return(this.incorporate(path={"identifier": model})) }}
    {%- endif -%}
    {{ return(adapter.get_relation(this.database, this.schema, model)) }}
{%- endmacro %}

{# Schemas: dbt asks before every run, and DuckDB looks through all databases. The lake has one from its birth. #}
{% macro duckdb__list_schemas(database) -%}
    {{ return(run_query("select 'main' as schema_name")) }}
{%- endmacro %}

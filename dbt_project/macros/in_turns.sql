{# A table that is built in turns, so that what compares millions of records fits in memory. `meta` names a table of which so many
   rows are compared at once, and one whose keys are a sample of all. The model asks of each key whether it is `in_turn(key)`. #}
{% materialization in_turns, adapter="duckdb" %}
    {%- set meta = config.require("meta") -%}
    {%- set table = this.incorporate(type="table") -%}
    {%- for turn in turns_of(ref(meta.counted), meta.at_once, ref(meta.sampled), meta.key) -%}
        {%- call statement("main") -%}
            create or replace temp macro in_turn(key) as {{ turn }};
            {{ ("create or replace table " ~ table ~ " as") if loop.first else ("insert into " ~ table ~ " by name") }}
            {{ sql }}
        {%- endcall -%}
    {%- endfor -%}
    {%- do adapter.commit() -%}
    {{ return({"relations": [table]}) }}
{% endmaterialization %}

{# The turns, each as a condition on its keys: a range, so that what is written together is found together later. #}
{% macro turns_of(counted, at_once, sampled, key) -%}
    {%- set turns = run_query("select count(*) from " ~ counted).columns[0][0] | int // at_once + 1 -%}
    {%- if turns == 1 -%}
        {{ return(["true"]) }}
    {%- endif -%}
    {%- set quantiles -%}
        select distinct unnest(quantile_disc({{ key }}, list_transform(range(1, {{ turns }}), lambda n: n / {{ turns }}))) as bound
        from (select {{ key }} from {{ sampled }} using sample 10000 rows)
        order by bound
    {%- endset -%}
    {%- set bounds = [] -%}
    {%- for bound in run_query(quantiles).columns[0].values() -%}
        {%- do bounds.append(dbt.string_literal(dbt.escape_single_quotes(bound | string))) -%}
    {%- endfor -%}
    {%- set conditions = ["key < " ~ bounds[0]] -%}
    {%- for bound in bounds[1:] -%}
        {%- do conditions.append("key >= " ~ bounds[loop.index0] ~ " and key < " ~ bound) -%}
    {%- endfor -%}
    {{ return(conditions + ["key >= " ~ bounds[-1]]) }}
{%- endmacro %}

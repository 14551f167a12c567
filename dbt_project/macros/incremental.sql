{# How tables follow their batch. #}

{% macro in_batch(column="inbox_id") -%}
    {{ column }} > {{ var('after_' ~ column) }} and {{ column }} <= {{ var('upto_' ~ column) }}
{%- endmacro %}

{# Rows of the batch are written again: a run that was killed and repeated leaves the same rows. #}
{% macro get_incremental_batch_sql(args) %}
    {% set columns = get_quoted_csv(args.dest_columns | map(attribute="name")) %}
    delete from {{ args.target_relation }} where {{ in_batch(args.unique_key) }};
    insert into {{ args.target_relation }} ({{ columns }}) select {{ columns }} from {{ args.temp_relation }};
{% endmacro %}

{# Rows of the touched keys are settled again from everything ever said about them. #}
{% macro get_incremental_touched_sql(args) %}
    {% set columns = get_quoted_csv(args.dest_columns | map(attribute="name")) %}
    delete from {{ args.target_relation }}
    where ({{ args.unique_key | join(", ") }}) in (select ({{ args.unique_key | join(", ") }}) from {{ ref(config.require("meta").touched) }});
    insert into {{ args.target_relation }} ({{ columns }}) select {{ columns }} from {{ args.temp_relation }};
{% endmacro %}

{# Verdicts of the batch's messages and of every message about a touched key. #}
{% macro get_incremental_verdicts_sql(args) %}
    {% set columns = get_quoted_csv(args.dest_columns | map(attribute="name")) %}
    delete from {{ args.target_relation }}
    where {{ args.unique_key }} in (select {{ args.unique_key }} from {{ args.temp_relation }});
    insert into {{ args.target_relation }} ({{ columns }}) select {{ columns }} from {{ args.temp_relation }};
{% endmacro %}

{# Rows of a table as its last build left them; none before the first. Reads without an edge in the graph. #}
{% macro previous(model, columns) -%}
    {%- set relation = adapter.get_relation(this.database, this.schema, model) if execute else none -%}
    {%- if relation and not should_full_refresh() -%}
        (select {{ columns }} from {{ relation }})
    {%- else -%}
        (select {% for column in columns.split(", ") %}{{ "true" if column.startswith("is_") else "null" }} as {{ column }}{{ ", " if not loop.last }}{% endfor %} where false)
    {%- endif -%}
{%- endmacro %}

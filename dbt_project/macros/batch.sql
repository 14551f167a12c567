{# What a sync knows of its batch, and whoever builds models whole does not: there everything ever told is one batch. #}

{# Whether a row came with the batch. #}
{% macro in_batch(column) -%} true {%- endmacro %}

{# Rows of a table as the batch before left them. #}
{% macro previous(model, columns) -%}
    (select {% for column in columns.split(", ") %}null as {{ column }}{{ ", " if not loop.last }}{% endfor %} where false)
{%- endmacro %}

{# What many records outside of the batch have in common, under this match. #}
{% macro crowded(entity, match) -%} (select cast(null as varchar) as value where false) {%- endmacro %}

{# Schemas: dbt asks before every run, and DuckDB looks through all databases. The lake has one from its birth. #}
{% macro duckdb__list_schemas(database) -%}
    {{ return(run_query("select 'main' as schema_name")) }}
{%- endmacro %}

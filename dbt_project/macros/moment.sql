{# The moment at which a run looks at records that are bound to a time: the one of its batch. #}

{% macro moment() -%}
    {% if var("moment") %}timestamptz '{{ var("moment") }}'{% else %}now(){% endif %}
{%- endmacro %}

{# One macro per `resolve` word of the map. Each reads `messages`: `said.<field>` tells whether a message spoke of it,
   `broken.<field>` why its value was not taken, and `owner` is the condition under which the sender may set it. #}

{% macro eligible(field, owner) -%}
    said.{{ field }} and broken.{{ field }} is null and not is_rejected and {{ owner }}
{%- endmacro %}

{% macro latest(field, owner) -%}
    arg_max_null({{ field }}, order_key) filter (where {{ eligible(field, owner) }})
{%- endmacro %}

{% macro first(field, owner) -%}
    arg_min({{ field }}, order_key) filter (where {{ eligible(field, owner) }} and {{ field }} is not null)
{%- endmacro %}

{% macro furthest(field, owner, ladder) -%}
    {{ ladder }}[max(list_position({{ ladder }}, {{ field }})) filter (where {{ eligible(field, owner) }})]
{%- endmacro %}

{% macro sum(field, owner) -%}
    sum({{ field }}) filter (where {{ eligible(field, owner) }})
{%- endmacro %}

{% macro collect(field, owner) -%}
    list_sort(list(distinct {{ field }}) filter (where {{ eligible(field, owner) }} and {{ field }} is not null))
{%- endmacro %}

{% macro withdrawn_wins(field, owner) -%}
    bool_and({{ field }}) filter (where {{ eligible(field, owner) }} and {{ field }} is not null)
{%- endmacro %}

{# Which message set the field: what `latest` and its siblings would have picked. #}
{% macro winner_of(field, owner, by="order_key") -%}
    arg_max(inbox_id, {{ by }}) filter (where {{ eligible(field, owner) }})
{%- endmacro %}

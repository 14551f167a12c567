{# One macro per `resolve` word of the map. An aggregate without an order key counts a message as little as a FILTER does,
   which would have a copy of all columns of its own: sixty of them take 60 ms for one message. Each reads `messages`: `said.<field>` tells whether a message spoke of it,
   `broken.<field>` why its value was not taken, and `owner` is the condition under which the sender may set it. #}

{% macro eligible(field, owner) -%}
    said.{{ field }} and broken.{{ field }} is null and not is_rejected and {{ owner }}
{%- endmacro %}

{% macro latest(field, owner) -%}
    arg_max_null({{ field }}, if({{ eligible(field, owner) }}, order_key, null))
{%- endmacro %}

{% macro first(field, owner) -%}
    arg_min({{ field }}, if({{ eligible(field, owner) }} and {{ field }} is not null, order_key, null))
{%- endmacro %}

{% macro furthest(field, owner, ladder) -%}
    {{ ladder }}[max(if({{ eligible(field, owner) }}, list_position({{ ladder }}, {{ field }}), null))]
{%- endmacro %}

{# The furthest word that stands. A status that may be taken back stands only while it is its sender's newest word; another
   sender, who never sees that far, takes nothing back by repeating what it knows. #}
{% macro furthest_standing(field, owner, ladder, may_go_back) -%}
    list_transform(
        [list(struct_pack(
            place := list_position({{ ladder }}, {{ field }}), at := order_key, inbox_id := inbox_id,
            sender := system, may_go_back := {{ field }} in {{ may_go_back }}
        )) filter (where {{ eligible(field, owner) }} and {{ field }} is not null)],
        lambda words: list_max(list_filter(
            words,
            lambda word: not word.may_go_back
                or len(list_filter(words, lambda other: other.sender = word.sender and other.at > word.at)) = 0
        ))
    )[1]
{%- endmacro %}

{% macro furthest_but(field, owner, ladder, may_go_back) -%}
    {{ ladder }}[({{ furthest_standing(field, owner, ladder, may_go_back) }}).place]
{%- endmacro %}

{# What each remote record says of it last, added up: a system that repeats itself is not counted twice. A list of one binds what
   is looked at several times. #}
{% macro sum(field, owner) -%}
    list_transform(
        [list(struct_pack(who := (system, remote_id), at := order_key, told := {{ field }})) filter (where {{ eligible(field, owner) }})],
        lambda words: list_sum(list_transform(
            list_filter(words, lambda word: len(list_filter(words, lambda other: other.who = word.who and other.at > word.at)) = 0),
            lambda word: word.told
        ))
    )[1]
{%- endmacro %}

{% macro collect(field, owner) -%}
    list_sort(list(distinct {{ field }}) filter (where {{ eligible(field, owner) }} and {{ field }} is not null))
{%- endmacro %}

{# The last word of the ladder is the withdrawal. It stands, whoever told it, until a newer message lifts it; before there is
   one, the furthest word counts, as it was first said: what is told again of it is no news. `what` is picked of the message that decides. #}
{% macro withdrawn_wins(field, what, owner, ladder, lifted_by) -%}
    if(
        stands(
            list(struct_pack(at := occurred_at, told_as := told_as)) filter (where {{ eligible(field, owner) }} and {{ field }} = {{ ladder }}[-1]),
            list(struct_pack(at := occurred_at, told_as := told_as)) filter (where {{ eligible(field, owner) }} and {{ lifted_by }}),
            any_value(joined_at)
        ),
        arg_max({{ what }}, if({{ eligible(field, owner) }} and {{ field }} = {{ ladder }}[-1], order_key, null)),
        arg_max({{ what }}, (list_position({{ ladder }}, {{ field }}), {{ lifted_by }}, if({{ lifted_by }}, order_key, -order_key)))
            filter (where {{ eligible(field, owner) }} and {{ field }} <> {{ ladder }}[-1])
    )
{%- endmacro %}

{# Which message set the field: what `latest` and its siblings would have picked. #}
{% macro winner_of(field, owner, by="order_key") -%}
    arg_max(inbox_id, if({{ eligible(field, owner) }}, {{ by }}, null))
{%- endmacro %}

{% macro winner_of_first(field, owner) -%}
    arg_min(inbox_id, if({{ eligible(field, owner) }} and {{ field }} is not null, order_key, null))
{%- endmacro %}

{% macro winner_of_furthest_but(field, owner, ladder, may_go_back) -%}
    ({{ furthest_standing(field, owner, ladder, may_go_back) }}).inbox_id
{%- endmacro %}

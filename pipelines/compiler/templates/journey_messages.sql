-- Every message about one record of << e.name >>, with its verdict and the fields that it set.
with messages as (
    select
<% if e.withdrawal %>
        if(links.by_whom = 'courier', links.key, stg.<< e.key[0] >>) as told_as,
        (select max(happened_at) from ledger_<< e.name >> where kind = 'linked' and by_whom <> 'courier' and key = $key) as joined_at,
<% endif %>
        stg.*, << "coalesce(links.by_whom, '') = 'courier'" if e.key | length == 1 else "false" >> as is_ours
    from stg_<< e.name >> as stg
    left join links_<< e.name >> as links using (system, remote_id)
    where << "coalesce(links.key, stg." ~ e.key[0] ~ ")" if e.key | length == 1 else "concat_ws('|', stg." ~ e.key | join(", stg.") ~ ")" >> = $key
),

origins as (
    select
        arg_min(system, order_key) as origin_system,
<% for column, systems in e.origins_among.items() %>
        arg_min(system, order_key) filter (where system in (<< systems | listed >>)) as << column >>,
<% endfor %>
        arg_min(remote_id, order_key) as origin_remote_id
    from messages
    where may_originate and not is_ours and not is_rejected
),

<% if e.withdrawal %>
decisive as (select << e.withdrawal.call >> as word from messages),

<% endif %>
winners as (
    select unnest([
<% for name in fields %>
        struct_pack(field := << name | quoted >>, inbox_id := << e.winner(name) >>),
<% endfor %>
<% if e.children %>
        struct_pack(field := 'lines', inbox_id := arg_max(inbox_id, order_key) filter (where tells_lines and not is_rejected and system = origin_system)),
<% endif %>
        struct_pack(field := 'deleted_at', inbox_id := arg_max(inbox_id, order_key) filter (where is_deletion and not is_rejected and << e.existence_condition >>))
    ], recursive := true)
    from messages, origins<< ", decisive" if e.withdrawal >>
)

select
    messages.inbox_id, messages.system, messages.stream, messages.arrived_by, messages.file_name, messages.row_number,
    messages.remote_id, messages.received_at, messages.occurred_at, messages.is_rejected, messages.is_deletion, messages.is_ours,
    messages.reasons, messages.warnings,<% if e.withdrawal %> concat_ws(', ', messages.<< e.withdrawal.settles | join(", messages.") >>) as says,<% endif %> verdicts.verdict, origins.origin_system,
    (select list(field) from winners where winners.inbox_id = messages.inbox_id) as fields
from messages
cross join origins
left join << e.name >>_verdicts as verdicts using (inbox_id)
order by messages.occurred_at, messages.inbox_id

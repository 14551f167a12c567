-- generated from pipelines/map by `concord write`; do not edit
-- Which remote record is which of fulfilments: the newest word on each, of couriers and of people.
{{ config(tags=["sync_fulfilments"]) }}

select
    system, remote_id,
    arg_max_null(if(kind = 'linked', key, null), ledger_id) as key,
    arg_max(by_whom, ledger_id) as by_whom
from {{ ref("ledger_fulfilments") }}
where kind in ('linked', 'unlinked')
group by system, remote_id

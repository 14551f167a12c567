-- generated from pipelines/map by `concord write`; do not edit
-- The products that this run settles: everything said, linked, decided or waited for since the last settled batch.
{{ config(materialized="renewed", meta={"renews": "all"}, tags=["sync_products"]) }}

with said as (
    select coalesce(links.key, stg.sku) as sku
    from {{ ref("stg_products") }} as stg
    left join {{ ref("links_products") }} as links using (system, remote_id)
    where {{ in_batch("inbox_id") }}
)

select distinct sku from said where sku is not null
union
select key from {{ ref("ledger_products") }} where {{ in_batch("ledger_id") }}
union
-- A relinked record leaves the key that it had before.
select stg.sku
from {{ ref("stg_products") }} as stg
join {{ ref("ledger_products") }} as relinked using (system, remote_id)
where relinked.kind in ('linked', 'unlinked') and {{ in_batch("ledger_id") }} and stg.sku is not null
{% if var("goes_on") %}
union
-- What a build that did not end was settling: why it did may not be seen any more.
select sku from {{ previous("touched_products", columns="sku") }}
{% endif %}

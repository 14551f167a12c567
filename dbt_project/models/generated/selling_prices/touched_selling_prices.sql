-- generated from pipelines/map by `concord write`; do not edit
-- Which selling_prices are settled: a sync fills this with those of its news, and what is built whole settles whatever was ever told.
{{ config(tags=["sync_selling_prices"]) }}

select place from {{ ref("selling_prices") }}

-- generated from pipelines/map by `concord write`; do not edit
-- Which sellable are settled: a sync fills this with those of its news, and what is built whole settles whatever was ever told.
{{ config(tags=["sync_sellable"]) }}

select sku from {{ ref("sellable") }}

-- generated from pipelines/map by `concord write`; do not edit
-- Which stock are settled: a sync fills this with those of its news, and what is built whole settles whatever was ever told.
{{ config(tags=["sync_stock"]) }}

select distinct sku, location from {{ ref("stg_stock") }} where sku is not null

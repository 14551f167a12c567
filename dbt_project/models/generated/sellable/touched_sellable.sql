-- generated from pipelines/map by `concord write`; do not edit
-- The sellable that this run settles: everything said, linked, decided or waited for since the last settled batch.
{{ config(materialized="renewed", meta={"renews": "all"}, tags=["sync_sellable"]) }}

select sku from {{ ref("sellable") }}

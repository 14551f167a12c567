-- generated from pipelines/map by `concord write`; do not edit
-- The selling_prices that this run settles: everything said, linked, decided or waited for since the last settled batch.
{{ config(materialized="renewed", meta={"renews": "all"}, tags=["sync_selling_prices"]) }}

select place from {{ ref("selling_prices") }}

-- generated from pipelines/map by `concord write`; do not edit
-- Whose people pay by a market's price list: one row per list and country.
{{ config(materialized="view", tags=["reconcile_prices", "sync_selling_prices"]) }}

select * from (values ('US', 'US', 'USD')) as markets (price_list, country, currency)

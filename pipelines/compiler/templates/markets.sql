-- generated from pipelines/map by `concord write`; do not edit
-- Whose people pay by a market's price list: one row per list and country.
{{ config(materialized="view", tags=["reconcile_<< e.name >>"<% for reader in e.selling.readers %>, "sync_<< reader >>"<% endfor %>]) }}

select * from (values << e.selling.markets >>) as markets (price_list, country, currency)

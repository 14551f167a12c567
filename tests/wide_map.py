"""A merchant with twenty systems, to see whether pictures of a large map can still be read."""

from typing import Any

from pipelines.language.schema import IntegrationMap

SYSTEMS = {  # name: role
    "shopify": "storefront", "wholesale": "storefront", "pop_up_shops": "storefront", "amazon_marketplace": "marketplace",
    "zalando": "marketplace", "netsuite": "erp", "order_management": "oms", "warehouse_berlin": "wms",
    "warehouse_manchester": "wms", "crossdock_and_dropship_partner": "3pl", "dhl": "carrier", "dpd": "carrier",
    "stripe": "payments", "adyen": "payments", "salesforce": "crm", "klaviyo": "marketing", "yotpo": "loyalty",
    "datev": "accounting", "akeneo": "pim", "zendesk_customer_support": "support",
}  # fmt: skip
ENTITIES: dict[str, dict[str, Any]] = {  # entity: who begins it, who is told of it, its fields
    "customers": {"from": ["storefront", "marketplace", "crm"], "to": ["erp", "crm", "marketing", "support"]},
    "orders": {"from": ["storefront", "marketplace"], "to": ["erp", "oms", "support"], "children": ["order_lines"]},
    "payments": {"from": ["payments"], "to": ["erp", "accounting"], "references": "orders"},
    "fulfilments": {"from": ["wms", "3pl", "erp"], "to": ["storefront", "marketplace"], "references": "orders"},
    "parcels": {"from": ["carrier"], "to": ["support", "storefront"], "references": "fulfilments"},
    "returns": {"from": ["storefront", "wms"], "to": ["erp", "accounting"], "references": "orders"},
    "loyalty_points": {"from": ["loyalty"], "to": ["crm"], "references": "orders"},
    "products": {"from": ["pim"], "to": ["storefront", "marketplace", "erp", "wms"]},
    "stock": {"from": ["wms", "3pl"], "to": ["storefront", "marketplace"]},
    "consents": {"from": ["storefront", "crm"], "to": ["marketing"]},
}
FIELDS = [
    "status",
    "currency",
    "total_including_shipping_and_duties",
    "placed_at",
    "note <&> 'quoted' \"twice\"",
    "number",
]


def wide_map() -> IntegrationMap:
    """Twenty systems and ten entities, with a flow for each role that tells and each that takes."""
    return IntegrationMap.model_validate(
        {
            "systems": {name: _system(name, role) for name, role in SYSTEMS.items()},
            "entities": {
                member: _entity(member, told, parent=name if member != name else None)
                for name, told in ENTITIES.items()
                for member in [name, *told.get("children", [])]
            },
        }
    )


def _system(name: str, role: str) -> dict[str, Any]:
    streams: dict[str, Any] = {}
    takes: dict[str, list[str]] = {}
    stores: dict[str, dict[str, str]] = {}
    for entity, told in ENTITIES.items():
        if role in told["from"]:
            says = {
                member: {"key": f"'{name.upper()}-' || (payload ->> '$.{member}_number')", "originates": "true",
                         "fields": dict.fromkeys(_fields(told), "payload ->> '$.x'")}
                for member in [entity, *told.get("children", [])]
            }  # fmt: skip
            arrives: dict[str, Any] = (
                {"poll": "5m", "snapshot": "*/10 * * * *"}
                if role in ("erp", "wms")
                else {"webhook": [f"{entity}/changed"]}
            )
            streams[entity] = {
                "messages": "snapshot",
                "arrives": arrives,
                "remote_id": "payload ->> '$.id'",
                "says": says,
            }
        if role in told["to"]:
            takes[entity] = _fields(told)
            stores[entity] = dict.fromkeys(takes[entity], "value")
    return {
        "system": name, "role": role, "steward": f"team:{role}-and-those-who-answer-for-{name}",
        "connector": "resources.connectors.files.connector.Drop", "streams": streams, "takes": takes, "stores": stores,
        "locations": [name.upper()] if role == "wms" else [],
    }  # fmt: skip


def _entity(name: str, told: dict[str, Any], parent: str | None) -> dict[str, Any]:
    flows: dict[str, Any] = {}
    if parent is None:
        for role in told["from"]:
            flows[f"{name}_from_{role}"] = {
                "from": role, "timing": "realtime", "max_lag": "1m", "tier": 1, "steward": f"team:{role}"}  # fmt: skip
        for place, role in enumerate(told["to"]):
            flows[f"{name}_to_every_{role}_system"] = {
                "to": role, "fields": _fields(told), "timing": ["near_realtime", "batch"][place % 2], "max_lag": "15m",
                "mode": ["live", "shadow"][place % 2], "tier": 2, "steward": f"team:{role}",
                "on_failure": {"retry_for": "1d"}, "when": "status in ('paid', 'refunded') and total > 500",
            }  # fmt: skip
    fields: dict[str, Any] = {field: {"type": "text", "owner": told["from"]} for field in _fields(told)}
    if "references" in told:
        fields[_fields(told)[-1]]["references"] = told["references"]
    proof = {"between": [told["from"][0], told["to"][0]], "fields": {"status": "exact"}, "every": "*/10 * * * *",
             "steward": "team:finance"}  # fmt: skip
    return {
        "entity": name, "meaning": f"One row per record of {name}, <whichever> system told of it & however it did.",
        "key": f"{name}_number", "fields": fields, "flows": flows, "parent": parent,
        "reconcile": {} if parent else {f"{name}_here_and_there": proof},
    }  # fmt: skip


def _fields(told: dict[str, Any]) -> list[str]:
    return [*FIELDS, *([f"{told['references']}_number"] if "references" in told else [])]

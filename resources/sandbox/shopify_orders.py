"""What an order of the sandbox shop looks like: as REST posts it, as GraphQL answers it, and how it changes."""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Any
from zoneinfo import ZoneInfo

SHOP_ZONE = ZoneInfo("Europe/Berlin")
FIRST_ORDER_ID = 5_814_000_000_000  # ids of thirteen digits, as the real ones: too long for 32 bits
FIRST_NUMBER = 1000
LOCATION_ID = 71_400_000_001
LOCATION_NAME = "Main warehouse"
ZERO = Decimal(0)
CONSENTS = {"email": "email_marketing_consent", "sms": "sms_marketing_consent"}  # channel: where REST tells it
PAGE_OF = {"email": ("defaultEmailAddress", "emailAddress"), "sms": ("defaultPhoneNumber", "phoneNumber")}


def minor_units(currency: str) -> int:
    """How many decimals an amount has; the traffic deals in no others."""
    return 0 if currency == "JPY" else 2


def rounded(amount: Decimal, currency: str) -> Decimal:
    return amount.quantize(Decimal(1).scaleb(-minor_units(currency)), ROUND_HALF_UP)


def rest_time(moment: datetime) -> str:
    """REST tells times in the shop's own zone, to the second."""
    return moment.astimezone(SHOP_ZONE).isoformat(timespec="seconds")


def graphql_time(moment: str | None) -> str | None:
    """GraphQL tells the same times in UTC."""
    return None if moment is None else datetime.fromisoformat(moment).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def rest_order(content: Mapping[str, Any], *, n: int, placed_at: datetime) -> dict[str, Any]:
    """The n-th order of the shop as webhooks carry it. The content is one of `resources.sandbox.traffic.order_content`.

    Pure: ids and numbers follow from n.
    """
    order_id = FIRST_ORDER_ID + n
    order: dict[str, Any] = {
        "id": order_id,
        "admin_graphql_api_id": f"gid://shopify/Order/{order_id}",
        "app_id": 580111,
        "browser_ip": "203.0.113.7",
        "buyer_accepts_marketing": bool((content.get("customer") or {}).get("accepts_marketing")),
        "cancel_reason": None,
        "cancelled_at": None,
        "cart_token": None,
        "checkout_id": FIRST_ORDER_ID * 6 + n,
        "client_details": None,
        "closed_at": None,
        "confirmation_number": f"C{n:08X}",
        "confirmed": True,
        "contact_email": content.get("email"),
        "created_at": rest_time(placed_at),
        "currency": content["currency"],
        "customer_locale": content.get("locale"),
        "discount_applications": [],
        "discount_codes": [],
        "duties_included": False,
        "email": content.get("email") or "",
        "estimated_taxes": False,
        "financial_status": content.get("financial_status", "paid"),
        "fulfillment_status": None,
        "fulfillments": [],
        "landing_site": "/",
        "location_id": None,
        "name": f"#{FIRST_NUMBER + n}",
        "note": content.get("note"),
        "note_attributes": list(content.get("note_attributes", [])),
        "number": n,
        "order_number": FIRST_NUMBER + n,
        "payment_gateway_names": ["manual" if content.get("financial_status") == "pending" else "shopify_payments"],
        "payment_terms": None,
        "phone": content.get("phone"),
        "po_number": None,
        "presentment_currency": content.get("presentment_currency", content["currency"]),
        "processed_at": rest_time(placed_at),
        "refunds": [],
        "source_name": "web",
        "tags": content.get("tags", ""),
        "tax_exempt": False,
        "taxes_included": content["taxes_included"],
        "test": False,
        "token": f"{order_id:032x}",
        "total_weight": 0,
        "updated_at": rest_time(placed_at),
        "user_id": None,
        "billing_address": content.get("billing_address"),
        "shipping_address": content.get("shipping_address"),
        "customer": _customer(content, placed_at),
    }
    rate = Decimal(content.get("presentment_rate", "1"))
    order["line_items"] = [_line(order, line, index, rate) for index, line in enumerate(content["lines"])]
    _spread_order_discount(order, content.get("order_discount"), rate)
    for line, wished in zip(order["line_items"], content["lines"], strict=True):
        base = Decimal(line["price"]) * line["quantity"] - allocated(line)
        line["tax_lines"] = _taxes(order, base, wished.get("taxes", []), rate)
    order["shipping_lines"] = [_shipping(order, content["shipping"], rate)] if content.get("shipping") else []
    _total(order, rate)
    recount(order)
    return order


def _customer(content: Mapping[str, Any], at: datetime) -> dict[str, Any] | None:
    customer = content.get("customer")
    if customer is None:
        return None
    return {
        "id": customer["id"],
        "created_at": rest_time(at),
        "updated_at": rest_time(at),
        "first_name": customer["first_name"],
        "last_name": customer["last_name"],
        "state": "enabled",
        "note": None,
        "verified_email": True,
        "multipass_identifier": None,
        "tax_exempt": False,
        "email": customer["email"],
        "phone": customer.get("phone"),
        "currency": content["currency"],
        "tax_exemptions": [],
        "admin_graphql_api_id": f"gid://shopify/Customer/{customer['id']}",
        "default_address": content.get("shipping_address"),
    }


def in_both_currencies(order: Mapping[str, Any], amount: Decimal, rate: Decimal) -> dict[str, Any]:
    """An amount in the shop's and in the customer's currency."""
    shop, shown = order["currency"], order["presentment_currency"]
    return {
        "shop_money": {"amount": str(rounded(amount, shop)), "currency_code": shop},
        "presentment_money": {"amount": str(rounded(amount * rate, shown)), "currency_code": shown},
    }


def _line(order: dict[str, Any], wished: Mapping[str, Any], index: int, rate: Decimal) -> dict[str, Any]:
    line_id = (FIRST_ORDER_ID + order["number"]) * 3 + index * 100_000_000  # unique while an order has few lines
    price, quantity = Decimal(wished["price"]), wished["quantity"]
    discount = rounded(Decimal(wished.get("discount", "0")), order["currency"])
    allocations = []
    if discount:
        order["discount_applications"].append(
            {
                "target_type": "line_item",
                "type": "automatic",
                "value": str(discount),
                "value_type": "fixed_amount",
                "allocation_method": "each",
                "target_selection": "explicit",
                "title": wished.get("discount_title", "Offer"),
            }
        )
        allocations.append(_allocation(order, discount, rate, len(order["discount_applications"]) - 1))
    return {
        "id": line_id,
        "admin_graphql_api_id": f"gid://shopify/LineItem/{line_id}",
        "attributed_staffs": [],
        "current_quantity": quantity,
        "fulfillable_quantity": quantity,
        "fulfillment_service": "manual",
        "fulfillment_status": None,
        "gift_card": False,
        "grams": 0,
        "name": wished["title"],
        "price": str(rounded(price, order["currency"])),
        "price_set": in_both_currencies(order, price, rate),
        "product_exists": wished.get("variant_id") is not None,
        "product_id": wished.get("product_id"),
        "properties": list(wished.get("properties", [])),
        "quantity": quantity,
        "requires_shipping": True,
        "sku": wished.get("sku"),
        "taxable": bool(wished.get("taxes")),
        "title": wished["title"],
        "total_discount": str(rounded(ZERO, order["currency"])),
        "total_discount_set": in_both_currencies(order, ZERO, rate),
        "variant_id": wished.get("variant_id"),
        "variant_inventory_management": "shopify" if wished.get("variant_id") else None,
        "variant_title": wished.get("variant_title"),
        "vendor": "Concord Sandbox",
        "tax_lines": [],
        "duties": [],
        "discount_allocations": allocations,
    }


def _allocation(order: Mapping[str, Any], amount: Decimal, rate: Decimal, index: int) -> dict[str, Any]:
    bag = in_both_currencies(order, amount, rate)
    return {"amount": bag["shop_money"]["amount"], "amount_set": bag, "discount_application_index": index}


def allocated(line: Mapping[str, Any]) -> Decimal:
    return sum((Decimal(part["amount"]) for part in line["discount_allocations"]), ZERO)


def _spread_order_discount(order: dict[str, Any], discount: Mapping[str, Any] | None, rate: Decimal) -> None:
    """Spread a code's discount over the lines by their value; the last line takes what rounding left."""
    if discount is None:
        return
    values = [Decimal(line["price"]) * line["quantity"] - allocated(line) for line in order["line_items"]]
    subtotal, worth = sum(values, ZERO), Decimal(discount["value"])
    wanted = subtotal * worth / 100 if discount["kind"] == "percentage" else min(worth, subtotal)
    left = whole = rounded(wanted, order["currency"])
    order["discount_codes"].append({"code": discount["code"], "amount": str(whole), "type": discount["kind"]})
    order["discount_applications"].append(
        {
            "target_type": "line_item",
            "type": "discount_code",
            "value": discount["value"],
            "value_type": discount["kind"],
            "allocation_method": "across",
            "target_selection": "all",
            "code": discount["code"],
        }
    )
    index = len(order["discount_applications"]) - 1
    for position, (line, value) in enumerate(zip(order["line_items"], values, strict=True)):
        is_last = position == len(values) - 1
        part = left if is_last else rounded(whole * value / subtotal, order["currency"])
        left -= part
        line["discount_allocations"].append(_allocation(order, part, rate, index))


def _taxes(
    order: Mapping[str, Any], base: Decimal, taxes: Sequence[Mapping[str, Any]], rate: Decimal
) -> list[dict[str, Any]]:
    """One tax line for each tax, on top of the base or contained in it."""
    together = sum((Decimal(tax["rate"]) for tax in taxes), ZERO)
    net = base / (1 + together) if order["taxes_included"] else base
    lines = []
    for tax in taxes:
        bag = in_both_currencies(order, net * Decimal(tax["rate"]), rate)
        lines.append(
            {
                "channel_liable": False,
                "price": bag["shop_money"]["amount"],
                "price_set": bag,
                "rate": float(tax["rate"]),
                "title": tax["title"],
            }
        )
    return lines


def _shipping(order: Mapping[str, Any], wished: Mapping[str, Any], rate: Decimal) -> dict[str, Any]:
    bag = in_both_currencies(order, Decimal(wished["price"]), rate)
    return {
        "id": FIRST_ORDER_ID * 2 + order["number"],
        "carrier_identifier": None,
        "code": wished["title"],
        "discounted_price": bag["shop_money"]["amount"],
        "discounted_price_set": bag,
        "is_removed": False,
        "phone": None,
        "price": bag["shop_money"]["amount"],
        "price_set": bag,
        "requested_fulfillment_service_id": None,
        "source": "shopify",
        "title": wished["title"],
        "tax_lines": _taxes(order, Decimal(wished["price"]), wished.get("taxes", []), rate),
        "discount_allocations": [],
    }


def tax_of(parts: Sequence[Mapping[str, Any]]) -> Decimal:
    return sum((Decimal(tax["price"]) for part in parts for tax in part["tax_lines"]), ZERO)


def _write(order: dict[str, Any], name: str, amount: Decimal, rate: Decimal, *, plain: bool = True) -> None:
    bag = in_both_currencies(order, amount, rate)
    order[f"{name}_set"] = bag
    if plain:
        order[name] = bag["shop_money"]["amount"]


def _total(order: dict[str, Any], rate: Decimal) -> None:
    """The amounts as ordered; they stay when the order is edited."""
    lines, shipping = order["line_items"], order["shipping_lines"]
    before = sum((Decimal(line["price"]) * line["quantity"] for line in lines), ZERO)
    discounts = sum((allocated(line) for line in lines), ZERO)
    carriage = sum((Decimal(line["price"]) for line in shipping), ZERO)
    tax = tax_of(lines) + tax_of(shipping)
    _write(order, "total_line_items_price", before, rate)
    _write(order, "total_discounts", discounts, rate)
    _write(order, "subtotal_price", before - discounts, rate)
    _write(order, "total_tax", tax, rate)
    _write(order, "total_shipping_price", carriage, rate, plain=False)
    _write(order, "total_price", before - discounts + carriage + (ZERO if order["taxes_included"] else tax), rate)
    order["total_tip_received"] = str(rounded(ZERO, order["currency"]))
    order["tax_lines"] = _added_up(lines + shipping)


def _added_up(parts: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The order's tax lines: those of its parts, added up by title and rate."""
    found: dict[tuple[str, float], dict[str, Any]] = {}
    for tax in (tax for part in parts for tax in part["tax_lines"]):
        known = found.setdefault((tax["title"], tax["rate"]), deepcopy(tax) | {"price": "0"})
        known["price"] = str(Decimal(known["price"]) + Decimal(tax["price"]))
        known["price_set"] = deepcopy(known["price_set"])
        for money in ("shop_money", "presentment_money"):
            if known["price"] != tax["price"]:
                so_far = Decimal(known["price_set"][money]["amount"]) + Decimal(tax["price_set"][money]["amount"])
                known["price_set"][money]["amount"] = str(so_far)
    return list(found.values())


def recount(order: dict[str, Any]) -> None:
    """Bring the current amounts and statuses in line with the lines' current quantities."""
    bag = order["total_price_set"]
    shown, own = Decimal(bag["presentment_money"]["amount"]), Decimal(bag["shop_money"]["amount"])
    rate = shown / own if own else Decimal(1)
    subtotal = discounts = tax = ZERO
    for line in order["line_items"]:
        share = Decimal(line["current_quantity"]) / line["quantity"] if line["quantity"] else ZERO
        off = rounded(allocated(line) * share, order["currency"])
        subtotal += Decimal(line["price"]) * line["current_quantity"] - off
        discounts += off
        tax += rounded(tax_of([line]) * share, order["currency"])
    is_cancelled = order["cancelled_at"] is not None
    carriage = ZERO if is_cancelled else sum((Decimal(line["price"]) for line in order["shipping_lines"]), ZERO)
    tax += ZERO if is_cancelled else tax_of(order["shipping_lines"])
    total = subtotal + carriage + (ZERO if order["taxes_included"] else tax)
    _write(order, "current_subtotal_price", subtotal, rate)
    _write(order, "current_total_discounts", discounts, rate)
    _write(order, "current_total_tax", tax, rate)
    _write(order, "current_shipping_price", carriage, rate, plain=False)
    _write(order, "current_total_price", total, rate)
    paid = order["financial_status"] in ("paid", "partially_refunded", "refunded")
    order["total_outstanding"] = str(rounded(ZERO if paid or is_cancelled else total, order["currency"]))
    shipped = {line["id"]: shipped_quantity(order, line["id"]) for line in order["line_items"]}
    for line in order["line_items"]:
        line["fulfillable_quantity"] = 0 if is_cancelled else max(line["current_quantity"] - shipped[line["id"]], 0)
        if shipped[line["id"]]:
            line["fulfillment_status"] = "fulfilled" if line["fulfillable_quantity"] == 0 else "partial"
    if any(shipped.values()):
        is_open = any(line["fulfillable_quantity"] for line in order["line_items"])
        order["fulfillment_status"] = "partial" if is_open else "fulfilled"


def shipped_quantity(order: Mapping[str, Any], line_id: int) -> int:
    """How many of a line have left the house."""
    parcels = [parcel for parcel in order["fulfillments"] if parcel["status"] == "success"]
    return sum(line["quantity"] for parcel in parcels for line in parcel["line_items"] if line["id"] == line_id)


def graphql_order(order: Mapping[str, Any]) -> dict[str, Any]:
    """The same order as the Admin API answers it: plain values; connections are lists until the resolvers page them."""
    gid = order["admin_graphql_api_id"]
    return {
        "__typename": "Order",
        "id": gid,
        "legacyResourceId": str(order["id"]),
        "name": order["name"],
        "number": order["order_number"],
        "createdAt": graphql_time(order["created_at"]),
        "updatedAt": graphql_time(order["updated_at"]),
        "processedAt": graphql_time(order["processed_at"]),
        "cancelledAt": graphql_time(order["cancelled_at"]),
        "cancelReason": (order["cancel_reason"] or "").upper() or None,
        "closedAt": graphql_time(order["closed_at"]),
        "closed": order["closed_at"] is not None,
        "confirmed": order["confirmed"],
        "edited": any(line["current_quantity"] != line["quantity"] for line in order["line_items"]),
        "email": order["email"] or None,
        "phone": order["phone"],
        "note": order["note"],
        "tags": [tag.strip() for tag in (order["tags"] or "").split(",") if tag.strip()],
        "test": order["test"],
        "currencyCode": order["currency"],
        "presentmentCurrencyCode": order["presentment_currency"],
        "customerLocale": order["customer_locale"],
        "sourceName": order["source_name"],
        "taxesIncluded": order["taxes_included"],
        "customAttributes": [{"key": a["name"], "value": a["value"]} for a in order["note_attributes"]],
        "discountCodes": [code["code"] for code in order["discount_codes"]],
        "displayFinancialStatus": (order["financial_status"] or "pending").upper(),
        "displayFulfillmentStatus": {None: "UNFULFILLED", "partial": "PARTIALLY_FULFILLED"}.get(
            order["fulfillment_status"], "FULFILLED"
        ),
        "currentSubtotalPriceSet": money_bag(order["current_subtotal_price_set"]),
        "currentTotalDiscountsSet": money_bag(order["current_total_discounts_set"]),
        "currentTotalPriceSet": money_bag(order["current_total_price_set"]),
        "currentTotalTaxSet": money_bag(order["current_total_tax_set"]),
        "currentShippingPriceSet": money_bag(order["current_shipping_price_set"]),
        "subtotalPriceSet": money_bag(order["subtotal_price_set"]),
        "totalDiscountsSet": money_bag(order["total_discounts_set"]),
        "totalPriceSet": money_bag(order["total_price_set"]),
        "totalShippingPriceSet": money_bag(order["total_shipping_price_set"]),
        "totalTaxSet": money_bag(order["total_tax_set"]),
        "taxLines": [_tax_line(tax) for tax in order["tax_lines"]],
        "currentTotalDutiesSet": None,
        "transactions": [],  # its money is the payment service's, and it sells no gift cards
        "totalTipReceivedSet": money_bag(in_both_currencies(order, Decimal(order["total_tip_received"]), Decimal(1))),
        "shippingLine": next(
            ({"taxLines": [_tax_line(tax) for tax in line["tax_lines"]]} for line in order["shipping_lines"]), None
        ),
        "shippingAddress": graphql_address(order["shipping_address"], f"{order['id']}1"),
        "billingAddress": graphql_address(order["billing_address"], f"{order['id']}2"),
        "customer": order["customer"] and graphql_customer(order["customer"]),
        "lineItems": [_graphql_line(order, line) for line in order["line_items"]],
        "fulfillments": [_graphql_fulfilment(parcel) for parcel in order["fulfillments"]],
        "refunds": [_graphql_refund(refund) for refund in order["refunds"]],
    }


def _amount(text: str) -> str:
    """GraphQL tells amounts without needless zeros, yet with one decimal at least: 10.00 is 10.0."""
    whole, _, decimals = text.partition(".")
    return f"{whole}.{decimals.rstrip('0') or '0'}"


def money_bag(bag: Mapping[str, Any]) -> dict[str, Any]:
    return {
        f"{whose}Money": {
            "amount": _amount(bag[f"{whose}_money"]["amount"]),
            "currencyCode": bag[f"{whose}_money"]["currency_code"],
        }
        for whose in ("shop", "presentment")
    }


def _tax_line(tax: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "title": tax["title"],
        "rate": tax["rate"],
        "ratePercentage": tax["rate"] * 100,
        "channelLiable": tax["channel_liable"],
        "priceSet": money_bag(tax["price_set"]),
    }


def graphql_address(address: Mapping[str, Any] | None, address_id: str) -> dict[str, Any] | None:
    if address is None:
        return None
    return {
        "id": f"gid://shopify/MailingAddress/{address_id}?model_name=Address",
        "firstName": address.get("first_name"),
        "lastName": address.get("last_name"),
        "name": address.get("name"),
        "company": address.get("company"),
        "address1": address.get("address1"),
        "address2": address.get("address2"),
        "city": address.get("city"),
        "zip": address.get("zip"),
        "province": address.get("province"),
        "provinceCode": address.get("province_code"),
        "country": address.get("country"),
        "countryCodeV2": address.get("country_code"),
        "phone": address.get("phone"),
    }


def _graphql_line(order: Mapping[str, Any], line: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": line["admin_graphql_api_id"],
        "name": line["name"],
        "title": line["title"],
        "variantTitle": line["variant_title"],
        "sku": line["sku"],
        "vendor": line["vendor"],
        "quantity": line["quantity"],
        "currentQuantity": line["current_quantity"],
        "unfulfilledQuantity": line["fulfillable_quantity"],
        "requiresShipping": line["requires_shipping"],
        "taxable": line["taxable"],
        "isGiftCard": line["gift_card"],
        "customAttributes": [{"key": p["name"], "value": p["value"]} for p in line["properties"]],
        "originalUnitPriceSet": money_bag(line["price_set"]),
        "discountAllocations": [
            {"allocatedAmountSet": money_bag(part["amount_set"])} for part in line["discount_allocations"]
        ],
        "taxLines": [_tax_line(tax) for tax in line["tax_lines"]],
    }


def _graphql_refund(refund: Mapping[str, Any]) -> dict[str, Any]:
    def money(amount: Decimal | str, currency: str) -> dict[str, Any]:
        told = {"amount": _amount(str(amount)), "currencyCode": currency}
        return {"shopMoney": told, "presentmentMoney": told}

    paid = refund["transactions"]
    total = sum((Decimal(one["amount"]) for one in paid), ZERO)
    return {
        "__typename": "Refund",
        "id": refund["admin_graphql_api_id"],
        "legacyResourceId": str(refund["id"]),
        "createdAt": graphql_time(refund["created_at"]),
        "processedAt": graphql_time(refund["processed_at"]),
        "updatedAt": graphql_time(refund["created_at"]),
        "note": refund["note"],
        "return": refund.get("return") and {"id": refund["return"]["admin_graphql_api_id"]},
        "totalRefundedSet": money(total, paid[0]["currency"] if paid else "EUR"),
        "transactions": [
            {
                "id": f"gid://shopify/OrderTransaction/{one['id']}",
                "kind": "REFUND",
                "status": one["status"].upper(),
                "gateway": one["gateway"],
                "authorizationCode": one["authorization"],
                "amountSet": money(one["amount"], one["currency"]),
                "createdAt": graphql_time(one["created_at"]),
            }
            for one in paid
        ],
    }


def _graphql_fulfilment(parcel: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "__typename": "Fulfillment",
        "id": parcel["admin_graphql_api_id"],
        "legacyResourceId": str(parcel["id"]),
        "name": parcel["name"],
        "status": parcel["status"].upper(),
        "displayStatus": (parcel["shipment_status"] or "fulfilled").upper()
        if parcel["status"] == "success"
        else "CANCELED",
        "createdAt": graphql_time(parcel["created_at"]),
        "updatedAt": graphql_time(parcel["updated_at"]),
        "totalQuantity": sum(line["quantity"] for line in parcel["line_items"]),
        "requiresShipping": True,
        "trackingInfo": [
            {"number": number, "company": parcel["tracking_company"], "url": parcel["tracking_url"]}
            for number in parcel["tracking_numbers"]
        ],
        "fulfillmentLineItems": [
            {
                "id": f"gid://shopify/FulfillmentLineItem/{parcel['id']}{position}",
                "quantity": line["quantity"],
                "lineItem": {"id": line["admin_graphql_api_id"], "sku": line["sku"], "title": line["title"]},
            }
            for position, line in enumerate(parcel["line_items"])
        ],
    }


def graphql_customer(customer: Mapping[str, Any]) -> dict[str, Any]:
    """A customer as GraphQL answers them."""
    told: dict[str, Any] = {
        "id": customer["admin_graphql_api_id"],
        "legacyResourceId": str(customer["id"]),
        "createdAt": customer["created_at"],
        "updatedAt": customer["updated_at"],
        "firstName": customer["first_name"],
        "lastName": customer["last_name"],
        "displayName": f"{customer['first_name']} {customer['last_name']}".strip(),
        "email": customer["email"],
        "tags": customer.get("tags", []),
        "defaultAddress": graphql_address(customer.get("default_address"), f"{customer['id']}3"),
    }
    for channel, value in (("email", customer["email"]), ("sms", customer["phone"])):
        place, name = PAGE_OF[channel]
        consent = customer.get(CONSENTS[channel]) or {}
        told[place] = value and {
            name: value,
            "marketingState": consent.get("state", "not_subscribed").upper(),
            "marketingOptInLevel": (consent.get("opt_in_level") or "unknown").upper(),
            "marketingUpdatedAt": consent.get("consent_updated_at"),
        }
    return told

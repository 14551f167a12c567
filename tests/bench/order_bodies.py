"""Order bodies of 3 to 5 KB, shaped as a storefront posts them, every one unlike the others."""

import json
import random


def order_body(number: int, dice: random.Random) -> bytes:
    """One order with one to four lines."""
    lines = [
        {
            "id": number * 10 + place,
            "sku": f"SKU-{dice.randrange(10_000):05}",
            "title": dice.choice(["Wool blanket", "Enamel mug", "Linen apron", "Cast-iron pan"]),
            "variant_id": dice.randrange(10**13),
            "product_id": dice.randrange(10**13),
            "quantity": dice.randint(1, 5),
            "current_quantity": dice.randint(1, 5),
            "price": f"{dice.randrange(100, 20_000) / 100:.2f}",
            "grams": dice.randrange(5_000),
            "taxable": True,
            "requires_shipping": True,
            "fulfillment_service": "manual",
            "fulfillment_status": None,
            "price_set": {"shop_money": {"amount": "19.90", "currency_code": "EUR"}},
            "tax_lines": [{"title": "VAT", "rate": 0.19, "price": f"{dice.randrange(100, 900) / 100:.2f}"}],
            "discount_allocations": [{"amount": "0.50", "discount_application_index": 0}],
        }
        for place in range(dice.randint(1, 4))
    ]
    address = {
        "first_name": dice.choice(["Ada", "Grace", "Alan", "Edsger"]),
        "last_name": dice.choice(["Lovelace", "Hopper", "Turing", "Dijkstra"]),
        "address1": f"{dice.randrange(1, 200)} Harbour Street",
        "city": dice.choice(["Hamburg", "Rotterdam", "Gdańsk", "Göteborg"]),
        "zip": f"{dice.randrange(10_000, 99_999)}",
        "country_code": dice.choice(["DE", "NL", "PL", "SE"]),
        "phone": f"+49 40 {dice.randrange(10**7)}",
        "latitude": dice.uniform(50, 60),
        "longitude": dice.uniform(4, 20),
    }
    order = {
        "id": number,
        "name": f"#{number}",
        "created_at": "2026-05-04T10:00:00+02:00",
        "updated_at": f"2026-05-04T10:{number // 60 % 60:02}:{number % 60:02}+02:00",
        "currency": "EUR",
        "financial_status": "paid",
        "fulfillment_status": None,
        "email": f"buyer{number}@example.com",
        "total_price": f"{dice.randrange(1_000, 90_000) / 100:.2f}",
        "total_tax": f"{dice.randrange(100, 9_000) / 100:.2f}",
        "client_details": {"browser_ip": "192.0.2.7", "user_agent": "Mozilla/5.0 (X11; Linux x86_64) " * 3},
        "checkout_token": f"{dice.getrandbits(256):064x}",
        "landing_site": f"/collections/new?utm_source=mail&utm_campaign={dice.getrandbits(128):032x}",
        "note_attributes": [{"name": f"field {n}", "value": f"{dice.getrandbits(128):032x}"} for n in range(8)],
        "billing_address": address,
        "shipping_address": address,
        "line_items": lines,
    }
    return json.dumps(order).encode()

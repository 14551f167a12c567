"""Lifelike orders: what customers of the sandbox shop buy, and the loop that buys it.

The content of an order is a pure function of seed and number, so a test needs no server for it.
"""

import argparse
import os
import random
import time
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

import requests

from resources.connectors.http import TIMEOUT, session
from resources.host import settings
from resources.sandbox.catalogue import CATALOGUE, DOLLARS
from resources.sandbox.shopify_orders import rounded

REGULARS = 400  # customers who come again
RATES = {"EUR": "1", "USD": "1.16", "GBP": "0.86", "CAD": "1.61", "SEK": "11.05", "JPY": "171"}  # for one euro
CODES = (("WELCOME10", "percentage", "10"), ("FIVER", "fixed_amount", "5"), ("SPRING25", "percentage", "25"))
NOTES = (
    "Please leave it with the neighbour.",
    "Bitte als Geschenk verpacken 🎁",
    "Ring twice;\nthe bell is quiet.",
    'Livrer après 18 h, code 12B "porte bleue"',
    "不在の場合は宅配ボックスへお願いします。",
)
LONGEST_DELAY = 5.0  # seconds that customers make up for when the shop was slow
RETIRED = ("TEE-RED-XXL-2019", "MUG-GRN", "GIFT-CARD-25")  # SKUs that the ERP does not know


class Country(NamedTuple):
    code: str
    name: str
    locale: str
    currency: str  # what its people are shown
    taxes: tuple[tuple[str, str], ...]  # titles and rates; none: an export without tax
    included: bool  # whether prices contain them
    people: tuple[tuple[str, str], ...]
    places: tuple[tuple[str, str, str, str | None, str | None], ...]  # street, postcode, city, province, its code
    phone: str


COUNTRIES = (
    Country(
        "DE", "Germany", "de-DE", "EUR", (("DE MwSt", "0.19"),), True,
        (("Jürgen", "Großmann"), ("Anna-Lena", "von der Heide"), ("Şeyma", "Yıldız"), ("Karl", "Weiß")),
        (("Schönhauser Allee 12a", "10119", "Berlin", None, None), ("Bäckergasse 3", "86150", "Augsburg", None, None),
         ("Große Bleichen 21", "20354", "Hamburg", None, None)), "+49 30 90{:06d}",
    ),
    Country(
        "AT", "Austria", "de-AT", "EUR", (("AT USt", "0.20"),), True,
        (("Österreicher", "Ägidius"), ("Marlene", "Höfer")),
        (("Mariahilfer Straße 88/2/14", "1070", "Wien", None, None), ("Südtiroler Platz 5", "6020", "Innsbruck", None, None)),
        "+43 1 58{:05d}",
    ),
    Country(
        "FR", "France", "fr-FR", "EUR", (("FR TVA", "0.20"),), True,
        (("Zoé", "L'Hôpital"), ("François", "Lefèvre"), ("Chloé", "d'Aubigné")),
        (("7 bis, rue de l'Échiquier", "75010", "Paris", None, None), ("Résidence Les Œillets, 4", "69003", "Lyon", None, None)),
        "+33 6 12{:06d}",
    ),
    Country(
        "ES", "Spain", "es-ES", "EUR", (("ES IVA", "0.21"),), True,
        (("Íñigo", "Núñez Peña"), ("María José", "Güell i Soler")),
        (("C/ de la Cigüeña, 5, 3º dcha.", "28004", "Madrid", "Madrid", "M"), ("Passeig de Gràcia 92", "08008", "Barcelona", "Barcelona", "B")),
        "+34 6{:08d}",
    ),
    Country(
        "NL", "Netherlands", "nl-NL", "EUR", (("NL BTW", "0.21"),), True,
        (("Daniël", "van 't Hof"), ("Fenna", "IJzerman")),
        (("'s-Gravelandseweg 30-hs", "1011 DK", "Amsterdam", None, None), ("Oudegracht 217", "3511 NH", "Utrecht", None, None)),
        "+31 6 1{:07d}",
    ),
    Country(
        "CZ", "Czechia", "cs-CZ", "EUR", (("CZ DPH", "0.21"),), True,
        (("Jiří", "Dvořák"), ("Žaneta", "Šťastná")), (("Příčná 1892/4", "110 00", "Praha 1", None, None),), "+420 60{:07d}",
    ),
    Country(
        "SE", "Sweden", "sv-SE", "SEK", (("SE moms", "0.25"),), True,
        (("Åsa", "Öberg"), ("Björn", "Sjölund")),
        (("Östgötagatan 14 lgh 1102", "116 25", "Stockholm", None, None),), "+46 70 {:07d}",
    ),
    Country(
        "GB", "United Kingdom", "en-GB", "GBP", (("GB VAT", "0.20"),), True,
        (("Siobhán", "O'Neill"), ("Harriet", "Smith-Jones")),
        (("Flat 3, 221B Baker Street", "NW1 6XE", "London", "England", "ENG"), ("2 Llys y Môr", "LL57 2DG", "Bangor", "Wales", "WLS")),
        "+44 7700 9{:05d}",
    ),
    Country(
        "US", "United States", "en-US", "USD", (("Nevada State Tax", "0.046"), ("Washoe County Tax", "0.024")), False,
        (("José", "Rodríguez"), ("Mary Ann", "O’Brien"), ("D'Andre", "Washington")),
        (("350 5th Ave, Apt #21B", "89501", "Reno", "Nevada", "NV"), ("1 Main St.", "89431-2214", "Sparks", "Nevada", "NV")),
        "(775) 555-{:04d}",
    ),
    Country(
        "CA", "Canada", "fr-CA", "CAD", (("GST", "0.05"),), False,
        (("Étienne", "Beauchêne"),), (("88 Whyte Ave NW", "T6E 1Z1", "Edmonton", "Alberta", "AB"),), "+1 780 55{:05d}",
    ),
    Country(
        "JP", "Japan", "ja-JP", "JPY", (("消費税", "0.1"),), True,
        (("美咲", "佐藤"), ("健太", "髙橋")),
        (("神宮前1丁目5-8 コーポ桜 203号室", "150-0001", "渋谷区", "東京都", "JP-13"),
         ("四条通烏丸東入ル", "600-8008", "京都市下京区", "京都府", "JP-26")), "+81 90-1{:03d}-5678",
    ),
    Country(
        "CH", "Switzerland", "de-CH", "EUR", (), False,
        (("Urs", "Zgraggen"), ("Céline", "Müller-Rüegg")), (("Zürichbergstrasse 17", "8032", "Zürich", "Zürich", "ZH"),),
        "+41 79 {:07d}",
    ),
    Country(
        "KR", "South Korea", "ko-KR", "USD", (), False,
        (("지우", "김"),), (("세종대로 110, 가나아파트 101동 1502호", "04524", "중구", "서울특별시", "KR-11"),), "+82 10-{:04d}-1234",
    ),
    Country(
        "GR", "Greece", "el-GR", "EUR", (("DE MwSt", "0.19"),), True,
        (("Ελένη", "Παπαδοπούλου"),), (("Οδός Ερμού 45", "105 63", "Αθήνα", None, None),), "+30 69{:08d}",
    ),
)  # fmt: skip
WEIGHTS = (30, 6, 12, 6, 8, 3, 6, 10, 10, 3, 6, 4, 2, 2)


def order_content(seed: int, n: int) -> dict[str, Any]:
    """What the n-th customer orders, and what becomes of the order (`then`, in seconds after it)."""
    dice = random.Random(f"{seed}/{n}")
    regular = dice.randrange(REGULARS) if dice.random() < 0.55 else None  # None: a guest
    own = random.Random(f"{seed}/customer/{regular}") if regular is not None else dice
    country = own.choices(COUNTRIES, WEIGHTS)[0]
    first, last = own.choice(country.people)
    handle = f"kunde{regular}" if regular is not None else f"gast.{seed}.{n}"
    email = (
        None if dice.random() < 0.02 else f"{handle}@{own.choice(('example.com', 'example.org', 'post.example.net'))}"
    )
    phone = country.phone.format(own.randrange(10_000)) if own.random() < 0.6 else None
    address = _address(country, first, last, own, phone)

    # the shop's own currency is the euro; some see theirs beside it, some orders come from a shop of their currency
    way = dice.random()
    currency = country.currency if way < 0.5 else "EUR"
    shown = country.currency if way < 0.85 else currency
    content: dict[str, Any] = {
        "email": email,
        "phone": phone if email is None or dice.random() < 0.3 else None,
        "customer": None
        if regular is None
        else {
            "id": 7_200_000_000_000 + regular,
            "first_name": first,
            "last_name": last,
            "email": email,
            "phone": phone,
            "accepts_marketing": own.random() < 0.4,
        },
        "locale": country.locale,
        "currency": currency,
        "presentment_currency": shown,
        "presentment_rate": str(
            (Decimal(RATES[shown]) / Decimal(RATES[currency])).quantize(Decimal("0.000001")).normalize()
        ),
        "taxes_included": country.included,
        "financial_status": dice.choices(("paid", "authorized", "pending"), (88, 7, 5))[0],
        "note": dice.choice(NOTES) if dice.random() < 0.12 else None,
        "note_attributes": [{"name": "gift_wrap", "value": "yes"}, {"name": "Wunschtermin", "value": "Freitag"}][
            : dice.choices((0, 1, 2), (85, 10, 5))[0]
        ],
        "tags": "vip, newsletter" if dice.random() < 0.05 else "",
        "shipping_address": address,
        "billing_address": dict(address),
    }
    content["lines"] = _lines(country, currency, shown, dice)
    if dice.random() < 0.15:
        code, kind, value = dice.choice(CODES)
        content["order_discount"] = {"code": code, "kind": kind, "value": value}
    carriage = dice.choice((("Free", "0"), ("Standard", "4.90"), ("Standard", "4.90"), ("Express", "12.50")))
    content["shipping"] = {
        "title": carriage[0],
        "price": _price(Decimal(carriage[1]), country, currency),
        "taxes": _tax_titles(country),
    }
    content["then"] = _fate(content, dice)
    content["webhooks"] = _post(content, dice)
    content["then"] += _refund(content, random.Random(f"{seed}/{n}/refund"))
    return content


def _address(country: Country, first: str, last: str, own: random.Random, phone: str | None) -> dict[str, Any]:
    street, postcode, city, province, province_code = own.choice(country.places)
    return {
        "first_name": first,
        "last_name": last,
        "name": f"{first} {last}",
        "company": "Müller & Söhne GmbH <Einkauf>" if own.random() < 0.06 else None,
        "address1": street,
        "address2": own.choice((None, "", "c/o Meier", "2nd floor")),
        "city": city,
        "zip": postcode,
        "province": province,
        "province_code": province_code,
        "country": country.name,
        "country_code": country.code,
        "latitude": None,
        "longitude": None,
        "phone": phone,
    }


def _tax_titles(country: Country) -> list[dict[str, str]]:
    return [{"title": title, "rate": rate} for title, rate in country.taxes]


def _price(net: Decimal, country: Country, currency: str) -> str:
    """What a customer of that country pays for what costs so many euros net."""
    tax = sum((Decimal(rate) for _, rate in country.taxes), Decimal(0)) if country.included else Decimal(0)
    return str(rounded(net * Decimal(RATES[currency]) * (1 + tax), currency))


def _list_price(sku: str, net: str, country: Country, currency: str, shown: str) -> str:
    """What the shop asks for a thing: by the list of the market, where it has one and shows its currency, else by everybody's."""
    if (country.code, shown) != ("US", "USD") or sku not in DOLLARS:
        return _price(Decimal(net), country, currency)
    return str(rounded(Decimal(DOLLARS[sku]) * Decimal(RATES[currency]) / Decimal(RATES[shown]), currency))


def _lines(country: Country, currency: str, shown: str, dice: random.Random) -> list[dict[str, Any]]:
    lines = []
    for sku, title, net, _ in dice.sample(CATALOGUE, dice.choices((1, 2, 3, 5), (40, 30, 20, 10))[0]):
        line: dict[str, Any] = {
            "sku": sku,
            "title": title,
            "quantity": dice.choices((1, 2, 3, 6), (70, 18, 8, 4))[0],
            "price": _list_price(sku, net, country, currency, shown),
            "taxes": _tax_titles(country),
        }
        if dice.random() < 0.1:
            line["discount"] = str(rounded(Decimal(line["price"]) * line["quantity"] / 5, currency))
            line["discount_title"] = "20 % off this week"
        if dice.random() < 0.08:
            line["properties"] = [{"name": "Stickerei", "value": dice.choice(("A. G.", "Für Oma ❤", '"Λ"'))}]
        lines.append(line)
    if dice.random() < 0.02:
        lines[-1] |= {"sku": dice.choice(RETIRED), "title": "Something that we used to sell"}
    return lines


def _fate(content: Mapping[str, Any], dice: random.Random) -> list[dict[str, Any]]:
    """What is done to the order afterwards."""
    then: list[dict[str, Any]] = []
    lines = content["lines"]
    luck = dice.random()
    if luck < 0.06 and len(lines) > 1:
        then.append({"after": dice.randint(5, 120), "do": "edit", "line": dice.randrange(len(lines)), "quantity": 0})
    elif luck < 0.08 and lines[0]["quantity"] > 1:
        then.append({"after": dice.randint(5, 60), "do": "edit", "line": 0, "quantity": lines[0]["quantity"] - 1})
    if content["financial_status"] != "paid":
        then.append({"after": dice.randint(20, 180), "do": "pay"})
    fall = dice.random()
    if fall < 0.07:
        after = dice.randint(2, 15) if fall < 0.03 else dice.randint(120, 900)
        then = [step for step in then if step["after"] < after]
        then.append(
            {"after": after, "do": "cancel", "reason": dice.choice(("customer", "inventory", "fraud", "other"))}
        )
    return then


def _refund(content: Mapping[str, Any], dice: random.Random) -> list[dict[str, Any]]:
    """Now and then a part of the money goes back; sometimes the shop cannot tell the payment service so."""
    if dice.random() >= 0.06 or any(step["do"] == "cancel" for step in content["then"]):
        return []
    status = dice.choices(("success", "failure"), (80, 20))[0]
    note = dice.choice(("Broken on arrival", "Zu klein", "Goodwill"))
    share = dice.choice(("0.1", "0.25", "1"))
    return [{"after": dice.randint(200, 600), "do": "refund", "share": share, "status": status, "note": note}]


def _post(content: Mapping[str, Any], dice: random.Random) -> dict[str, Any]:
    """How its first webhook travels: twice, late, or so late that what follows overtakes it."""
    luck = dice.random()
    if luck < 0.05:
        return {"twice": True}
    if luck < 0.08:
        return {"late": dice.randint(10, 60)}
    if content["then"] and luck < 0.4:
        return {"late": content["then"][0]["after"] + 5}
    return {}


def traits(content: Mapping[str, Any]) -> set[str]:
    """The lifelike things about an order, in words."""
    lines: Sequence[Mapping[str, Any]] = content["lines"]
    steps = content["then"]
    late = content["webhooks"].get("late", 0)
    address = content["shipping_address"]
    known = {sku for sku, *_ in CATALOGUE}
    signs = {
        "guest": content["customer"] is None,
        "regular customer": content["customer"] is not None,
        "no email": content["email"] is None,
        f"order in {content['currency']}": True,
        "shown in another currency": content["currency"] != content["presentment_currency"],
        "line discount": any(line.get("discount") for line in lines),
        "order discount": content.get("order_discount") is not None,
        "several tax lines": any(len(line["taxes"]) > 1 for line in lines),
        "taxes included": content["taxes_included"],
        "taxes on top": not content["taxes_included"] and any(line["taxes"] for line in lines),
        "no tax": not any(line["taxes"] for line in lines),
        "shipping": Decimal(content["shipping"]["price"]) > 0,
        "free shipping": Decimal(content["shipping"]["price"]) == 0,
        "removed line": any(step["do"] == "edit" and step["quantity"] == 0 for step in steps),
        "lowered quantity": any(step["do"] == "edit" and step["quantity"] > 0 for step in steps),
        "paid later": any(step["do"] == "pay" for step in steps),
        "money back": any(step["do"] == "refund" for step in steps),
        "refund that the payment service did not take": any(step.get("status") == "failure" for step in steps),
        "cancelled within seconds": any(step["do"] == "cancel" and step["after"] <= 15 for step in steps),
        "cancelled minutes later": any(step["do"] == "cancel" and step["after"] >= 120 for step in steps),
        "webhook twice": content["webhooks"].get("twice", False),
        "webhook late": bool(late),
        "webhook overtaken": bool(steps) and late > steps[0]["after"],
        "unknown SKU": any(line["sku"] not in known for line in lines),
        "note": content["note"] is not None,
        "custom attributes": bool(content["note_attributes"]),
        "line properties": any(line.get("properties") for line in lines),
        "name beyond ASCII": not address["name"].isascii(),
        "address beyond Latin": any(ord(letter) > 0x370 for letter in address["address1"]),
    }
    return {name for name, is_so in signs.items() if is_so}


def place_orders(url: str, rate: float | None, seed: int | None) -> None:
    """Place orders at that shop for ever, so many a second on average (None: what the shop says).

    The shop counts them, so that a loop that starts again goes on with the next number.
    """
    shop = session()
    due = time.monotonic()
    while True:
        try:
            wish = shop.get(f"{url}/sandbox/traffic", timeout=TIMEOUT).json()
            speed = wish["rate"] if rate is None else rate
            if speed <= 0:
                time.sleep(2)
                due = time.monotonic()
                continue
            content = order_content(wish["seed"] if seed is None else seed, wish["next"])
            placed = shop.post(f"{url}/sandbox/orders", json=content, timeout=TIMEOUT).json()
            print(f"{placed['name']} for {placed['total']}: {', '.join(sorted(traits(content)))}", flush=True)
            due = max(due + min(random.expovariate(speed), 10 / speed), time.monotonic() - LONGEST_DELAY)
            time.sleep(max(0.0, due - time.monotonic()))
        except (requests.RequestException, ValueError, KeyError) as problem:
            print(f"the shop at {url} does not answer ({type(problem).__name__}); trying again in 3 s", flush=True)
            time.sleep(3)


def main() -> None:
    parser = argparse.ArgumentParser(description=place_orders.__doc__)
    rate, seed = os.environ.get("CONCORD_TRAFFIC_RATE"), os.environ.get("CONCORD_TRAFFIC_SEED")
    parser.add_argument("--rate", type=float, default=rate and float(rate), help="orders a second")
    parser.add_argument("--seed", type=int, default=seed and int(seed))
    parser.add_argument("--url", default=f"http://127.0.0.1:{settings.port('SHOPIFY', 18800)}")
    wish = parser.parse_args()
    try:
        place_orders(wish.url, wish.rate, wish.seed)
    except KeyboardInterrupt:
        print("no more orders", flush=True)


if __name__ == "__main__":
    main()

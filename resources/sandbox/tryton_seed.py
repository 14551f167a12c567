"""Fills a fresh Tryton database with the sandbox merchant's company. Runs in Tryton's own virtual environment.

usage: TRYTON_USER=... TRYTON_PASSWORD=... python tryton_seed.py fill|password CONFIG_FILE DATABASE_URI
"""

import csv
import datetime
import os
import sys
from decimal import Decimal
from pathlib import Path

from catalogue import (
    CATALOGUE,
    DOLLARS,
)  # a script finds its neighbours; the package itself lives in another environment
from proteus import Model
from proteus import config as proteus_config
from trytond.modules.account.tests.tools import create_chart, create_fiscalyear, create_tax, get_accounts
from trytond.modules.account_invoice.tests.tools import create_payment_term, set_fiscalyear_invoice_sequences
from trytond.modules.company.tests.tools import create_company, get_company

TODAY = datetime.date.today()
FIRST_RATE = datetime.date(2000, 1, 1)  # before any order that a merchant may still replay
CURRENCIES = {  # code: name, symbol, decimals, units for one euro
    "EUR": ("Euro", "€", 2, "1"),
    "USD": ("US dollar", "$", 2, "1.16"),
    "GBP": ("Pound sterling", "£", 2, "0.86"),
    "CAD": ("Canadian dollar", "CA$", 2, "1.61"),
    "SEK": ("Swedish krona", "kr", 2, "11.05"),
    "JPY": ("Japanese yen", "¥", 0, "171"),
}
TAX_RATES = ("0.20", "0.19", "0.21", "0.25", "0.10", "0.07", "0.055", "0.05")  # 0.20 first: it is the house's own
PRICE_LISTS = {  # name: who keeps it, and its lines: SKU, from which quantity, formula, first day, last day
    "US": ("USD", (
        *((sku, None, price, None, None) for sku, price in DOLLARS.items() if sku != "BAG-TOT"),
        ("BAG-TOT", None, DOLLARS["BAG-TOT"], None, TODAY.replace(month=12, day=31)),
        ("BAG-TOT", None, "23.00", TODAY.replace(year=TODAY.year + 1, month=1, day=1), None),
    )),
    "B2B-NORDWIND": ("EUR", (
        ("TEE-WHT-M", 50.0, "list_price * 0.7", None, None), ("TEE-WHT-M", None, "list_price * 0.8", None, None),
        ("TEE-BLK-M", None, "list_price * 0.8", None, None), ("MUG-BLU", None, "12.50", None, None),
    )),
}  # fmt: skip
BUYERS = (("Nordwind Handel GmbH", "einkauf@nordwind.example.com", "B2B-NORDWIND"),)  # with their e-mail and price list
SERVICES = (("SHIPPING", "Shipping", "4.90"), ("DISCOUNT", "Discount", "0"), ("ROUNDING", "Rounding", "0"))


def bulk(model, values):
    """Create many records in one call; their ids."""
    return Model.get(model)._proxy.create(values, proteus_config.get_config().context)


def seed_money():
    Currency = Model.get("currency.currency")
    for code, (name, symbol, digits, rate) in CURRENCIES.items():
        currency = Currency(name=name, code=code, symbol=symbol, digits=digits, rounding=Decimal(1).scaleb(-digits))
        currency.rates.new(date=FIRST_RATE, rate=Decimal(rate))
        currency.save()


def seed_company(password):
    """The company, its books, and the user by whom Concord speaks."""
    create_company(currency=Model.get("currency.currency").find([("code", "=", "EUR")])[0])
    company = get_company()
    company.party.name = "Concord Sandbox Ltd"
    company.party.save()
    company.timezone = "Europe/Berlin"  # a sale is of the day that it is there
    company.save()
    create_chart(company)
    for year in (TODAY.year - 1, TODAY.year, TODAY.year + 1):  # an invoice is dated when it is posted, never before
        span = (datetime.date(year, 1, 1), datetime.date(year, 12, 31))
        fiscal_year = create_fiscalyear(company, today=span)
        set_fiscalyear_invoice_sequences(fiscal_year).click("create_period")
    create_payment_term().save()
    books = Model.get("account.configuration")(1)  # what a cent of rounding between currencies is booked on
    books.currency_exchange_credit_account = books.currency_exchange_debit_account = get_accounts(company)["revenue"]
    books.save()
    User = Model.get("res.user")
    login = os.environ["TRYTON_USER"]
    user = next(iter(User.find([("login", "=", login)])), None) or User(name="Concord", login=login)
    user.password = password
    user.groups.extend(Model.get("res.group").find([]))
    user.companies.append(Model.get("company.company")(company.id))
    user.company = company
    user.save()
    configuration = Model.get("sale.configuration")(1)
    # the shop takes the money and its payouts make the books, so a sale waits for no invoice; nearly twice as fast, too
    configuration.sale_invoice_method = "manual"
    configuration.save()
    return company


def seed_taxes(company):
    taxes = []
    for rate in TAX_RATES:
        tax = create_tax(Decimal(rate), company)
        tax.name = tax.description = f"Sales tax {(Decimal(rate) * 100).normalize():f} %"
        tax.save()
        taxes.append(tax)
    return taxes


def seed_products(company, tax):
    accounts = get_accounts(company)
    category = Model.get("product.category")(name="Shop", accounting=True)
    category.account_expense, category.account_revenue = accounts["expense"], accounts["revenue"]
    category.customer_taxes.append(tax)
    category.save()
    unit = Model.get("product.uom").find([("symbol", "=", "u")])[0]
    goods = [(sku, title, price) for sku, title, price, _ in CATALOGUE]
    values = [
        {
            "name": name, "code": code, "type": kind, "list_price": Decimal(price), "salable": True,
            "default_uom": unit.id, "sale_uom": unit.id, "account_category": category.id,
            "products": [("create", [{}])],
        }
        for kind, rows in (("goods", goods), ("service", SERVICES))
        for code, name, price in rows
    ]  # fmt: skip
    bulk("product.template", values)


def seed_warehouses():
    """The own warehouse comes with Tryton as WH; the 3PL's is a second one."""
    Location = Model.get("stock.location")
    places = {}
    for name, code in (("3PL input", "IN2"), ("3PL output", "OUT2"), ("3PL storage", "STO2")):
        places[code] = Location(name=name, code=code, type="storage")
        places[code].save()
    warehouse = Location(name="3PL warehouse", code="WH2", type="warehouse")
    warehouse.input_location, warehouse.output_location = places["IN2"], places["OUT2"]
    warehouse.storage_location = places["STO2"]
    warehouse.lost_found_location = Location.find([("type", "=", "lost_found")])[0]
    warehouse.save()
    products = {product.code: product.id for product in Model.get("product.product").find([("type", "=", "goods")])}
    lines = [("create", [{"product": products[sku], "quantity": stock} for sku, _, _, stock in CATALOGUE])]
    storage = Location.find([("code", "=", "STO")])[0]  # the 3PL counts its own stock and tells it in files
    inventory = bulk("stock.inventory", [{"location": storage.id, "date": TODAY, "lines": lines}])[0]
    Model.get("stock.inventory")(inventory).click("confirm")


def seed_price_lists(company):
    """A price list counts in the currency of its company, so the one in dollars belongs to a company over there."""
    Party, Company = Model.get("party.party"), Model.get("company.company")
    party = Party(name="Concord Sandbox Inc")
    party.save()
    dollars = Model.get("currency.currency").find([("code", "=", "USD")])[0]
    branch = Company(party=party, currency=dollars)
    branch.save()
    User = Model.get("res.user")
    for user in User.find([]):
        user.companies.append(Company(branch.id))
        if company.id not in [one.id for one in user.companies]:
            user.companies.append(Company(company.id))
        user.company_filter = "all"
        user.save()
    products = {product.code: product.id for product in Model.get("product.product").find([])}
    bulk(
        "product.price_list",
        [
            {
                "name": name, "company": (branch if keeper == "USD" else company).id, "unit": "product_default",
                "price": "list_price", "tax_included": False,
                "lines": [("create", [
                    {"product": products[sku], "quantity": quantity, "formula": formula, "start_date": first, "end_date": last}
                    for sku, quantity, formula, first, last in lines
                ])],
            }
            for name, (keeper, lines) in PRICE_LISTS.items()
        ],
    )  # fmt: skip


def seed_groups():
    """Who buys by a price list of their own."""
    Party, PriceList = Model.get("party.party"), Model.get("product.price_list")
    for name, email, price_list in BUYERS:
        party = Party(name=name)
        party.contact_mechanisms.new(type="email", value=email)
        party.sale_price_list = PriceList.find([("name", "=", price_list)])[0]
        party.save()


def seed_countries():
    with (Path(__file__).parent / "countries.csv").open(encoding="utf-8", newline="") as rows:
        bulk("country.country", [{"code": code, "name": name} for code, name in csv.reader(rows, delimiter=";")])


def step(sentence):
    print(f"tryton: {sentence}", flush=True)


def fill(password):
    step("countries and currencies")
    seed_countries()
    seed_money()
    step("company, chart of accounts, fiscal years")
    company = seed_company(password)
    step("taxes and products")
    taxes = seed_taxes(company)
    seed_products(company, taxes[0])
    step("warehouses and opening stock")
    seed_warehouses()
    step("price lists")
    seed_price_lists(company)
    seed_groups()


def set_password(password):
    user = Model.get("res.user").find([("login", "=", os.environ["TRYTON_USER"])])[0]
    user.password = password
    user.save()


def main():
    verb, config_file, uri = sys.argv[1:4]
    proteus_config.set_trytond(database=uri, user="admin", config_file=config_file)
    {"fill": fill, "password": set_password}[verb](os.environ["TRYTON_PASSWORD"])


if __name__ == "__main__":
    main()

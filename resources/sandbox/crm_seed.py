"""Fills a fresh Tryton database as the sandbox merchant's CRM. Runs in Tryton's own virtual environment.

usage: TRYTON_USER=... TRYTON_PASSWORD=... python crm_seed.py fill|password CONFIG_FILE DATABASE_URI
"""

import csv
import os
import sys
from pathlib import Path

from proteus import Model
from proteus import config as proteus_config

LISTS = ("Newsletter", "Text messages")
PEOPLE = "preferences"  # the account of the page on which people confirm and withdraw


def fill(password):
    User, groups = Model.get("res.user"), Model.get("res.group").find([])
    for login in (os.environ["TRYTON_USER"], PEOPLE):
        user = User(name=login.title(), login=login)
        user.password = password
        user.groups.extend(groups)
        user.save()
        groups = Model.get("res.group").find([])
    for name in LISTS:
        Model.get("marketing.email.list")(name=name).save()
    with (Path(__file__).parent / "countries.csv").open(encoding="utf-8", newline="") as rows:
        countries = [{"code": code, "name": name} for code, name in csv.reader(rows, delimiter=";")]
    Model.get("country.country")._proxy.create(countries, proteus_config.get_config().context)


def set_password(password):
    for login in (os.environ["TRYTON_USER"], PEOPLE):
        user = Model.get("res.user").find([("login", "=", login)])[0]
        user.password = password
        user.save()


def main():
    verb, config_file, uri = sys.argv[1:4]
    proteus_config.set_trytond(database=uri, user="admin", config_file=config_file)
    {"fill": fill, "password": set_password}[verb](os.environ["TRYTON_PASSWORD"])


if __name__ == "__main__":
    main()

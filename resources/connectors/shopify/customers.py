"""What Shopify takes of a customer: a withdrawn consent, and the numbers under which others know the customer."""

from collections.abc import Mapping
from typing import Any

from resources.connectors.connector import Delivery, Outcome, Result
from resources.connectors.shopify import addresses
from resources.connectors.shopify.admin_api import AdminApi, problem_of

NAMESPACE = "concord"
NOTES = ("customer_number", "erp_number", "price_group")
MUTATIONS = {  # channel: operation, and where its input and answer stand
    "email": ("UpdateEmailConsent", "emailMarketingConsent", "customerEmailMarketingConsentUpdate"),
    "sms": ("UpdateSmsConsent", "smsMarketingConsent", "customerSmsMarketingConsentUpdate"),
}


def write(api: AdminApi, delivery: Delivery) -> Outcome:
    """Carry a consent, or what others tell of a customer. Repeating it changes nothing."""
    if delivery.entity == "consents":
        return withdraw(api, delivery)
    return remove_group(api, delivery) if delivery.action == "delete" else write_notes(api, delivery)


def find(delivery: Delivery) -> Outcome:
    return Outcome(delivery.delivery_id, Result.RETRY, reason="it is written again, which changes nothing")


def withdraw(api: AdminApi, delivery: Delivery) -> Outcome:
    """Unsubscribe a customer from a channel as of the moment at which they said so. Nobody is subscribed here."""
    if delivery.payload.get("status") != "withdrawn":
        return Outcome.refused(delivery, "a consent is given in the shop by the customer alone; we tell it withdrawals")
    number, channel = _customer(delivery), delivery.key.rsplit("/", 1)[1]
    if not number:
        return Outcome.refused(
            delivery, f"the shop's customer behind {delivery.key} is not known; link it with `concord link`"
        )
    operation, consent, answer = MUTATIONS[channel]
    told = {"marketingState": "UNSUBSCRIBED", "consentUpdatedAt": delivery.payload.get("since")}
    done = api.write(operation, {"input": {"customerId": _gid(number), consent: told}})[answer]
    return _answer(delivery, done, f"{number}/{channel}")


def write_notes(api: AdminApi, delivery: Delivery) -> Outcome:
    """Keep our number, the ERP's and the price list on the customer, as metafields, and the addresses that others tell in the
    customer's book.
    """
    number = _customer(delivery)
    if not number:
        return Outcome.refused(
            delivery, f"the shop's customer behind {delivery.key} is not known; link it with `concord link`"
        )
    told = {name: delivery.payload.get(name) for name in NOTES}
    fields = [
        {"ownerId": _gid(number), "namespace": NAMESPACE, "key": name, "value": value, "type": "single_line_text_field"}
        for name, value in told.items()
        if value
    ]
    written = _answer(delivery, api.write("WriteNotes", {"metafields": fields})["metafieldsSet"], number)
    if written.result is not Result.APPLIED:
        return written
    problem = addresses.keep(api, _gid(number), delivery.payload.get("lines") or [])
    return Outcome.refused(delivery, f"Shopify refuses {delivery.key}: {problem}") if problem else written


def remove_group(api: AdminApi, delivery: Delivery) -> Outcome:
    """Take the price list off the customer; where there is none, nothing happens."""
    number = _customer(delivery)
    if not number:
        return Outcome(delivery.delivery_id, Result.APPLIED)  # whom the shop does not know has no note there
    fields = [{"ownerId": _gid(number), "namespace": NAMESPACE, "key": "price_group"}]
    return _answer(delivery, api.write("RemoveNotes", {"metafields": fields})["metafieldsDelete"], number)


def _answer(delivery: Delivery, done: Mapping[str, Any] | None, remote_id: str) -> Outcome:
    if problem := problem_of(done):
        return Outcome.refused(delivery, f"Shopify refuses {delivery.key}: {problem}")
    return Outcome(delivery.delivery_id, Result.APPLIED, remote_id)


def _customer(delivery: Delivery) -> str:
    number = (delivery.remote_id or "").split("/")[0]
    return number if number.isdigit() else ""


def _gid(number: str) -> str:
    return f"gid://shopify/Customer/{number}"

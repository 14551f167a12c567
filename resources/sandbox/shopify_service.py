"""The sandbox shop's customer service: it opens a customer's return, moves it on, and gives money back."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from resources.sandbox.shopify_orders import shipped_quantity
from resources.sandbox.shopify_returns import NoSuchStep, refund_line, rest_return, stepped, worth_of
from resources.sandbox.shopify_shop import Shop

RESTOCKS = ("return", "no_restock", "cancel")


class Service:
    """The people of it, at their screens."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop

    def returns_of(self, order_id: int) -> list[dict[str, Any]]:
        return self.shop.returns_of(order_id)

    def request(self, order_id: int, quantities: Mapping[int, int], reason: str = "size_too_small") -> dict[str, Any]:
        """Take a customer's wish to send back so many of each line. Raises NoSuchStep."""
        with self.shop.transaction():
            order = self.shop.order(order_id)
            for line_id, quantity in quantities.items():
                if not 0 < quantity <= shipped_quantity(order, line_id):
                    raise NoSuchStep("Quantity must be at most what was fulfilled.")
            told = rest_return(order, quantities, n=len(self.returns_of(order_id)) + 1, reason=reason)
            self._keep(order, told, "request")
        return told

    def step(self, return_id: int, step: str) -> dict[str, Any]:
        """Approve, decline, cancel, close or reopen a return. Raises NoSuchStep."""
        with self.shop.transaction():
            order_id, before = self.shop.return_named(return_id)
            told = stepped(before, step)
            self._keep(self.shop.order(order_id), told, step)
        return told

    def take_back(
        self, order_id: int, quantities: Mapping[int, int], *, restock: str, amount: Decimal | None = None
    ) -> dict[str, Any]:
        """Refund so many of each line, by default for what was paid for them. Raises NoSuchStep or NotPossible.

        Nothing moves in the shop's stock but what never left: the rest is counted where it comes back.
        """
        with self.shop.transaction():
            order = self.shop.order(order_id)
            lines = {line["id"]: line for line in order["line_items"]}
            for line_id, quantity in quantities.items():
                if restock not in RESTOCKS or not 0 < quantity <= lines[line_id]["current_quantity"]:
                    raise NoSuchStep("Refund cannot exceed what was ordered and not refunded.")
            parts = [refund_line(order, lines[line_id], quantity, restock) for line_id, quantity in quantities.items()]
            back = worth_of(order, parts) if amount is None else amount
            return self.shop.refund(order_id, back, status="success", parts=parts)

    def _keep(self, order: dict[str, Any], told: Mapping[str, Any], step: str) -> None:
        self.shop.keep_return(order["id"], told)
        self.shop.save(order)
        self.shop.tell([f"returns/{step}"], told)

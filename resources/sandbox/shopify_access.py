"""Who may ask the sandbox shop: an app that shows its secret is granted tokens, and each of them ends."""

import hmac
import json
import secrets
import time
from typing import Any
from urllib.parse import parse_qsl

LIFE = 86_399  # seconds, as Shopify grants
SCOPES = "read_orders,write_orders,read_products,write_inventory"


class Access:
    """The app that is installed here, and the tokens that are out. A shop that starts again has forgotten them."""

    def __init__(self, client_id: str, client_secret: str, old_token: str) -> None:
        self.app = {"client_id": client_id, "client_secret": client_secret}
        self.old_token = old_token  # of an app made before 2026: it never ends; empty where there is none
        self.life = LIFE
        self.ends: dict[str, float] = {}
        self.granted = self.refused = 0

    def grant(self, kind: str, body: bytes) -> tuple[dict[str, Any], int]:
        """The client credentials grant, asked for in a form or in JSON: the answer and its status."""
        try:
            text = body.decode()
            wish = json.loads(text) if kind.startswith("application/json") else dict(parse_qsl(text))
            shown = {name: str(wish.get(name, "")) for name in self.app}
        except (ValueError, AttributeError):
            return {"error": "invalid_request"}, 400
        if wish.get("grant_type") != "client_credentials":
            return {"error": "unsupported_grant_type"}, 400
        if not all(_same(shown[name], self.app[name]) for name in self.app):
            return {"error": "invalid_client"}, 400
        token = f"shpat_{secrets.token_hex(16)}"
        self.ends[token] = time.monotonic() + self.life
        self.granted += 1
        return {"access_token": token, "scope": SCOPES, "expires_in": self.life}, 200

    def opens(self, token: str) -> bool:
        is_good = self.ends.get(token, 0.0) > time.monotonic() or bool(self.old_token and _same(token, self.old_token))
        self.refused += not is_good
        return is_good

    def change(self, wish: dict[str, Any]) -> dict[str, int]:
        """{"life": seconds of the tokens to come}, {"end": true} for those that are out; what was granted and refused."""
        self.life = int(wish.get("life", self.life))
        if wish.get("end"):
            self.ends.clear()
        return {"life": self.life, "granted": self.granted, "refused": self.refused}


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(), other.encode())

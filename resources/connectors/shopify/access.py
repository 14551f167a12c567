"""The access token with which we ask Shopify: granted to an app for a day and asked for anew, or given once and for ever."""

import re
import time
from functools import cache
from typing import Protocol

import requests

from resources.connectors.connector import Unreachable
from resources.connectors.http import TIMEOUT, Redirected, session

RENEWED_BEFORE = 600.0  # seconds before its end; a request that waits for its turn must not outlive its token
FIXES = {  # what Shopify says against a grant, and what a person can do
    "invalid_client": "correct client id and client secret in the settings",
    "shop_not_permitted": "app and shop must be of one organization; make the app in that of the shop",
    "app_not_installed": "install the app in the shop",
}


class Access(Protocol):
    """How one app is let in."""

    fix: str  # what a person can do when a token is refused

    def token(self) -> str:
        """A token that is good now. Raises Unreachable."""

    def has_another(self, refused: str) -> bool:
        """Whether `token()` gives another one after this one was refused."""


class Given:
    """A token that was copied out of the shop's admin, as apps had it that were made there before 2026."""

    fix = "renew it in the settings"

    def __init__(self, token: str) -> None:
        self._token = token

    def token(self) -> str:
        return self._token

    def has_another(self, refused: str) -> bool:
        return False


class Granted:
    """Tokens by the client credentials grant, one after the other; they live in this process and nowhere else.

    https://shopify.dev/docs/apps/build/authentication-authorization/access-tokens/client-credentials-grant
    Workers need not agree on one, and threads that ask at once are all served, each by the token that it was granted.
    """

    fix = "see that the app is installed in the shop and has the scopes that it needs"

    def __init__(self, base_url: str, client_id: str, client_secret: str) -> None:
        self.url = f"{base_url.rstrip('/')}/admin/oauth/access_token"
        self._app = {"client_id": client_id, "client_secret": client_secret}
        self._held = ("", 0.0)  # the token, and when the next is asked for

    def token(self) -> str:
        token, ends_at = self._held
        if not token or time.monotonic() >= ends_at:
            token, _ = self._held = self._ask()
        return token

    def has_another(self, refused: str) -> bool:
        if self._held[0] == refused:  # else another thread has a new one meanwhile
            self._held = ("", 0.0)
        return True

    def _ask(self) -> tuple[str, float]:
        began = time.monotonic()
        wish = {"grant_type": "client_credentials", **self._app}
        try:
            with session() as http:
                answer = http.post(self.url, data=wish, headers={"Accept": "application/json"}, timeout=TIMEOUT)
        except Redirected as problem:
            raise Unreachable(str(problem)) from problem
        except requests.RequestException as problem:
            raise Unreachable(f"Shopify cannot be reached at {self.url}: {type(problem).__name__}") from problem
        if answer.status_code == 429 or answer.status_code >= 500:
            wait = answer.headers.get("Retry-After", "")
            told = f"Shopify grants no access token now ({answer.status_code})"
            raise Unreachable(told, float(wait) if wait.isdigit() else None)
        if answer.status_code != 200:
            word = _refusal(answer)
            fix = FIXES.get(
                word, "see that id and secret in the settings are those of an app that the shop has installed"
            )
            raise Unreachable(f"Shopify grants no access token ({word}); {fix}")
        try:
            said = answer.json()
            token, life = str(said["access_token"]), float(said["expires_in"])
        except (ValueError, KeyError, TypeError) as problem:
            raise Unreachable("Shopify answered a request for an access token with something else") from problem
        return token, began + life - min(RENEWED_BEFORE, life / 2)


@cache
def granted(base_url: str, client_id: str, client_secret: str) -> Granted:
    """One a process and app, so that the next run of a worker goes on with the token of the last."""
    return Granted(base_url, client_id, client_secret)


def _refusal(answer: requests.Response) -> str:
    """Shopify's one word for it, in JSON or on a page; no more of its answer, which may repeat what we sent."""
    found = re.search(r'"error"\s*:\s*"([a-z_]{1,40})"|Oauth error ([a-z_]{1,40})', answer.text[:20_000])
    return (found[1] or found[2]) if found else str(answer.status_code)

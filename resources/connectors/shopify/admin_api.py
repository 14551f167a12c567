"""Asking Shopify's Admin API: its cost bucket and limits, what may be asked twice, and what silence means."""

import random
import re
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import requests
from urllib3.exceptions import ConnectTimeoutError, MaxRetryError, NewConnectionError

from resources.connectors.connector import Delivery, Outcome, Result, Unreachable
from resources.connectors.http import TIMEOUT, Redirected, session
from resources.connectors.shopify.access import Access

API_VERSION = "2026-10"
OPERATIONS = Path(__file__).parent / "admin_api.graphql"
PATIENCE = 30.0  # seconds that one request may wait for its turn altogether; then the caller is told when to come again
BACKOFF = 0.6  # seconds before the second try; twice as long before the third
READS = 3  # tries for a question that got no answer; asking is harmless
UNDECIDED = ("INTERNAL_SERVER_ERROR", "TIMEOUT")  # GraphQL errors after which a write may or may not have happened


class NoAnswer(Exception):
    """A write was sent, and nothing came back that tells whether it was applied."""


class Refused(Exception):
    """Shopify understood the request and will not do it."""


class Answer(NamedTuple):
    data: dict[str, Any]
    server_time: datetime  # Shopify's clock, not ours


@cache
def operation(name: str) -> str:
    """The operation of that name in `admin_api.graphql`. Raises KeyError."""
    for text in re.split(r"^(?=query |mutation )", OPERATIONS.read_text(), flags=re.MULTILINE):
        if re.match(rf"(query|mutation) {name}\b", text):
            return text
    raise KeyError(f"no operation named {name!r} in {OPERATIONS}")


class AdminApi:
    """One shop's Admin API, as one app speaks to it."""

    def __init__(self, base_url: str, access: Access) -> None:
        self.url = f"{base_url.rstrip('/')}/admin/api/{API_VERSION}/graphql.json"
        self.session = session()
        self.access = access

    def ask(self, name: str, variables: Mapping[str, Any]) -> Answer:
        """Ask a question, again where no answer came. Raises Unreachable."""
        for attempt in range(1, READS + 1):
            try:
                return self._request(name, variables)
            except NoAnswer as problem:
                if attempt == READS:
                    raise Unreachable(str(problem)) from problem
                time.sleep(BACKOFF * attempt * random.uniform(0.5, 1.5))  # noqa: S311 spreads the tries of several runs
            except Refused as problem:
                raise Unreachable(f"Shopify does not answer {name}: {problem}") from problem
        raise AssertionError("unreachable")

    def write(self, name: str, variables: Mapping[str, Any]) -> dict[str, Any]:
        """Send a mutation once. Raises Unreachable (not applied), Refused (not applied) or NoAnswer (nobody knows)."""
        return self._request(name, variables).data

    def _request(self, name: str, variables: Mapping[str, Any]) -> Answer:
        """One request, waiting for its turn as long as PATIENCE lasts."""
        waited = 0.0
        while True:
            response = self._post(name, variables)
            wait, reason = self._told_to_wait(response)
            if wait is None:
                return self._read(name, response)
            if waited + wait > PATIENCE:
                raise Unreachable(reason, retry_after=wait)
            time.sleep(wait)
            waited += wait

    def _post(self, name: str, variables: Mapping[str, Any]) -> requests.Response:
        token = self.access.token()
        response = self._send(name, variables, token)
        if response.status_code == 401 and self.access.has_another(token):  # nothing was done: it may be sent again
            response = self._send(name, variables, self.access.token())
        if response.status_code in (401, 403):
            raise Unreachable(f"Shopify refuses our access token ({response.status_code}); {self.access.fix}")
        if response.status_code in (402, 404, 423) or 300 <= response.status_code < 400:
            raise Unreachable(f"there is no open shop at {self.url} ({response.status_code}); check address and shop")
        if response.status_code >= 500:
            raise NoAnswer(f"Shopify answered {name} with {response.status_code}")
        return response

    def _send(self, name: str, variables: Mapping[str, Any], token: str) -> requests.Response:
        body = {"query": operation(name), "variables": dict(variables)}
        headers = {"X-Shopify-Access-Token": token}
        try:
            return self.session.post(self.url, json=body, headers=headers, timeout=TIMEOUT)
        except Redirected as problem:
            raise Unreachable(str(problem)) from problem
        except requests.RequestException as problem:
            if _never_arrived(problem):
                raise Unreachable(f"Shopify cannot be reached at {self.url}: {type(problem).__name__}") from problem
            raise NoAnswer(f"Shopify did not answer {name}: {type(problem).__name__}") from problem

    def _told_to_wait(self, response: requests.Response) -> tuple[float | None, str]:
        """How long to wait before the same request may be sent again, and why; None: it was executed."""
        if response.status_code == 429:
            return _retry_after(response), "Shopify asks to slow down (429)"
        try:
            body = response.json()
        except ValueError:
            return None, ""
        errors = body.get("errors") if isinstance(body, dict) else None
        if not any(_code(error) == "THROTTLED" for error in errors or () if isinstance(error, dict)):
            return None, ""
        cost = (body.get("extensions") or {}).get("cost") or {}
        status = cost.get("throttleStatus") or {}
        lacking = float(cost.get("requestedQueryCost") or 100) - float(status.get("currentlyAvailable") or 0)
        wait = max(lacking / float(status.get("restoreRate") or 50), 0.1)
        return wait + random.uniform(0, 0.2), "Shopify's cost bucket is empty (THROTTLED)"  # noqa: S311 spreads runs

    def _read(self, name: str, response: requests.Response) -> Answer:
        """Numbers stay the digits that came. Raises Refused, or NoAnswer where the answer cannot be made out."""
        try:
            body = response.json(parse_int=str, parse_float=str)
        except ValueError as problem:
            raise NoAnswer(f"Shopify answered {name} with something that is not JSON") from problem
        if not isinstance(body, dict):
            raise NoAnswer(f"Shopify answered {name} with something that is no GraphQL answer")
        errors = body.get("errors")
        if errors:
            listed = errors if isinstance(errors, list) else [errors]
            sentence = "; ".join(str(e.get("message", e)) if isinstance(e, dict) else str(e) for e in listed)
            if any(_code(error) in UNDECIDED for error in listed if isinstance(error, dict)):
                raise NoAnswer(f"Shopify failed while it answered {name}: {sentence}")
            raise Refused(sentence)
        if response.status_code != 200 or not isinstance(body.get("data"), dict):
            raise NoAnswer(f"Shopify answered {name} with {response.status_code} and no data")
        return Answer(body["data"], _server_time(response))


def number_of(identifier: str) -> str:
    """The number of a global id, or of a plain one; empty where there is none."""
    found = re.fullmatch(r"(?:gid://shopify/\w+/)?(\d+)(?:\?.*)?", identifier)
    return found[1] if found else ""


def problem_of(done: Mapping[str, Any] | None) -> str | None:
    """What a mutation says against itself: a success of GraphQL with userErrors is a failure. None: it is done."""
    errors = done["userErrors"] if done else [{"message": "it says not why"}]
    return "; ".join(error["message"] for error in errors) or None


def guarded(
    do: Callable[[], Outcome | Sequence[Outcome]], deliveries: Sequence[Delivery], when_silent: Result = Result.RETRY
) -> list[Outcome]:
    """Do it, and turn what Shopify's API raises into an outcome for each of these deliveries."""
    wait = None
    try:
        done = do()
        return [done] if isinstance(done, Outcome) else list(done)
    except Unreachable as problem:
        result, told, wait = when_silent, str(problem), problem.retry_after
    except NoAnswer as problem:
        result, told = Result.UNKNOWN, str(problem)
    except Refused as problem:
        result, told = Result.REFUSED if when_silent is Result.RETRY else when_silent, str(problem)
    return [Outcome(one.delivery_id, result, reason=told, retry_after=wait) for one in deliveries]


def _code(error: Mapping[str, Any]) -> str | None:
    return (error.get("extensions") or {}).get("code")


def _never_arrived(problem: requests.RequestException) -> bool:
    """Whether no connection was ever made, so that nothing can have been applied."""
    cause = problem.args[0] if problem.args else None
    reason = cause.reason if isinstance(cause, MaxRetryError) else cause
    return isinstance(problem, requests.ConnectTimeout) or isinstance(reason, NewConnectionError | ConnectTimeoutError)


def _retry_after(response: requests.Response) -> float:
    """Seconds, as the header says them: a number or a date; 2 where it says nothing."""
    text = response.headers.get("Retry-After", "2")
    try:
        return max(float(text), 0.1)
    except ValueError:
        pass
    try:
        return max((parsedate_to_datetime(text) - _server_time(response)).total_seconds(), 0.1)
    except (ValueError, TypeError):
        return 2.0


def _server_time(response: requests.Response) -> datetime:
    try:
        told = parsedate_to_datetime(response.headers["Date"])
        return told if told.tzinfo else told.replace(tzinfo=UTC)
    except (KeyError, ValueError, TypeError):
        return datetime.now(UTC)

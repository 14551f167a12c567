"""Asking Stripe: pages of a list, one record, one write, and what each way of failing means."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cache
from typing import Any, NamedTuple

import requests
from urllib3.exceptions import ConnectTimeoutError, MaxRetryError, NewConnectionError

from resources.connectors.connector import Unreachable
from resources.connectors.http import TIMEOUT, Redirected, session

API_VERSION = "2024-06-20"  # the shape of what we read; an account may have another as its default
PAGE = 100  # the most that Stripe gives at once


class Refused(Exception):
    """Stripe understood the request and will not do it; nothing was changed. The text is Stripe's own sentence."""


class NoAnswer(Exception):
    """The request was sent and no answer came: it may or may not have been done."""


class Answer(NamedTuple):
    body: dict[str, Any]
    server_time: datetime  # Stripe's clock, not ours


class StripeApi:
    """One account, spoken to with one secret key."""

    def __init__(self, base_url: str, api_key: str) -> None:
        self.base_url = base_url.rstrip("/")
        self.name = f"Stripe at {self.base_url}"
        self.http = session()
        self.http.headers.update({"Authorization": f"Bearer {api_key}", "Stripe-Version": API_VERSION})

    def page(self, path: str, wish: Mapping[str, Any], expand: Sequence[str] = ()) -> Answer:
        """One page of a list, the newest record first. Raises Unreachable."""
        asked = [*({"limit": PAGE} | dict(wish)).items(), *(("expand[]", f"data.{name}") for name in expand)]
        return self._asked("GET", path, asked)

    def pages(self, path: str, wish: Mapping[str, Any], expand: Sequence[str] = ()) -> Iterator[tuple[Answer, bool]]:
        """Every page of a list, and whether it is the last. Raises Unreachable."""
        after: dict[str, str] = {}
        while True:
            answer = self.page(path, {**wish, **after}, expand)
            rows, has_more = answer.body["data"], bool(answer.body["has_more"])
            yield answer, not (has_more and rows)
            if not (has_more and rows):
                return
            after = {"starting_after": rows[-1]["id"]}

    def record(self, path: str, expand: Sequence[str] = ()) -> Answer | None:
        """One record, or None when there is none of that id. Raises Unreachable."""
        try:
            return self._ask("GET", path, [("expand[]", name) for name in expand])
        except Refused as problem:
            if problem.args[1:] == (404,):
                return None
            raise Unreachable(f"{self.name} does not tell {path}: {problem}") from problem

    def write(self, path: str, wish: Mapping[str, Any], key: str) -> dict[str, Any]:
        """Post once; the same key again is the same write to Stripe. Raises Unreachable (not done), Refused or NoAnswer."""
        return self._ask("POST", path, list(wish.items()), key).body

    def _asked(self, method: str, path: str, wish: Sequence[tuple[str, Any]]) -> Answer:
        try:
            return self._ask(method, path, wish)
        except Refused as problem:
            raise Unreachable(f"{self.name} does not tell {path}: {problem}") from problem

    def _ask(self, method: str, path: str, wish: Sequence[tuple[str, Any]], key: str | None = None) -> Answer:
        is_write = method == "POST"
        try:
            answer = self.http.request(
                method,
                f"{self.base_url}/v1/{path}",
                params=None if is_write else list(wish),
                data=list(wish) if is_write else None,
                headers={"Idempotency-Key": key} if key else {},
                timeout=TIMEOUT,
            )
        except Redirected as problem:
            raise Unreachable(str(problem)) from problem
        except requests.RequestException as problem:
            if not is_write or _never_sent(problem):
                raise Unreachable(f"{self.name} cannot be reached: {type(problem).__name__}") from problem
            raise NoAnswer(f"{self.name} did not answer POST {path}: {type(problem).__name__}") from problem
        return self._read(answer, path, is_write=is_write)

    def _read(self, answer: requests.Response, path: str, *, is_write: bool) -> Answer:
        status = answer.status_code
        if status in (401, 403):
            raise Unreachable(f"{self.name} refuses our secret key ({status}); renew it in the settings")
        if status == 429:
            raise Unreachable(f"{self.name} asks to slow down (429)", retry_after=_seconds(answer))
        if status == 409:  # the same idempotency key is just being worked on
            raise Unreachable(f"{self.name} is still busy with the same request (409)", retry_after=2.0)
        if status >= 500 or 300 <= status < 400:
            told = f"{self.name} answered {path} with {status}"
            raise NoAnswer(told) if is_write and status >= 500 else Unreachable(told)
        try:
            body = answer.json(parse_int=str, parse_float=str)
        except ValueError as problem:
            told = f"{self.name} answered {path} with something that is not JSON"
            raise NoAnswer(told) if is_write else Unreachable(told) from problem
        if status != 200 or not isinstance(body, dict):
            error = body.get("error") if isinstance(body, dict) else None
            raise Refused(str((error or {}).get("message") or f"HTTP {status}"), status)
        return Answer(body, _server_time(answer))


@cache
def api_for(base_url: str, api_key: str) -> StripeApi:
    """One conversation a process and account, so that connections are kept."""
    return StripeApi(base_url, api_key)


def _never_sent(problem: requests.RequestException) -> bool:
    """Whether no connection was ever made, so that nothing can have been done."""
    cause = problem.args[0] if problem.args else None
    reason = cause.reason if isinstance(cause, MaxRetryError) else cause
    return isinstance(problem, requests.ConnectTimeout) or isinstance(reason, NewConnectionError | ConnectTimeoutError)


def _seconds(answer: requests.Response) -> float:
    told = answer.headers.get("Retry-After", "")
    return float(told) if told.isdigit() else 2.0


def _server_time(answer: requests.Response) -> datetime:
    try:
        told = parsedate_to_datetime(answer.headers["Date"])
        return told if told.tzinfo else told.replace(tzinfo=UTC)
    except (KeyError, ValueError, TypeError):
        return datetime.now(UTC)

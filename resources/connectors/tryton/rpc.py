"""Tryton's JSON-RPC: one call, its types, and what each way of failing means."""

import base64
import json
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from functools import cache
from typing import Any

import requests
from urllib3.exceptions import ConnectTimeoutError, MaxRetryError, NewConnectionError

from resources.connectors.connector import Unreachable
from resources.connectors.http import TIMEOUT, Redirected, session

CHANGES = frozenset(  # methods after which nobody may assume that nothing happened
    {"create", "write", "delete", "copy", "quote", "confirm", "draft", "cancel", "execute", "process", "post"}
)


class Refused(Exception):
    """Tryton read the request and will not do it; nothing was changed. The text is Tryton's own sentence."""


class NoAnswer(Exception):
    """The request was sent and no answer came: it may or may not have been done."""


class Rpc:
    """A conversation with one database as one user, which begins with a login and renews it when it has expired."""

    def __init__(self, base_url: str, database: str, user: str, password: str, *, has_company: bool = True) -> None:
        self.address = f"{base_url.rstrip('/')}/{database}/rpc/"
        self.name = f"Tryton at {base_url}"
        self.database, self.user, self.password = database, user, password
        self.http = session()
        self.context: dict[str, Any] = {}
        self.has_company = has_company  # a database without books knows none
        self.is_logged_in = False
        self._modules: set[str] = set()

    def has_module(self, name: str) -> bool:
        """Whether the database has that module of Tryton's, with the fields that come with it."""
        if not self._modules:
            rows = self.call("ir.module.search_read", [("state", "=", "activated")], 0, None, None, ["name"])
            self._modules = {row["name"] for row in rows}
        return name in self._modules

    def call(self, method: str, *parameters: Any, **context: Any) -> Any:
        """Call `model.<method>`. Raises Refused, Unreachable (nothing was done) or NoAnswer (something may have been)."""
        if not self.is_logged_in:
            self._log_in()
        answer = self._call(method, parameters, context)
        if answer.status_code == 401:  # the session expired, and nothing was done
            self._log_in()
            answer = self._call(method, parameters, context)
        return self._read(answer, method)

    def write(self, model: str, changes: Sequence[tuple[int, Mapping[str, Any]]]) -> None:
        """Change these records, each in its own way, all or none in one call. Raises as `call`."""
        if changes:
            self.call(f"{model}.write", *(part for number, values in changes for part in ([number], values)))

    def _call(self, method: str, parameters: tuple[Any, ...], context: dict[str, Any]) -> requests.Response:
        return self._post(f"model.{method}", [*parameters, self.context | context])

    def _log_in(self) -> None:
        self.http.headers.pop("Authorization", None)
        answer = self._post("common.db.login", [self.user, {"password": self.password}, "en"])
        if answer.status_code in (401, 403):
            raise Unreachable(f"{self.name} does not accept the password of user {self.user!r}; correct it")
        if answer.status_code == 404:
            raise Unreachable(f"{self.name} has no database {self.database!r}; correct its name")
        number, token, *_ = self._read(answer, "login")
        ticket = base64.b64encode(f"{self.user}:{number}:{token}".encode()).decode()
        self.http.headers["Authorization"] = f"Session {ticket}"
        self.is_logged_in = True
        if self.has_company and not self.context:
            preferences = self.call("res.user.get_preferences", True)
            if not preferences.get("company"):
                raise Unreachable(f"{self.name}: user {self.user!r} belongs to no company; give it one")
            self.context = {"company": preferences["company"]}  # no language: we read codes, never labels

    def _post(self, method: str, parameters: list[Any]) -> requests.Response:
        body = json.dumps({"id": 1, "method": method, "params": parameters}, default=_encode)
        is_change = _changes(method)
        headers = {"Content-Type": "application/json"}
        try:
            return self.http.post(self.address, data=body.encode(), headers=headers, timeout=TIMEOUT)
        except Redirected as error:
            raise Unreachable(str(error)) from error
        except requests.exceptions.SSLError as error:
            raise Unreachable(f"{self.name} could not prove who it is ({error})") from error
        except requests.exceptions.ConnectTimeout as error:
            raise Unreachable(f"{self.name} did not accept a connection in {TIMEOUT[0]:.0f} s") from error
        except requests.exceptions.ConnectionError as error:
            if _never_sent(error):
                raise Unreachable(f"{self.name} refused the connection; see that it runs") from error
            if is_change:
                raise NoAnswer(f"{self.name} closed the connection before it answered {method}") from error
            raise Unreachable(f"{self.name} closed the connection before it answered") from error
        except requests.exceptions.Timeout as error:
            if is_change:
                raise NoAnswer(f"{self.name} did not answer {method} in {TIMEOUT[1]:.0f} s") from error
            raise Unreachable(f"{self.name} did not answer in {TIMEOUT[1]:.0f} s") from error

    def _read(self, answer: requests.Response, method: str) -> Any:
        if answer.status_code in (502, 504) and _changes(method):  # said by a gateway, which cannot know
            raise NoAnswer(f"{self.name} answered {method} with HTTP {answer.status_code}")
        if answer.status_code == 429 or answer.status_code >= 500:
            wait = answer.headers.get("Retry-After", "")
            raise Unreachable(
                f"{self.name} answered with HTTP {answer.status_code}", float(wait) if wait.isdigit() else None
            )
        if answer.status_code != 200:
            raise Refused(f"Tryton answered {method} with HTTP {answer.status_code}: {answer.text[:200]}")
        said = json.loads(answer.text, object_hook=_decode, parse_float=Decimal)
        if "error" not in said:
            return said.get("result")
        raise Refused(_sentence(said["error"]))


@cache
def rpc_for(base_url: str, database: str, user: str, password: str, *, has_company: bool = True) -> Rpc:
    """One conversation a process and account, so that a run logs in once."""
    return Rpc(base_url, database, user, password, has_company=has_company)


def utc_stamp(moment: datetime) -> str:
    """Tryton's timestamps are naive and in UTC; ours say so, and sort as text."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def number_text(value: Any) -> str | None:
    """A number of Tryton's as text, without an exponent and without zeros that only come from a float."""
    if value is None:
        return None
    text = f"{Decimal(value):f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _changes(method: str) -> bool:
    return method.rsplit(".", 1)[-1] in CHANGES


def _never_sent(error: requests.exceptions.ConnectionError) -> bool:
    cause = error.args[0] if error.args else None
    reason = cause.reason if isinstance(cause, MaxRetryError) else cause
    return isinstance(reason, NewConnectionError | ConnectTimeoutError)


def _sentence(error: Any) -> str:
    """Tryton says ("UserError", (message, description, domain)), or for its own faults (text, traceback)."""
    kind, *details = error if isinstance(error, list) else [str(error)]
    if kind == "UserError":
        message, description = details[0][0], details[0][1]
    elif kind == "UserWarning":
        message, description = details[0][1], details[0][2]
    elif kind == "ConcurrencyException":
        message, description = "Somebody else changed the record at the same time.", ""
    else:
        message, description = f"Tryton failed inside: {kind}", ""
    return f"{message} {description}".replace("\n", " ").strip()


def _encode(value: Any) -> Any:
    if isinstance(value, Decimal):
        return {"__class__": "Decimal", "decimal": str(value)}
    if isinstance(value, datetime):
        parts = ("year", "month", "day", "hour", "minute", "second", "microsecond")
        return {"__class__": "datetime", **{part: getattr(value, part) for part in parts}}
    if isinstance(value, date):
        return {"__class__": "date", "year": value.year, "month": value.month, "day": value.day}
    raise TypeError(f"Tryton has no JSON for {type(value).__name__}")


def _decode(said: dict[str, Any]) -> Any:
    match said.get("__class__"):
        case "Decimal":
            return Decimal(said["decimal"])
        case "datetime":
            return datetime(
                *(said[part] for part in ("year", "month", "day", "hour", "minute", "second", "microsecond"))
            )
        case "date":
            return date(said["year"], said["month"], said["day"])
    return said

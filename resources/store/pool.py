"""Connections that are kept: looked after before they are used again, unless they were used a moment ago."""

import time
from typing import Any

import sqlalchemy as sa

FRESH = 1.0  # seconds: a run asks hundreds of small questions, and a ping before each is a tenth of its work


def ping_when_idle(engine: sa.Engine) -> sa.Engine:
    """Ping a kept connection before it is used, where that was not a moment ago: it may have died with the server."""

    @sa.event.listens_for(engine, "checkout")
    def checkout(connection: Any, record: Any, _: Any) -> None:
        used_at = record.info.get("used_at")
        if used_at is None or time.monotonic() - used_at < FRESH:
            return
        try:
            engine.dialect.do_ping(connection)
        except engine.dialect.loaded_dbapi.Error as problem:
            raise sa.exc.DisconnectionError(str(problem)) from problem  # the pool tries another, a new one in the end

    @sa.event.listens_for(engine, "checkin")
    def checkin(_: Any, record: Any) -> None:
        record.info["used_at"] = time.monotonic()

    return engine

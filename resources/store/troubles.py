"""What keeps the database or the warehouse from doing its work, in a sentence for the person who can mend it."""

import re
from dataclasses import dataclass
from typing import Any

LONGEST_REASON = 300  # characters


@dataclass(frozen=True)
class Trouble:
    """One kind of trouble, and by what it is known: SQLSTATE where the server tells one, else words of the message."""

    state: str  # follows "the database"
    todo: str
    codes: tuple[
        str, ...
    ] = ()  # SQLSTATEs or their beginnings: https://www.postgresql.org/docs/current/errcodes-appendix.html
    words: str = "(?!)"
    whose: str = "the database"

    def sentence(self, reason: str) -> str:
        """What is wrong, and what to do."""
        return f"{self.whose} {self.state} ({reason}); {self.todo}"


SLOW = Trouble(
    "took longer than its statement_timeout allows",
    "see in pg_stat_activity what slows it, or raise statement_timeout for Concord's user",
    words="due to statement timeout",
)
CANCELLED = Trouble(
    "was told to cancel what Concord asked", "see who cancels statements there", words="due to user request"
)
UNREACHABLE = Trouble(
    "cannot be reached",
    "see that it runs (`concord run` starts the embedded one), or mend CONCORD_DATABASE_URL",
    ("08",),
    "Connection refused|timeout expired|timed out|translate host|resolve host|No route|unreachable|Connection reset"
    "|no answer within|server closed the connection|connection is lost|connection is closed|connection is bad|No such file or directory",
)
OTHER = Trouble("did not do what Concord asked", "its log tells more")
KINDS = (
    Trouble(
        "is read-only",
        "it may have failed over: let CONCORD_DATABASE_URL name the server that takes writes",
        ("25006",),
        "read-only transaction|during recovery|session is read-only|session is not read-only",
    ),
    Trouble(
        "has no space left on its disk",
        "free some on the disk that holds the database",
        ("53100",),
        "No space left on device|could not extend file|Disk quota exceeded",
    ),
    Trouble(
        "has no memory left",
        "give Postgres more, or end what else uses it",
        ("53200",),
        "out of memory|out of shared memory",
    ),
    Trouble(
        "has no connection free",
        "raise max_connections or the limit of Concord's user, or end who holds the others",
        ("53300",),
        "too many clients|too many connections|connection slots are reserved",
    ),
    Trouble(
        "does not let Concord in",
        "correct user and password in CONCORD_DATABASE_URL, or the server's pg_hba.conf",
        ("28",),
        'authentication failed|no password supplied|pg_hba.conf|role ".*" does not exist|not permitted to log in',
    ),
    Trouble(
        "does not exist",
        "`concord run` makes it where its user may, or correct CONCORD_DATABASE_URL",
        ("3D000",),
        'database ".*" does not exist',
    ),
    Trouble(
        "is not prepared yet",
        "`concord run` prepares it, and so does `python -m resources.store.migrate`",
        ("42P01", "3F000"),
    ),
    Trouble(
        "does not allow Concord's user what it needs",
        "grant it to the user that CONCORD_DATABASE_URL names",
        ("42501",),
        "permission denied",
    ),
    Trouble(
        "was locked by another session for too long",
        "see in pg_locks and pg_stat_activity who holds it; if nobody should, end that session",
        ("55P03", "40P01"),
        "due to lock timeout|deadlock detected|could not obtain lock",
    ),
    Trouble(
        "ended a session that waited in its transaction",
        "raise idle_in_transaction_session_timeout and transaction_timeout for Concord's user",
        ("25P03", "25P04", "57P05"),
        "idle-in-transaction timeout|transaction timeout|idle-session timeout",
    ),
    Trouble(
        "is starting or stopping",
        "wait until it is up; its log says why",
        ("57P",),
        "system is starting up|shutting down|in recovery mode|not yet accepting|administrator command|crash of another",
    ),
    Trouble(
        "cannot read or write its own files",
        "look at its log and its disk before anything else is written",
        ("58", "XX001", "XX002"),
        "could not (?:read|write|open|fsync) |Input/output error",
    ),
    Trouble(
        "cannot be spoken to over TLS",
        "correct sslmode and the certificates in CONCORD_DATABASE_URL",
        words="SSL|certificate",
    ),
    SLOW,
    CANCELLED,
    UNREACHABLE,
)
FULL = Trouble(
    "have no space left on their disk",
    "free some on the disk of CONCORD_LAKE and of CONCORD_SPILL",
    words="No space left on device|Disk quota exceeded|max_temp_directory_size",
    whose="the warehouse's files",
)
UNREADABLE = Trouble(
    "cannot be read or written", "see that CONCORD_LAKE is there and Concord's to write", whose="the warehouse's files"
)
FROM_POSTGRES = re.compile(r"\b[Pp]ostgres|(?:ERROR|FATAL): {1,2}\S|connection to server")
SAID_BY_POSTGRES = re.compile(r"connection to server at .+|(?:ERROR|FATAL): .+")


def trouble_of(problem: BaseException) -> Trouble | None:
    """What kind of trouble a driver's, DuckDB's or dbt's error tells of; None when it tells of a fault in what was asked."""
    told: Any = getattr(problem, "orig", None) or problem
    text, code = str(told), getattr(told, "sqlstate", None) or getattr(told, "pgcode", None)
    if _is_of(told, "psycopg", "psycopg2"):
        return _known(code, text) or (OTHER if _is_of(told, kind="OperationalError") else None)
    if not (_is_of(told, kind="IOException|TransactionException|OutOfMemoryException") or "IO Error: " in text):
        return None  # of DuckDB's errors, the others quote what records hold; dbt names the kind before the text
    if FROM_POSTGRES.search(text):
        return _known(None, text)
    if re.search(FULL.words, text):
        return FULL
    return UNREADABLE if _is_of(told, kind="IOException") else None


def sentence_of(problem: BaseException) -> str | None:
    """The trouble, the driver's reason for it, and what to do; None as above."""
    found = trouble_of(problem)
    return found.sentence(reason_of(problem)) if found else None


def reason_of(problem: BaseException) -> str:
    """What the server said, in one line: no statement, no values."""
    text = str(getattr(problem, "orig", None) or problem).strip()
    said = SAID_BY_POSTGRES.search(text)
    return (said[0] if said else (text.splitlines() or [type(problem).__name__])[0])[:LONGEST_REASON]


def _known(code: str | None, text: str) -> Trouble | None:
    if code and code != "57014":  # query_canceled, for which there are several reasons
        return next((kind for kind in KINDS if code.startswith(kind.codes)), None)
    return next((kind for kind in KINDS if re.search(kind.words, text)), None)


def _is_of(problem: Any, *packages: str, kind: str = "") -> bool:
    """By name, for a command that never asks the database must not load its drivers."""
    return any(
        one.__module__.partition(".")[0] in packages or one.__qualname__ in kind.split("|")
        for one in type(problem).__mro__
    )

"""Where things are and listen: every environment variable that Concord reads for itself, with its default."""

import os
from pathlib import Path
from urllib.parse import quote

ROOT = Path(__file__).resolve().parents[2]


class BadSetting(ValueError):
    """An environment variable is missing or makes no sense; the message names it and the fix."""


def port(name: str, default: int) -> int:
    """The port CONCORD_<NAME>_PORT, or its default. Raises BadSetting."""
    variable = f"CONCORD_{name}_PORT"
    text = os.environ.get(variable, str(default))
    if not text.isdigit() or not 0 < int(text) < 65536:
        raise BadSetting(f"{variable} is {text!r}; set it to a port number between 1 and 65535")
    return int(text)


def state_dir() -> Path:
    """The one folder that holds all state (CONCORD_STATE, default .concord/)."""
    return Path(os.environ.get("CONCORD_STATE", ROOT / ".concord")).resolve()


def warm_socket() -> Path:
    """Where the warm process listens."""
    return state_dir() / "warm.sock"


def database_url() -> str:
    """The operational database (CONCORD_DATABASE_URL; without it the embedded server's)."""
    return (
        os.environ.get("CONCORD_DATABASE_URL") or f"postgresql://postgres@127.0.0.1:{port('POSTGRES', 15432)}/concord"
    )


def dagster_url() -> str:
    """Dagster's own storage: the same database, schema `dagster`, in the spelling that dagster-postgres needs.

    Its events do not wait for the disk: a power cut may cost the last of them, and none of our books.
    """
    url = "postgresql+psycopg2://" + database_url().split("://", 1)[1]
    return url + ("&" if "?" in url else "?") + "options=" + quote("-csearch_path=dagster -csynchronous_commit=off")


def lake() -> str:
    """The folder or object store of the lake's files (CONCORD_LAKE)."""
    return os.environ.get("CONCORD_LAKE") or str(state_dir() / "lake")

"""How the operational database is reached: the words that its address says, for whoever opens a connection."""

from urllib.parse import urlsplit

import duckdb
import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from resources.host.settings import BadSetting

# Noticing that the other end has gone, in seconds (tcp_user_timeout in milliseconds): by itself TCP asks after two hours,
# and goes on sending for a quarter of one. Any of them in the address wins.
STEADY = {
    "connect_timeout": "5",
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "25000",
}


def words(url: str) -> dict[str, str]:
    """What the address says, in libpq's words, unquoted, and how a connection stays steady. Raises BadSetting, which quotes none of it: where an address
    cannot be read, a part of its password stands where a host or a port should."""
    try:
        parts = urlsplit(url)
        if not parts.scheme.startswith("postgres") or "@" in parts.path:
            raise ValueError
        told = {name: str(value) for name, value in conninfo_to_dict(url).items()}
        if not all(port.isdigit() for port in told.get("port", "0").split(",")):
            raise ValueError
    except (ValueError, psycopg.Error):
        raise BadSetting(
            "CONCORD_DATABASE_URL is no address that Postgres can read; write it as postgresql://user:password@host:5432/name, "
            "with every other sign than letters and digits in a name or password in percent-encoding (%2F for /, %25 for %, "
            "%20 for a space)"
        ) from None
    return STEADY | told


def address(url: str) -> str:
    """Host, port and name of the database, without its user and password. Raises BadSetting."""
    told = words(url)
    return f"{told.get('host', 'localhost')}:{told.get('port', '5432')}/{told.get('dbname', '')}"


def attachment(url: str) -> str:
    """The address as DuckDB's extensions read it, without the password: DuckDB quotes these words in its errors."""
    return make_conninfo(**{name: value for name, value in words(url).items() if name != "password"})


def password(url: str) -> str:
    """The password of the address, or nothing."""
    return words(url).get("password", "")


def let_in(connection: duckdb.DuckDBPyConnection, password: str) -> None:
    """Give this password to every Postgres that the database of that connection attaches from now on."""
    if password:
        connection.execute("load postgres; create or replace secret (type postgres, password ?)", [password])

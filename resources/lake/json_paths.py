"""Paths into JSON as we write them: `$.line_items[].tax_lines[].rate`. Every element of a list has one path."""

import re

STEP = re.compile(r"""\.("[^"]*"|[^.\[\]"]+)|\[(\d+|\*|#-\d+)\]""")
LAST_STEP = re.compile(r'(\[\]|\.(?:"[^"]*"|[^.\[\]"]+))$')
PLAIN_KEY = re.compile(r"[\w$@#:/ -]{1,64}")
DATA_KEY = re.compile(r"\d{3,}|@.+\.|[0-9a-f]{16}|^\d+$")  # a number, an address or a hash: a map of things, no field


def key_of(key: str) -> str:
    """A key as it stands in a path: in quotes where it is no word, `*` where it is data."""
    if DATA_KEY.search(key) or not PLAIN_KEY.fullmatch(key):
        return "*"
    return key if re.fullmatch(r"[\w$@#-]+", key) else f'"{key}"'


def path_of(place: str, below: str = "$") -> str:
    """A place of DuckDB's as a path: `$.rows[0].name` is `$.rows[].name`."""
    return below + "".join("[]" if match[2] else "." + key_of(match[1].strip('"')) for match in STEP.finditer(place))


def place_of(path: str) -> str:
    """A path as a place of DuckDB's, which finds what every element holds."""
    return path.replace("[]", "[*]")


def parent_of(path: str) -> str:
    """The path of the object or list in which a path lies."""
    return LAST_STEP.sub("", path)


def around(path: str) -> list[str]:
    """The paths in which a path lies, from the inside to `$`."""
    found = []
    while path != "$":
        path = parent_of(path)
        found.append(path)
    return found


def covers(outer: str, path: str) -> bool:
    """Whether a path is this one or lies beneath it."""
    return path == outer or path.startswith((outer + ".", outer + "["))

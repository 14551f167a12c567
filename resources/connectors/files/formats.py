"""Records out of CSV, XML, JSON and JSONL files, as JSON text in which every number is a string.

A file is read whole or not at all: what makes all of it doubtful raises BadFile before its first record is handed out.
What makes one row doubtful makes that row a record whose payload says so under `problem`: no row is lost.
"""

import os
from collections.abc import Iterator
from typing import IO

from resources.connectors.files.csv import read_csv
from resources.connectors.files.json import read_json, read_jsonl
from resources.connectors.files.spec import BadFile, FileSpec, Record
from resources.connectors.files.xml import read_xml

LARGEST_IN_MEMORY = 1 << 26  # bytes: JSON, and rows that `one_message_per` gathers, are read as a whole
READERS = {"csv": read_csv, "xml": read_xml, "json": read_json, "jsonl": read_jsonl}


def read_records(spec: FileSpec, file: IO[bytes]) -> Iterator[Record]:
    """The records of one file, in its order. Raises BadFile."""
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    if size > LARGEST_IN_MEMORY and (spec.format == "json" or spec.one_message_per):
        raise BadFile(f"the file has {size} bytes, more than {LARGEST_IN_MEMORY}; send it in parts")
    if not size:
        raise BadFile("the file is empty")
    try:
        yield from READERS[spec.format](spec, file)
    except RecursionError:
        raise BadFile("the file is nested too deep") from None

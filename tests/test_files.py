"""Files: each finished one is taken once, whatever its name, dialect or faults, from a folder and over real SFTP."""

import csv
import io
import json
import os
import signal
import threading
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, assume, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from resources.connectors.connector import Message, Page, Unreachable
from resources.connectors.files import folders
from resources.connectors.files.connector import Drop
from resources.connectors.files.csv import plain_number
from resources.connectors.files.formats import read_records
from resources.connectors.files.spec import FileSpec
from resources.sandbox.dropping import drop
from resources.sandbox.wholesale import drop_folder
from resources.store.files_taken import keep_file_page, open_file_problems
from resources.store.inbox import cursor_of
from resources.store.store import Store
from tests.fixtures_sftp import Place, Sftp

COUNTS: dict[str, Any] = {
    "glob": "counts/*.csv", "format": "csv", "delimiter": ";", "decimal": ",", "numbers": ["Bestand"],
    "encoding": "iso-8859-1",
}  # fmt: skip
PLAIN: dict[str, Any] = {"glob": "in/*.csv", "format": "csv"}
PARCELS: dict[str, Any] = {"glob": "despatch/*.xml", "format": "xml", "encoding": "utf-8", "row": "/despatch/parcel"}


def pages_of(connector: Drop, stream: str, cursor: str | None = None) -> list[Page]:
    return list(connector.changed_since(stream, cursor))


def messages_of(pages: list[Page]) -> list[Message]:
    return [message for page in pages for message in page.messages]


def said(pages: list[Page]) -> list[Any]:
    return [json.loads(message.payload) for message in messages_of(pages)]


def read(content: str | bytes, **spec: Any) -> list[Any]:
    """What the readers make of a file."""
    file = io.BytesIO(content.encode() if isinstance(content, str) else content)
    of = FileSpec.of("test", {"glob": "x/*", **spec})
    return [(record.row_number, json.loads(record.payload), record.body) for record in read_records(of, file)]


def problem_of(page: Page) -> str:
    assert page.file is not None
    assert page.file.problem is not None
    return page.file.problem


# -- which files, and when -------------------------------------------------------------------------------------------


def test_a_file_is_taken_row_by_row_and_ends_with_its_entry_for_the_books(place: Place) -> None:
    place.write("in/a.csv", "sku,count\r\nMUG,3\r\nTEE,1\r\n")
    connector = place.drop(stock=PLAIN)
    assert connector.has_changed("stock", None)
    (page,) = pages_of(connector, "stock")
    assert said([page]) == [{"sku": "MUG", "count": "3"}, {"sku": "TEE", "count": "1"}]
    assert [(m.file_name, m.row_number, m.body) for m in page.messages] == [
        ("in/a.csv", 2, b"MUG,3\r\n"),
        ("in/a.csv", 3, b"TEE,1\r\n"),
    ]
    assert page.file is not None
    assert (page.file.name, page.file.size_bytes, page.file.messages, page.file.problem) == ("in/a.csv", 25, 2, None)
    assert {message.file_occurrence for message in page.messages} == {page.file.occurrence}
    assert pages_of(connector, "stock", page.cursor) == []
    assert not connector.has_changed("stock", page.cursor)


def test_a_file_that_still_grows_is_left_until_two_looks_find_it_the_same(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = place.write("in/slow.csv", "sku\n")

    def grow() -> None:
        with path.open("ab") as file:
            file.write(b"MUG\n")

    def wait_while_it_grows(seconds: float) -> None:
        grow()
        time.sleep(seconds)

    cursor = None
    with monkeypatch.context() as patch:
        patch.setattr(
            "resources.connectors.files.connector.time", SimpleNamespace(time=time.time, sleep=wait_while_it_grows)
        )
        for _ in range(4):
            grow()
            pages = pages_of(place.drop(stock=PLAIN), "stock", cursor)
            assert messages_of(pages) == []
            assert all(page.file is None for page in pages)
            cursor = pages[-1].cursor
            time.sleep(0.06)  # longer than the drop wants a file to be quiet
    assert place.drop(stock=PLAIN).has_changed("stock", cursor)
    pages = pages_of(place.drop(stock=PLAIN), "stock", cursor)
    assert said(pages) == [{"sku": "MUG"}] * 8


def test_an_upload_over_sftp_is_taken_whole_while_it_is_polled_symptom_47(sftp_place: Callable[[], Place]) -> None:
    place = sftp_place()
    (place.path / "in").mkdir()
    content = b"sku\n" + b"MUG\n" * 100_000
    uploader = threading.Thread(target=drop, args=(place.url, place.password, {"in/big.csv": content}))
    uploader.start()
    cursor, taken = None, []
    for _ in range(60):
        for page in place.drop(stock=PLAIN).changed_since("stock", cursor):
            cursor = page.cursor
            taken += [page.file] if page.file else []
        if taken and not uploader.is_alive():
            break
    uploader.join()
    assert [(file.size_bytes, file.messages) for file in taken] == [(len(content), 100_000)]


def test_a_file_that_changes_after_the_looks_waits_for_the_next_poll(place: Place) -> None:
    first, second = place.write("in/a.csv", "sku\nMUG\n"), place.write("in/b.csv", "sku\nTEE\n")
    for path, age in ((first, 200), (second, 100)):
        os.utime(path, (time.time() - age, time.time() - age))
    connector = place.drop(stock=PLAIN)
    pages = connector.changed_since("stock", None)
    cursor = next(pages).cursor  # of the first file; the looks at the second are behind us
    with second.open("a") as file:
        file.write("CAP\n")
    assert messages_of(list(pages)) == []
    assert said(pages_of(connector, "stock", cursor)) == [{"sku": "TEE"}, {"sku": "CAP"}]


def test_an_earlier_look_in_the_cursor_saves_the_wait(place: Place) -> None:
    place.write("in/a.csv", "sku\nMUG\n")
    patient = place.drop(stock=PLAIN).model_copy(update={"quiet_seconds": 5.0})
    mark = next(iter(json.loads(pages_of(place.drop(stock=PLAIN), "stock")[-1].cursor or "")["taken"].values()))[0]
    earlier = json.dumps({"looks": {"in/a.csv": [mark, time.time() - 6]}, "taken": {}})
    started = time.monotonic()
    assert len(messages_of(pages_of(patient, "stock", earlier))) == 1
    assert time.monotonic() - started < 4


@pytest.mark.parametrize(
    "name", ["a.csv.part", "a.csv.tmp", "A.CSV.FILEPART", ".a.csv", "..%2f..%2fa.csv", "a.csv~", "b.txt"]
)
def test_an_upload_under_a_temporary_name_is_not_seen(place: Place, name: str) -> None:
    place.write(f"in/{name}", "sku\nMUG\n")
    connector = place.drop(stock={**PLAIN, "glob": "in/*"} if name != "b.txt" and "~" not in name else PLAIN)
    assert not connector.has_changed("stock", None)
    assert pages_of(connector, "stock") == []


def test_a_file_sent_again_unchanged_brings_nothing_new(place: Place) -> None:
    path = place.write("in/a.csv", "sku\nMUG\n")
    connector = place.drop(stock=PLAIN)
    cursor = pages_of(connector, "stock")[-1].cursor
    os.utime(path, (time.time() - 500, time.time() - 500))
    assert connector.has_changed("stock", cursor)
    pages = pages_of(connector, "stock", cursor)
    assert messages_of(pages) == []
    assert not connector.has_changed("stock", pages[-1].cursor)


def test_the_same_name_with_new_content_is_new_and_so_is_the_same_content_under_a_new_name(place: Place) -> None:
    path = place.write("in/a.csv", "sku,count\nMUG,3\n")
    connector = place.drop(stock=PLAIN)
    first = pages_of(connector, "stock")[-1]
    path.unlink()
    place.write("in/a.csv", "sku,count\nMUG,3\nTEE,12\n")  # corrected
    second = pages_of(connector, "stock", first.cursor)[-1]
    assert len(second.messages) == 2
    place.write("in/b.csv", "sku,count\nMUG,3\nTEE,12\n")
    third = pages_of(connector, "stock", second.cursor)[-1]
    assert [message.file_name for message in third.messages] == ["in/b.csv", "in/b.csv"]
    assert len({page.file.occurrence for page in (first, second, third) if page.file}) == 3


def test_files_are_taken_in_the_order_in_which_they_were_sent(place: Place) -> None:
    for name, age in (("c", 300), ("a", 200), ("b", 100)):
        os.utime(place.write(f"in/{name}.csv", "sku\nMUG\n"), (time.time() - age, time.time() - age))
    assert [m.file_name for m in messages_of(pages_of(place.drop(stock=PLAIN), "stock"))] == [
        "in/c.csv",
        "in/a.csv",
        "in/b.csv",
    ]


@pytest.mark.parametrize(
    "name",
    [
        "two words.csv", "Lagerbestand Köln ☃.csv", "line\nbreak.csv", "$(touch pwned).csv", "-rf *.csv", "a;b&c|d.csv",
        "a%2f..%2f..%2fetc%2fpasswd.csv", "a\\..\\..\\b.csv", "'; drop table inbox; --.csv", "ORDERS.CSV", "[ab]*.csv", "a..csv",
    ],
)  # fmt: skip
def test_names_are_data_and_never_paths(place: Place, name: str) -> None:
    place.write(f"in/{name}", "sku\nMUG\n")
    pages = pages_of(place.drop(stock=PLAIN), "stock")
    assert [message.file_name for message in messages_of(pages)] == [f"in/{name}"]
    assert sorted(path.name for path in place.path.rglob("*")) == sorted(["in", name])  # nothing was written or run


def test_a_name_that_is_no_unicode_is_taken_and_shown_readably(place: Place) -> None:
    (place.path / "in").mkdir()
    (Path(os.fsdecode(bytes(place.path) + b"/in/K\xf6ln.csv"))).write_bytes(b"sku\nMUG\n")
    connector = place.drop(stock=PLAIN)
    pages = pages_of(connector, "stock")
    assert [message.file_name for message in messages_of(pages)] == ["in/K\\xf6ln.csv"]
    assert pages_of(connector, "stock", pages[-1].cursor) == []


@pytest.mark.parametrize("glob", ["../*.csv", "in/../../*.csv", "/etc/*.csv", "", "in//*.csv"])
def test_a_glob_that_leaves_the_folder_is_refused(glob: str) -> None:
    with pytest.raises(ValueError, match="must name files below the drop folder"):
        Drop(url="file:///tmp", streams={"stock": {**PLAIN, "glob": glob}}).has_changed("stock", None)


def test_links_are_not_followed(place: Place, tmp_path_factory: pytest.TempPathFactory) -> None:
    outside = tmp_path_factory.mktemp("outside")
    (outside / "secret.csv").write_text("sku\nSECRET\n")
    place.write("in/real.csv", "sku\nMUG\n")
    (place.path / "in" / "link.csv").symlink_to(outside / "secret.csv")
    (place.path / "in" / "inside.csv").symlink_to(place.path / "in" / "real.csv")
    (place.path / "away").symlink_to(outside)
    os.mkfifo(place.path / "in" / "pipe.csv")
    (place.path / "in" / "folder.csv").mkdir()
    connector = place.drop(stock=PLAIN, any={**PLAIN, "glob": "*/*.csv"})
    for stream in ("stock", "any"):
        pages = pages_of(connector, stream)
        assert said(pages) == [{"sku": "MUG"}]
        assert [page.file.name for page in pages if page.file] == ["in/real.csv"]  # nor told as unreadable


def test_a_folder_that_is_not_there_is_told(place: Place) -> None:
    with pytest.raises(Unreachable, match="in"):
        place.drop(stock=PLAIN).has_changed("stock", None)


def test_a_file_that_may_not_be_read_is_told_once(
    sftp_place: Callable[[], Place], monkeypatch: pytest.MonkeyPatch
) -> None:
    place = sftp_place()
    place.write("in/a.csv", "sku\nMUG\n")
    place.write("in/b.csv", "sku\nTEE\n")
    connector = Drop(url=f"file://{place.path}", streams={"stock": PLAIN}, quiet_seconds=0.1)
    real_open = os.open

    def refusing(
        path: Any, *arguments: Any, **options: Any
    ) -> int:  # root may read everything: the system says no for it
        if str(path).endswith("a.csv"):
            raise PermissionError(13, "Permission denied")
        return real_open(path, *arguments, **options)

    monkeypatch.setattr(os, "open", refusing)
    pages = pages_of(connector, "stock")
    assert "Permission denied" in problem_of(pages[0])
    assert said(pages) == [{"sku": "TEE"}]
    assert pages_of(connector, "stock", pages[-1].cursor) == []


# -- what cannot be read, and is told --------------------------------------------------------------------------------

BOMB = "<!DOCTYPE d [<!ENTITY a 'ha'><!ENTITY b '&a;&a;&a;&a;&a;&a;&a;&a;'>]><despatch><parcel>&b;</parcel></despatch>"
THIEF = "<!DOCTYPE d [<!ENTITY a SYSTEM 'file:///etc/passwd'>]><despatch><parcel>&a;</parcel></despatch>"


@pytest.mark.parametrize(
    ("spec", "content", "problem"),
    [
        (PLAIN, b"", "empty"),
        (PLAIN, b"\n\n", "empty"),
        (PLAIN, b"sku\nMUG\nK\xf6ln\n", "not utf-8: byte 0xf6 about row"),
        ({**PLAIN, "encoding": "ascii"}, "sku\nKöln\n".encode(), "not ascii"),
        (PLAIN, b'sku,count\nMUG,3\n"TEE,4\nCAP,5\n', "quote that opens in row 3 is not closed"),
        (PLAIN, b"sku,sku\nMUG,3\n", "'sku' twice"),
        (COUNTS, b"Artikel,Bestand\nMUG,3\n", "no column 'Bestand'; split at ';' it has 'Artikel,Bestand'"),
        ({**PLAIN, "columns": ["sku", "count"]}, b"sku,stock\nMUG,3\n", "no column 'count'"),
        ({**PLAIN, "one_message_per": "order"}, b"sku\nMUG\n", "no column 'order'"),
        (PARCELS, b"<despatch><parcel></despatch>", "malformed: mismatched tag"),
        (PARCELS, b"<despatch><parcel><order>1</order></parcel><parc", "malformed"),
        (PARCELS, b"<orders><parcel/></orders>", "root element is <orders> where the map expects <despatch>"),
        (PARCELS, b"\xff\xfe\x00", "malformed"),
        (PARCELS, BOMB.encode(), "entities, which are refused"),
        (PARCELS, THIEF.encode(), "entities, which are refused"),
        ({**PLAIN, "format": "json"}, b'[{"a": 1}', "JSON is malformed"),
        ({**PLAIN, "format": "json"}, b'"text"', "no list at its top"),
        ({**PLAIN, "format": "json", "row": "/data"}, b'{"orders": []}', "no list at /data"),
        ({**PLAIN, "format": "json"}, b"[" * 100_000, "nested too deep"),
    ],
)
def test_a_file_that_cannot_be_read_is_told_once_and_its_correction_is_taken(
    tmp_path: Path, spec: dict[str, Any], content: bytes, problem: str
) -> None:
    place = Place(f"file://{tmp_path}", None, tmp_path)
    name = spec["glob"].replace("*", "a")
    place.write(name, content)
    connector = place.drop(stream=spec)
    (page,) = pages_of(connector, "stream")
    assert page.messages == []  # half a file would pass for a short one
    assert problem in problem_of(page)
    assert pages_of(connector, "stream", page.cursor) == []
    good = {
        "csv": "sku;count;Bestand;order\n1;2;3;4\n".replace(";", spec.get("delimiter", ",")),
        "xml": "<despatch><parcel>1</parcel></despatch>",
        "json": '{"data": [{}]}' if "row" in spec else "[{}]",
    }
    place.write(name, good[spec["format"]])
    (page,) = pages_of(connector, "stream", page.cursor)
    assert len(page.messages) == 1


def test_a_file_that_the_map_declared_wrongly_is_tried_again_once_the_map_is_corrected(place: Place) -> None:
    place.write("in/a.csv", "sku\nKöln\n".encode("iso-8859-1"))
    place.write("in/b.csv", "sku\nMUG\n")
    pages = pages_of(place.drop(stock=PLAIN), "stock")
    assert said(pages) == [{"sku": "MUG"}]
    corrected = place.drop(stock={**PLAIN, "encoding": "iso-8859-1"})
    assert corrected.has_changed("stock", pages[-1].cursor)
    assert said(pages_of(corrected, "stock", pages[-1].cursor)) == [{"sku": "Köln"}]


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"format": "edi"}, "format 'edi' is not one of"),
        ({"delimiter": ";;"}, "is not one character"),
        ({"decimal": "'"}, "neither '.' nor ','"),
        ({"encoding": "latin-99"}, "encoding 'latin-99' is unknown"),
        ({"format": "xml", "row": "parcel"}, "must be a path from the root"),
    ],
)
def test_a_wrong_declaration_is_refused_in_a_sentence(wrong: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        FileSpec.of("stock", {**PLAIN, **wrong})


# -- CSV -------------------------------------------------------------------------------------------------------------


def test_a_warehouse_count_in_the_german_way_comes_out_plain() -> None:
    content = "Artikel;Lager;Bestand\r\nTEE;Köln;1.234,50\r\nMUG;Köln;12\r\n".encode("iso-8859-1")
    assert [row for _, row, _ in read(content, **{**COUNTS, "glob": "x/*"})] == [
        {"Artikel": "TEE", "Lager": "Köln", "Bestand": "1234.50"},
        {"Artikel": "MUG", "Lager": "Köln", "Bestand": "12"},
    ]


@pytest.mark.parametrize(
    ("text", "decimal", "plain"),
    [
        ("1.234,50", ",", "1234.50"), ("1.234.567", ",", "1234567"), ("1 234,5", ",", "1234.5"), ("-12,5", ",", "-12.5"),
        ("12,5-", ",", "-12.5"), ("+3", ",", "3"), (",5", ",", "0.5"), (" 7 ", ",", "7"), ("1'234,5", ",", "1234.5"),
        ("1,234.50", ".", "1234.50"), ("12.5", ".", "12.5"), ("0012", ".", "0012"), ("", ",", ""), (" ", ",", " "),
        ("12.5", ",", "12.5 (no number with decimal mark ',')"), ("1.23.456", ",", "1.23.456 (no number with decimal mark ',')"),
        ("n/a", ",", "n/a (no number with decimal mark ',')"), ("-1-", ",", "-1- (no number with decimal mark ',')"),
        ("1.234'567", ",", "1.234'567 (no number with decimal mark ',')"), ("-", ",", "- (no number with decimal mark ',')"),
        ("٣", ",", "٣ (no number with decimal mark ',')"), ("1e3", ".", "1e3 (no number with decimal mark '.')"),
    ],
)  # fmt: skip
def test_a_number_in_another_spelling_than_declared_is_never_guessed(text: str, decimal: str, plain: str) -> None:
    assert plain_number(text, decimal) == plain


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "UTF-8", "iso-8859-1", "cp1252", "utf-16"])
def test_encodings_and_byte_order_marks_leave_no_trace(encoding: str) -> None:
    content = "sku,name\n1,Größe\n".encode(encoding)
    assert [row for _, row, _ in read(content, format="csv", encoding=encoding)] == [{"sku": "1", "name": "Größe"}]
    with_mark = "﻿sku,name\n1,Größe\n".encode()
    assert [row for _, row, _ in read(with_mark, format="csv", encoding=encoding)] == [{"sku": "1", "name": "Größe"}]


def test_quoted_cells_keep_their_line_breaks_and_the_rows_their_own_bytes() -> None:
    content = 'sku;note\r\nMUG;"first\r\nsecond; ""so"""\r\n\r\nTEE;x\r\n'
    assert read(content, format="csv", delimiter=";") == [
        (2, {"sku": "MUG", "note": 'first\r\nsecond; "so"'}, b'MUG;"first\r\nsecond; ""so"""\r\n'),
        (4, {"sku": "TEE", "note": "x"}, b"TEE;x\r\n"),
    ]


def test_a_row_of_the_wrong_width_or_with_broken_quotes_is_a_message_that_says_so() -> None:
    rows = read('sku,count\nMUG,3,9\nTEE\n"CAP"x,1\nBAG,4\n', format="csv")
    assert rows == [
        (2, {"problem": "row 2 has 3 columns where the header has 2", "cells": ["MUG", "3", "9"]}, b"MUG,3,9\n"),
        (3, {"problem": "row 3 has 1 columns where the header has 2", "cells": ["TEE"]}, b"TEE\n"),
        (4, {"problem": "row 4 has text right after a closing quote", "text": '"CAP"x,1\n'}, b'"CAP"x,1\n'),
        (5, {"sku": "BAG", "count": "4"}, b"BAG,4\n"),
    ]


def test_rows_of_one_invoice_are_one_message_with_its_broken_line_among_them() -> None:
    content = 'No,sku,n\n1,MUG,2\n2,TEE,1\n1,CAP,3,x\n2,BAG,5\n"9"y,1\n'
    rows = read(content, format="csv", one_message_per="No")
    assert [(number, row) for number, row, _ in rows] == [
        (
            2,
            {
                "No": "1",
                "rows": [
                    {"No": "1", "sku": "MUG", "n": "2", "row_number": "2"},
                    {
                        "problem": "row 4 has 4 columns where the header has 3",
                        "cells": ["1", "CAP", "3", "x"],
                        "row_number": "4",
                    },
                ],
            },
        ),
        (
            3,
            {
                "No": "2",
                "rows": [
                    {"No": "2", "sku": "TEE", "n": "1", "row_number": "3"},
                    {"No": "2", "sku": "BAG", "n": "5", "row_number": "5"},
                ],
            },
        ),
        (
            6,
            {
                "rows": [
                    {"problem": "row 6 has text right after a closing quote", "text": '"9"y,1\n', "row_number": "6"}
                ]
            },
        ),
    ]
    assert rows[0][2] == b"1,MUG,2\n1,CAP,3,x\n"


cells = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)


@given(
    rows=st.lists(st.lists(cells, min_size=3, max_size=3), max_size=8),
    delimiter=st.sampled_from(",;\t|"),
    line_end=st.sampled_from(["\r\n", "\n", "\r"]),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
)
@hypothesis_settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_whatever_is_written_as_csv_comes_back_the_same(
    rows: list[list[str]], delimiter: str, line_end: str, quoting: Any, encoding: str
) -> None:
    unquoted = {"\n": "\r", "\r": "\n"}.get(
        line_end
    )  # the other half of a line break, which Python 3.11 forgets to quote
    assume(quoting == csv.QUOTE_ALL or unquoted is None or not any(unquoted in cell for row in rows for cell in row))
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=delimiter, lineterminator=line_end, quoting=quoting)
    writer.writerows([["a", "b", "c"], *rows])
    content = text.getvalue().encode(encoding)
    assert [
        list(row.values()) for _, row, _ in read(content, format="csv", delimiter=delimiter, encoding=encoding)
    ] == rows


# -- XML and JSON ----------------------------------------------------------------------------------------------------


def test_a_despatch_note_becomes_one_message_a_parcel() -> None:
    note = """<?xml version="1.0" encoding="ISO-8859-1"?>
    <despatch xmlns="urn:example"><!-- morning -->
      <parcel><parcel>P-1</parcel><order>SHOP-1</order><carrier>K\xf6nig &amp; Co</carrier>
        <lines><line><sku>MUG</sku><quantity>2</quantity></line></lines></parcel >
      <pallet><parcel>not a row</parcel></pallet>
      <parcel weight="1>0"><parcel>P-2</parcel><note/><tag>a</tag><tag>b</tag>
        <lines><line><sku>A</sku></line><line><sku>B</sku></line></lines></parcel>
      <parcel><parcel>P-3</parcel><lines/></parcel>
    </despatch>""".encode("iso-8859-1")
    rows = read(note, format="xml", row="/despatch/parcel")
    assert [row for _, row, _ in rows] == [
        {
            "parcel": "P-1",
            "order": "SHOP-1",
            "carrier": "König & Co",
            "lines": [{"sku": "MUG", "quantity": "2"}],
        },
        {"@weight": "1>0", "parcel": "P-2", "note": "", "tag": ["a", "b"], "lines": [{"sku": "A"}, {"sku": "B"}]},
        {"parcel": "P-3", "lines": []},
    ]
    assert [number for number, _, _ in rows] == [1, 2, 3]
    assert all(body in note and body.startswith(b"<parcel") and body.endswith(b">") for _, _, body in rows)
    assert rows[0][2].endswith(b"</parcel >")


def test_lines_written_one_beside_the_other_are_a_list_too() -> None:
    note = (
        "<d><p><lines><sku>A</sku><n>1</n></lines></p><p><lines><sku>A</sku></lines><lines><sku>B</sku></lines></p></d>"
    )
    assert [row for _, row, _ in read(note, format="xml", row="/d/p")] == [
        {"lines": [{"sku": "A", "n": "1"}]},
        {"lines": [{"sku": "A"}, {"sku": "B"}]},
    ]


def test_json_keeps_every_digit_as_text() -> None:
    assert [row for _, row, _ in read('[{"a": 10.00, "b": [1e5, true, null]}]', format="json")] == [
        {"a": "10.00", "b": ["1e5", True, None]}
    ]
    assert [row for _, row, _ in read('﻿{"data": {"orders": [1, 2]}}', format="json", row="/data/orders")] == ["1", "2"]
    assert [row for _, row, _ in read('{"id": 7}', format="json")] == [{"id": "7"}]


def test_a_broken_line_of_jsonl_is_a_message_that_says_so() -> None:
    rows = read(b'{"a": 1}\n\n{"a": \n{"a": 2.50}\n\xff\n', format="jsonl")
    assert [(number, body) for number, _, body in rows] == [
        (1, b'{"a": 1}\n'),
        (3, b'{"a": \n'),
        (4, b'{"a": 2.50}\n'),
        (5, b"\xff\n"),
    ]
    assert [row.get("a") for _, row, _ in rows] == ["1", None, "2.50", None]
    assert rows[1][1]["problem"].startswith("line 3 is not JSON")


# -- keeping ---------------------------------------------------------------------------------------------------------


def keep_all(store: Store, connector: Drop, upto: int | None = None) -> int:
    cursor = cursor_of(store, system="warehouse", stream="stock")
    kept = 0
    for number, page in enumerate(connector.changed_since("stock", cursor)):
        if number == upto:
            break
        kept += keep_file_page(store, system="warehouse", stream="stock", page=page)
    return kept


def count(store: Store, table: str) -> int:
    with store.transaction() as connection:
        return int(connection.execute(sa.text(f"select count(*) from {table}")).scalar_one())


def test_a_kill_between_two_pages_of_a_file_loses_no_row_and_doubles_none(store: Store, tmp_path: Path) -> None:
    place = Place(f"file://{tmp_path}", None, tmp_path)
    place.write("in/a.csv", "sku\n" + "".join(f"S{number}\n" for number in range(12_000)))
    connector = place.drop(stock=PLAIN)
    assert keep_all(store, connector, upto=2) == 10_000
    assert count(store, "files") == 0
    assert keep_all(store, connector) == 2_000
    assert count(store, "inbox") == 12_000
    assert store.rows("open_file_problems", system="warehouse", stream="stock") == []
    assert count(store, "files") == 1
    assert keep_all(store, connector) == 0


def test_a_page_that_cannot_be_kept_leaves_no_message_no_file_and_no_cursor(store: Store, tmp_path: Path) -> None:
    place = Place(f"file://{tmp_path}", None, tmp_path)
    place.write("in/a.csv", "sku\nMUG\n")
    (page,) = place.drop(stock=PLAIN).changed_since("stock", None)
    assert page.file is not None
    broken = Page(page.messages, "cursor \0", file=page.file)  # Postgres refuses a NUL, after the rows went in
    with pytest.raises(sa.exc.DataError):
        keep_file_page(store, system="warehouse", stream="stock", page=broken)
    assert (count(store, "inbox"), count(store, "files"), count(store, "cursors")) == (0, 0, 0)


def test_without_its_cursor_a_file_is_still_not_kept_twice(store: Store, place: Place) -> None:
    place.write("in/a.csv", "sku\nMUG\nMUG\n")
    connector = place.drop(stock=PLAIN)
    for kept in (2, 0):
        for page in connector.changed_since("stock", None):
            assert keep_file_page(store, system="warehouse", stream="stock", page=page) == kept


def test_a_problem_stays_open_until_a_later_file_of_that_name_is_read(store: Store, tmp_path: Path) -> None:
    place = Place(f"file://{tmp_path}", None, tmp_path)
    place.write("in/a.csv", b"sku\n\xff\xfe\n")
    connector = place.drop(stock=PLAIN)
    keep_all(store, connector)
    (problem,) = open_file_problems(store, system="warehouse", stream="stock")
    assert problem["file_name"] == "in/a.csv"
    assert "not utf-8" in problem["problem"]
    place.write("in/a.csv", b"sku\nMUG\n")
    assert keep_all(store, connector) == 1
    assert open_file_problems(store, system="warehouse", stream="stock") == []


# -- servers ---------------------------------------------------------------------------------------------------------


def test_a_pinned_host_key_is_held_to(sftp: Sftp, sftp_place: Callable[[], Place]) -> None:
    place = sftp_place()
    place.write("in/a.csv", "sku\nMUG\n")
    pinned = Drop(url=place.url, password=place.password, known_host=sftp.host_key, streams={"stock": PLAIN})
    assert pinned.has_changed("stock", None)
    as_in_known_hosts = pinned.model_copy(update={"known_host": f"[127.0.0.1]:{sftp.port} {sftp.host_key}"})
    assert as_in_known_hosts.has_changed("stock", None)
    other = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDlvrDGCEKUOkqKNnqcDfMbkDWUGw5OmyIH6RYjAuUeB"
    with pytest.raises(Unreachable, match="shows another host key"):
        pinned.model_copy(update={"known_host": other}).has_changed("stock", None)
    with pytest.raises(ValueError, match="must be a line of known_hosts"):
        pinned.model_copy(update={"known_host": "SHA256:abc"}).has_changed("stock", None)


def test_a_server_elsewhere_is_refused_unless_its_key_is_pinned() -> None:
    elsewhere = Drop(url="sftp://me@files.example.com/in", password="hush", streams={"stock": PLAIN})
    with pytest.raises(Unreachable, match=r"files\.example\.com:22 is not trusted: put its host key into `known_host`"):
        elsewhere.has_changed("stock", None)


def test_a_server_that_falls_silent_is_told_and_not_waited_for(
    sftp: Sftp, sftp_place: Callable[[], Place], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folders, "PATIENCE", 0.5)
    place = sftp_place()
    for name in ("a", "b"):
        place.write(f"in/{name}.csv", "sku\nMUG\n")
    pages = place.drop(stock=PLAIN).changed_since("stock", None)
    cursor = next(pages).cursor
    started = time.monotonic()
    os.kill(sftp.pid, signal.SIGSTOP)
    try:
        with pytest.raises(Unreachable, match="did not answer within"):
            next(pages)
        assert time.monotonic() - started < 10
    finally:
        os.kill(sftp.pid, signal.SIGCONT)
    monkeypatch.undo()
    assert len(messages_of(pages_of(place.drop(stock=PLAIN), "stock", cursor))) == 1


def test_a_wrong_password_is_told_without_the_password(sftp: Sftp) -> None:
    wrong = Drop(url=sftp.url("warehouse"), password="hush-hush", streams={"stock": PLAIN})
    with pytest.raises(Unreachable, match="refuses the user 'warehouse'") as caught:
        wrong.has_changed("stock", None)
    assert "hush" not in str(caught.value) + repr(wrong)


@pytest.mark.parametrize("url", ["ftp://host/in", "sftp:///in", "/srv/drop", "sftp://me:secret@127.0.0.1/in"])
def test_an_address_that_is_no_drop_folder_is_refused_in_a_sentence(url: str) -> None:
    with pytest.raises(ValueError, match="drop folder"):
        Drop(url=url, streams={"stock": PLAIN}).has_changed("stock", None)


def test_a_user_sees_nothing_above_their_own_folder(sftp: Sftp) -> None:
    above = Drop(
        url=sftp.url("warehouse", "../wholesale"), password=sftp.passwords["warehouse"], streams={"stock": PLAIN}
    )
    with pytest.raises(Unreachable):
        above.has_changed("stock", None)


# -- much ------------------------------------------------------------------------------------------------------------


def test_sixty_thousand_rows_are_read_in_pages(place: Place) -> None:
    place.write("in/a.csv", "sku,count\n" + "".join(f"SKU-{number},{number}\n" for number in range(60_000)))
    sizes = [len(page.messages) for page in place.drop(stock=PLAIN).changed_since("stock", None)]
    assert sizes == [5_000] * 12


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    place = Place(f"file://{tmp_path}", None, tmp_path)
    place.write("in/a.csv", "sku,note\n" + "".join(f"SKU-{number},{'x' * 900}\n" for number in range(40_000)))  # 36 MB
    tracemalloc.start()
    try:
        for page in place.drop(stock=PLAIN).changed_since("stock", None):
            assert len(page.messages) <= 5_000
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 45 << 20  # two pages of bodies and payloads, and the copy before it goes to disk


def test_every_file_of_a_real_retailer_comes_through_sftp(sftp: Sftp) -> None:
    """Rows and invoices of the 167 daily files, as counted independently of this project."""
    real = os.environ.get("CONCORD_REALDATA")
    if not real:
        pytest.skip("CONCORD_REALDATA is not set: the real order files are not at hand")
    days = Path(real) / "datasets" / "uci_online_retail_by_day"
    url, password = sftp.url("wholesale"), sftp.passwords["wholesale"]
    assert drop_folder(url, password, days) == 167
    spec = {"glob": "orders/*.csv", "format": "csv", "one_message_per": "InvoiceNo"}
    connector = Drop(url=url, password=password, streams={"orders": spec}, quiet_seconds=0.1)
    files, messages, rows, cursor = 0, 0, 0, None
    for page in connector.changed_since("orders", None):
        cursor = page.cursor
        files += page.file is not None and page.file.problem is None
        for message in page.messages:
            messages += 1
            rows += message.payload.count('"row_number":')
            assert '"problem":' not in message.payload
    assert (files, messages, rows) == (167, 12_795, 245_903)
    assert pages_of(connector, "orders", cursor) == []

"""Open differences between systems as a sheet that people fill in, and what they wrote into it.

A sheet is CSV or Excel. Text that a spreadsheet would take for a formula is written so that it stays text.
"""

import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import duckdb
import openpyxl
from openpyxl.styles import Font
from openpyxl.utils.exceptions import InvalidFileException

from pipelines.compiler.reconciliation import NOT_WRONG
from pipelines.language.schema import IntegrationMap

COLUMNS = (
    "entity", "reconciliation", "record", "kind", "field", "one side", "its value", "other side", "its value there",
    "days", "steward", "suggested", "decision", "why",
)  # fmt: skip
MOST = 100_000  # rows of one sheet: beyond it nobody reads on
FORMULA = re.compile(r"^[=+\-@\t\r]")
UNTIL = re.compile(r"ignore until (\d{4}-\d{2}-\d{2})")
CORRECT = re.compile(r"correct to (.+)", re.DOTALL)
REPAIR = re.compile(r"concord repair (\w+) ")
DECIDE = re.compile(r"concord decide \w+ \S+ (\w+) (\S+)")


class Unreadable(Exception):
    """The sheet cannot be taken back; the text names row, column and what may stand there."""


@dataclass(frozen=True, slots=True)
class Decided:
    """What a person wrote beside one difference."""

    entity: str
    reconciliation: str
    record: str
    field: str | None
    why: str
    repair_by: str | None = None  # the flow that delivers the record again
    correct_to: str | None = None
    ignore_until: date | None = None


def open_differences(
    db: duckdb.DuckDBPyConnection, the_map: IntegrationMap, entities: Sequence[str] = ()
) -> list[dict[str, Any]]:
    """What is wrong now, of these entities or of all, the oldest first."""
    rows: list[dict[str, Any]] = []
    for root in the_map.roots:
        if not root.reconcile or (entities and root.entity not in entities):
            continue
        try:
            found = db.execute(
                f"""
                select
                    '{root.entity}' as entity, reconciliation, {root.key[0]} as record, kind, field,
                    one_side as "one side", one_value as "its value", other_side as "other side",
                    other_value as "its value there", round(extract(epoch from age) / 86400, 1) as days, steward,
                    repair as suggested, '' as decision, '' as why
                from reconcile_{root.entity}
                where kind not in {NOT_WRONG}
                order by age desc, record, field
                limit {MOST}
                """
            )
        except duckdb.CatalogException:
            continue  # it was never reconciled
        names = [column[0] for column in found.description or []]
        rows += [dict(zip(names, row, strict=True)) for row in found.fetchall()]
    return sorted(rows, key=lambda row: -row["days"])


def write_sheet(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Write CSV, or Excel where the file is so called."""
    if path.suffix == ".xlsx":
        book = openpyxl.Workbook()
        sheet = book.active
        sheet.title = "differences"
        sheet.append(COLUMNS)
        for cell in sheet[1]:
            cell.font = Font(bold=True)
        for row in rows:
            sheet.append([None if row[name] is None else row[name] for name in COLUMNS])
            for cell in sheet[sheet.max_row]:
                if isinstance(cell.value, str):
                    cell.data_type = "s"  # whatever it begins with
        sheet.freeze_panes = "A2"
        book.save(path)
        return
    with path.open("w", encoding="utf-8-sig", newline="") as file:  # Excel takes UTF-8 for such only with its mark
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        writer.writerows([_safe(row[name]) for name in COLUMNS] for row in rows)


def read_decisions(path: Path) -> list[Decided]:
    """What people wrote into a sheet; rows without a decision are left out. Raises Unreadable, with all that is wrong."""
    decided, wrong = [], []
    for number, row in enumerate(_rows(path), start=2):
        try:
            told = _decision(row)
        except ValueError as problem:
            wrong.append(f"row {number}: {problem}")
            continue
        if told:
            decided.append(told)
    if wrong:
        more = f"\nand {len(wrong) - 10} more" if len(wrong) > 10 else ""
        raise Unreadable("nothing was taken from the sheet:\n" + "\n".join(wrong[:10]) + more)
    return decided


def _decision(row: dict[str, str]) -> Decided | None:
    words = row["decision"].strip()
    if not words:
        return None
    if not row["why"].strip():
        raise ValueError("says what to do, not why; fill in the column why")
    told: dict[str, Any] = {name: row[name] for name in ("entity", "reconciliation", "record")}
    told |= {"field": row["field"] or None, "why": row["why"].strip()}
    if words == "repair":
        if decide := DECIDE.match(row["suggested"]):
            return Decided(**told | {"field": decide[1], "correct_to": decide[2]})
        flow = REPAIR.match(row["suggested"])
        if flow is None:
            raise ValueError(f"no flow repairs it; it is suggested to {row['suggested']}")
        return Decided(**told, repair_by=flow[1])
    if until := UNTIL.fullmatch(words):
        day = date.fromisoformat(until[1])
        if day <= datetime.now(UTC).date():
            raise ValueError(f"{day} is over; name a day to come")
        return Decided(**told, ignore_until=day)
    if value := CORRECT.fullmatch(words):
        if not row["field"]:
            raise ValueError("names no field that could be corrected; repair it, or ignore it until a day")
        return Decided(**told, correct_to=value[1].strip())
    raise ValueError(f"{words!r} is no decision; write `repair`, `correct to <value>` or `ignore until <YYYY-MM-DD>`")


def _rows(path: Path) -> Iterator[dict[str, str]]:
    if path.suffix == ".xlsx":
        try:
            sheet = openpyxl.load_workbook(path, read_only=True, data_only=True).worksheets[0]
        except (OSError, KeyError, ValueError, BadZipFile, InvalidFileException) as problem:
            raise Unreadable(f"{path.name} is no Excel file ({problem}); save it as .xlsx or .csv") from problem
        lines: Iterator[Sequence[Any]] = iter(sheet.iter_rows(values_only=True))
    else:
        try:
            text = path.read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as problem:
            raise Unreadable(f"{path.name} cannot be read as UTF-8 ({problem}); save it as CSV UTF-8") from problem
        delimiter = ";" if text.partition("\n")[0].count(";") > text.partition("\n")[0].count(",") else ","
        lines = iter(csv.reader(text.splitlines(keepends=True), delimiter=delimiter))
    head = [_text(cell) for cell in next(lines, [])]
    if missing := [name for name in COLUMNS if name not in head]:
        raise Unreadable(f"{path.name} lacks the columns {', '.join(missing)}; begin with a sheet that was exported")
    for line in lines:
        row = dict(zip(head, [_text(cell) for cell in line], strict=False))
        if any(row.values()):
            yield {name: row.get(name, "") for name in COLUMNS}


def _text(cell: Any) -> str:
    """A cell as it was written; what was marked as text is without its mark."""
    text = cell.date().isoformat() if isinstance(cell, datetime) else "" if cell is None else str(cell)
    return text[1:] if text.startswith("'") and FORMULA.match(text[1:]) else text


def _safe(value: Any) -> Any:
    """Text that no spreadsheet takes for a formula."""
    return f"'{value}" if isinstance(value, str) and FORMULA.match(value) else value

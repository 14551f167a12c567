"""A sheet to draw on: boxes, arrows, and texts whose width is known, so that none runs into another; written as SVG."""

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field
from xml.sax.saxutils import escape, quoteattr

from pipelines.language.schema import Flow, System

MARK = "<!-- drawn from the map by `concord draw`; change the map instead -->"
INK, GREY, PAPER, LINE, SOFT = "#1f2430", "#5b6472", "#ffffff", "#cfd5dd", "#f4f6f9"
TIMINGS = {"realtime": "#c2334d", "near_realtime": "#1f7391", "batch": "#7a6a2c"}
UNPROMISED = "#8a93a0"
FAMILIES = {  # what a system is for, by its role
    "sells": ("#e4f1e6", ("storefront", "marketplace")),
    "runs the goods": ("#e3eefb", ("erp", "oms", "wms", "3pl", "carrier", "pim")),
    "handles money": ("#fdf1d8", ("payments", "accounting", "tax")),
    "knows customers": ("#fbe6ea", ("crm", "marketing", "loyalty", "support")),
    "connects": ("#ececf4", ("middleware",)),
}
# Widths in em of Helvetica, Arial and Liberation Sans, which are the same (Adobe's font metrics).
WIDTHS = {
    letter: width
    for width, letters in {
        0.22: "'ijl", 0.28: " !,./:;I[\\]ft|‹›·", 0.34: "-()r`{}", 0.38: '"*', 0.5: "Jckvxyzs", 0.61: "FTZ+<=>~",
        0.67: "ABEKPSVXY&", 0.72: "CDHNRUw", 0.78: "GOQ", 0.84: "mM", 0.95: "W%", 1.0: "@…→",
    }.items()
    for letter in letters
}  # fmt: skip
BOLD = 1.07  # times as wide
LEADING = 1.32  # between two lines, times their size


@dataclass(frozen=True, slots=True)
class Pen:
    """How a text is written."""

    size: int
    colour: str = INK
    is_bold: bool = False

    @property
    def leading(self) -> float:
        return round(self.size * LEADING, 1)

    def width(self, words: str) -> float:
        """How wide the words are, in units of the sheet."""
        ems = sum(WIDTHS.get(letter) or _width_of_others(letter) for letter in words)
        return round(ems * self.size * (BOLD if self.is_bold else 1), 1)

    def wrapped(self, words: str, width: float) -> list[str]:
        """The words in lines that are no wider than that; nothing is cut off."""
        lines: list[str] = []
        for piece in self._pieces(words, width):
            if lines and self.width((lines[-1] + piece).rstrip()) <= width:
                lines[-1] += piece
            else:
                lines.append(piece.lstrip())
        return [line.rstrip() for line in lines if line.strip()]

    def _pieces(self, words: str, width: float) -> Iterable[str]:
        """What may stand on a line of its own: words, parts of long ones, and at worst letters."""
        for word in re.findall(r"\S+\s*", words):
            if self.width(word.rstrip()) <= width:
                yield word
                continue
            for part in re.findall(r"[^_/.@-]*[_/.@-]|[^_/.@-]+", word):
                yield from [part] if self.width(part) <= width else part


TITLE, HEADING, NAME = Pen(22, is_bold=True), Pen(15, is_bold=True), Pen(12, is_bold=True)
TEXT, SMALL = Pen(12), Pen(11, GREY)
BREAK = ("", Pen(5))  # a little room between two parts of a block


def _width_of_others(letter: str) -> float:
    return 1.0 if unicodedata.east_asian_width(letter) in "WF" else 0.56


def pen_of(flow: Flow | None) -> Pen:
    """In the colour of the flow's timing."""
    return Pen(12, colour_of(flow), is_bold=True)


def colour_of(flow: Flow | None) -> str:
    return TIMINGS[flow.timing] if flow else UNPROMISED


def family_of(system: System) -> str:
    """What the system is for, in one word or two."""
    return next(name for name, (_, roles) in FAMILIES.items() if system.role in roles)


def fill_of(system: System) -> str:
    """The colour of what the system is for."""
    return FAMILIES[family_of(system)][0]


@dataclass
class Sheet:
    """A drawing that grows: shapes below, texts above."""

    shapes: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)

    def box(
        self, x: float, y: float, width: float, height: float, *, fill: str, edge: str = LINE, is_dashed: bool = False
    ) -> None:
        dashes = " stroke-dasharray='5 4'" if is_dashed else ""
        self.shapes.append(
            f"<rect x='{x:g}' y='{y:g}' width='{width:g}' height='{height:g}' rx='7' fill='{fill}' stroke='{edge}'{dashes}/>"
        )

    def text(self, x: float, y: float, words: str, pen: Pen, *, anchor: str = "start") -> None:
        """One line, whose foot is at y. Whatever the viewer's font, it is made as wide as it was reckoned."""
        weight = " font-weight='700'" if pen.is_bold else ""
        self.texts.append(
            f"<text x='{x:g}' y='{y:g}' font-size='{pen.size}'{weight} fill='{pen.colour}' text-anchor='{anchor}' "
            f"textLength='{pen.width(words):g}' lengthAdjust='spacingAndGlyphs'>{escape(words)}</text>"
        )

    def lines(self, x: float, top: float, lines: Iterable[tuple[str, Pen]], *, anchor: str = "start") -> float:
        """Lines below each other; where they end."""
        for words, pen in lines:
            if words:
                self.text(x, round(top + pen.size, 1), words, pen, anchor=anchor)
            top = round(top + pen.leading, 1)
        return top

    def arrow(self, points: list[tuple[float, float]], *, colour: str, is_dashed: bool = False, **told: str) -> None:
        """A line along these points, with its head at the last; `told` says what it stands for."""
        (x1, _), (x2, y2) = points[-2:]
        back = 7 if x1 < x2 else -7
        self.line([*points[:-1], (x2 - back, y2)], colour=colour, is_dashed=is_dashed, **told)
        self.shapes.append(
            f"<path d='M{x2 - back:g},{y2 - 4.5:g} L{x2:g},{y2:g} L{x2 - back:g},{y2 + 4.5:g} z' fill='{colour}'/>"
        )

    def line(self, points: list[tuple[float, float]], *, colour: str, is_dashed: bool = False, **told: str) -> None:
        path = " L".join(f"{x:g},{y:g}" for x, y in points)
        dashes = " stroke-dasharray='5 4'" if is_dashed else ""
        data = "".join(f" data-{name.rstrip('_')}={quoteattr(value)}" for name, value in told.items())
        self.shapes.append(f"<path d='M{path}' fill='none' stroke='{colour}' stroke-width='1.8'{dashes}{data}/>")

    def timings(self, x: float, y: float) -> None:
        """What the colours of lines mean."""
        for name, colour in {**TIMINGS, "told without a promise": UNPROMISED}.items():
            self.line([(x, y - 4), (x + 22, y - 4)], colour=colour)
            words = name.replace("_", " ")
            self.text(x + 29, y, words, TEXT)
            x += 29 + TEXT.width(words) + 24
        self.line([(x, y - 4), (x + 22, y - 4)], colour=INK, is_dashed=True)
        self.text(x + 29, y, "not live yet", TEXT)

    def families(self, x: float, y: float) -> None:
        """What the colours of systems mean."""
        for name, (colour, _) in FAMILIES.items():
            self.box(x, y - 11, 22, 14, fill=colour)
            self.text(x + 29, y, name, TEXT)
            x += 29 + TEXT.width(name) + 24

    def svg(self, width: float, height: float, title: str) -> str:
        body = "\n".join([*self.shapes, *self.texts])
        return (
            f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {width:g} {height:g}' width='{width:g}' height='{height:g}' "
            f"role='img' font-family='Helvetica, Arial, Liberation Sans, sans-serif'>\n{MARK}\n<title>{escape(title)}</title>\n"
            f"<rect width='{width:g}' height='{height:g}' fill='{PAPER}'/>\n{body}\n</svg>\n"
        )


def in_lines(words: str, pen: Pen, width: float) -> list[tuple[str, Pen]]:
    """The words as lines of a block that is no wider than that."""
    return [(line, pen) for line in pen.wrapped(words, width)]


def height_of(lines: Iterable[tuple[str, Pen]]) -> float:
    return round(sum(pen.leading for _, pen in lines), 1)

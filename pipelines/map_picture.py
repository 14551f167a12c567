"""The map as pictures: which system tells and takes what, and the journey of one record from lane to lane."""

from dataclasses import dataclass, field
from xml.sax.saxutils import escape

from pipelines.map_places import joined, senders_of, takers
from pipelines.map_schema import Entity, Flow, IntegrationMap, Stream, System

COLOURS = {"realtime": "#d1495b", "near_realtime": "#2a7f9e", "batch": "#8a8f98"}
INK, PAPER, LINE, SOFT = "#22262e", "#ffffff", "#cfd5dd", "#f4f6f9"
FONT = "font-family='Inter, Helvetica, Arial, sans-serif'"
STEP = 22  # between two lines that end at one card


@dataclass
class Sheet:
    """A drawing that grows: shapes below, text above."""

    shapes: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)

    def box(self, x: float, y: float, width: float, height: float, *, fill: str, edge: str = LINE) -> None:
        self.shapes.append(
            f"<rect x='{x}' y='{y}' width='{width}' height='{height}' rx='8' fill='{fill}' stroke='{edge}'/>"
        )

    def text(self, x: float, y: float, words: str, *, size: int, weight: int, colour: str, anchor: str) -> None:
        self.texts.append(
            f"<text x='{x}' y='{y}' font-size='{size}' font-weight='{weight}' fill='{colour}' text-anchor='{anchor}' "
            f"paint-order='stroke' stroke='{PAPER}' stroke-width='3' stroke-linejoin='round'>{escape(words)}</text>"
        )

    def curve(self, start: tuple[float, float], end: tuple[float, float], flow: Flow) -> None:
        """A line that leaves and arrives level, with its head at the end; dashed while the flow runs in shadow."""
        (x1, y1), (x2, y2) = start, end
        middle, dashes = (x1 + x2) / 2, " stroke-dasharray='5 4'" if flow.mode == "shadow" else ""
        self.shapes.append(
            f"<path d='M{x1},{y1} C{middle},{y1} {middle},{y2} {x2 - 7},{y2}' fill='none' stroke-width='1.8' "
            f"stroke='{COLOURS[flow.timing]}' marker-end='url(#{flow.timing})'{dashes}/>"
        )

    def svg(self, width: float, height: float) -> str:
        heads = "".join(
            f"<marker id='{name}' viewBox='0 0 8 8' refX='2' refY='4' markerWidth='6' markerHeight='6' orient='auto'>"
            f"<path d='M0,0 L8,4 L0,8 z' fill='{colour}'/></marker>"
            for name, colour in COLOURS.items()
        )
        body = "\n".join([*self.shapes, *self.texts])
        return (
            f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {width} {height}' {FONT}>\n<defs>{heads}</defs>\n"
            f"<rect width='{width}' height='{height}' fill='{PAPER}'/>\n{body}\n</svg>\n"
        )

    def legend(self, x: float, y: float) -> None:
        for name, colour in COLOURS.items():
            self.shapes.append(f"<rect x='{x}' y='{y - 5}' width='18' height='3' rx='1' fill='{colour}'/>")
            self.text(x + 25, y, name.replace("_", " "), size=11, weight=400, colour=INK, anchor="start")
            x += 115


def told_in_words(told: IntegrationMap) -> str:
    """The map as lines of text, entity by entity."""
    lines = []
    for entity in told.roots:
        children = "".join(f", with {child.entity}" for child in told.children(entity.entity))
        lines.append(f"{entity.entity}{children}: {entity.meaning}")
        for name, flow in entity.flows.items():
            way = " -> ".join([joined(senders_of(told, entity, flow)), "us", *_ends(told, entity, flow)])
            lines.append(f"  {name}: {way} ({_promise(flow)})")
        lines += [f"  {name}: {' = '.join(one.between)}, {one.every}" for name, one in entity.reconcile.items()]
    return "\n".join(lines) + "\n"


def _ends(told: IntegrationMap, entity: Entity, flow: Flow) -> list[str]:
    return [joined(system.system for system in takers(told, entity, flow))] if flow.to else []


def _promise(flow: Flow) -> str:
    size, unit = next((s, u) for s, u in ((86400, "d"), (3600, "h"), (60, "m"), (1, "s")) if flow.max_lag % s == 0)
    return f"{flow.timing.replace('_', ' ')}, {flow.max_lag // size}{unit}"


def landscape(told: IntegrationMap) -> str:
    """Who tells what on the left, what we keep in the middle, who takes what on the right, as SVG."""
    sheet, width = Sheet(), 1180
    cards = _entity_cards(told)
    height = max(bottom for _, bottom in cards.values()) + 60
    left = _system_cards(sheet, [s for s in told.systems.values() if s.streams], 30, height)
    right = _system_cards(sheet, [s for s in told.systems.values() if s.takes], width - 210, height)
    sheet.box(410, 24, 360, height - 64, fill=SOFT)
    sheet.text(590, 48, "Concord", size=15, weight=700, colour=INK, anchor="middle")
    for entity in told.roots:
        top, bottom = cards[entity.entity]
        _entity_card(sheet, told, entity, top, bottom)
        inbound = [(name, flow) for name, flow in entity.flows.items() if flow.from_]
        outbound = [(name, flow) for name, flow in entity.flows.items() if flow.to]
        for place, (name, flow) in enumerate(inbound):
            y = top + 24 + place * STEP
            for system in senders_of(told, entity, flow):
                sheet.curve((210, left[system]), (430, y), flow)
            sheet.text(418, y - 5, name, size=10, weight=400, colour=INK, anchor="end")
        for place, (name, flow) in enumerate(outbound):
            y = top + 24 + place * STEP
            for taker in takers(told, entity, flow):
                sheet.curve((750, y), (width - 210, right[taker.system]), flow)
            sheet.text(762, y - 5, name, size=10, weight=400, colour=INK, anchor="start")
    sheet.legend(30, height - 14)
    return sheet.svg(width, height)


def _entity_cards(told: IntegrationMap) -> dict[str, tuple[float, float]]:
    """(top, bottom) of each entity's card."""
    cards, top = {}, 66.0
    for entity in told.roots:
        ends = [flow.to is None for flow in entity.flows.values()]
        height = max(74, 30 + STEP * max(ends.count(True), ends.count(False)))
        cards[entity.entity] = (top, top + height)
        top += height + 14
    return cards


def _entity_card(sheet: Sheet, told: IntegrationMap, entity: Entity, top: float, bottom: float) -> None:
    sheet.box(430, top, 320, bottom - top, fill=PAPER)
    children = [child.entity for child in told.children(entity.entity)]
    owners = sorted({owner for one in entity.fields.values() for owner in one.owner})
    title = f"{entity.entity} + {joined(children)}" if children else entity.entity
    source = f"from {', '.join(entity.reads)}" if entity.reads else f"owned by {', '.join(owners)}"
    proof = f"proved: {', '.join(entity.reconcile)}" if entity.reconcile else "not compared"
    sheet.text(590, top + 24, title, size=14, weight=600, colour=INK, anchor="middle")
    sheet.text(590, top + 43, source, size=11, weight=400, colour="#5b6472", anchor="middle")
    sheet.text(590, top + 60, proof, size=11, weight=400, colour="#5b6472", anchor="middle")


def _system_cards(sheet: Sheet, systems: list[System], x: float, height: float) -> dict[str, float]:
    """Cards of systems, spread over the height; where their lines begin."""
    middles = {}
    for place, system in enumerate(systems):
        middle = 24 + (height - 64) * (place + 0.5) / len(systems)
        sheet.box(x, middle - 30, 180, 60, fill=SOFT, edge=INK)
        sheet.text(x + 90, middle - 4, system.system, size=14, weight=600, colour=INK, anchor="middle")
        sheet.text(
            x + 90,
            middle + 15,
            f"{system.role}, {system.steward}",
            size=11,
            weight=400,
            colour="#5b6472",
            anchor="middle",
        )
        middles[system.system] = middle
    return middles


@dataclass(frozen=True)
class Stop:
    """One thing that happens to a record: in whose lane, in which column."""

    lane: str
    column: int
    title: str
    detail: str


def journey(told: IntegrationMap, name: str) -> str:
    """One lane a system: the way of an entity's records, and of what refers to them, as SVG."""
    stops, arrows = _journey(told, name)
    lanes = _lanes(told, stops)
    sheet, width = Sheet(), 130 + 190 * (max(stop.column for stop in stops) + 1)
    tops = {lane: 20 + 92 * place for place, lane in enumerate(lanes)}
    for lane, top in tops.items():
        sheet.box(10, top, width - 20, 84, fill="#eaf3f6" if lane == "us" else SOFT)
        sheet.text(26, top + 47, "Concord" if lane == "us" else lane, size=14, weight=700, colour=INK, anchor="start")
    for start, end, flow in arrows:
        sheet.curve(_edge(start, tops, 160), _edge(end, tops, 0), flow)
    for stop in stops:
        x, y = _edge(stop, tops, 0)
        sheet.box(x, y - 26, 160, 52, fill=PAPER, edge=INK)
        sheet.text(x + 80, y - 3, stop.title, size=12, weight=600, colour=INK, anchor="middle")
        sheet.text(x + 80, y + 14, stop.detail, size=10, weight=400, colour="#5b6472", anchor="middle")
    height = 92 * len(lanes) + 56
    sheet.legend(26, height - 14)
    return sheet.svg(width, height)


def _edge(stop: Stop, tops: dict[str, int], across: int) -> tuple[float, float]:
    return 120 + 190 * stop.column + across, tops[stop.lane] + 42


def _lanes(told: IntegrationMap, stops: list[Stop]) -> list[str]:
    """Those who tell above us, those who are only told below."""
    seen = {stop.lane for stop in stops}
    begins = [s.system for s in told.systems.values() if s.role in ("storefront", "marketplace") and s.system in seen]
    return [*begins, "us", *(name for name in told.systems if name in seen and name not in begins)]


def _journey(told: IntegrationMap, name: str) -> tuple[list[Stop], list[tuple[Stop, Stop, Flow]]]:
    """The stops of the entity and then of everything that refers to it, with the flows between them."""
    stops: list[Stop] = []
    arrows: list[tuple[Stop, Stop, Flow]] = []
    following, column = [told.entities[name]], 0
    for entity in following:  # which grows while it is read
        here = Stop("us", column + 1, entity.entity, "judged and settled")
        stops.append(here)
        for flow in entity.flows.values():
            for system in senders_of(told, entity, flow) if flow.from_ else []:
                start = Stop(system, column, entity.entity, _ways(told.systems[system], entity))
                stops.append(start)
                arrows.append((start, here, flow))
        for flow_name, flow in entity.flows.items():
            for taker in takers(told, entity, flow):
                end = Stop(taker.system, column + 2, flow_name, _promise(flow))
                stops.append(end)
                arrows.append((here, end, flow))
        column += 3 if any(flow.to for flow in entity.flows.values()) else 2
        following += [one for one in told.roots if one not in following and _refers(one, entity)]
    return list(dict.fromkeys(stops)), arrows


def _refers(one: Entity, entity: Entity) -> bool:
    return one is not entity and any(told.references == entity.entity for told in one.fields.values())


def _ways(system: System, entity: Entity) -> str:
    """How the system tells of the entity: webhook, poll, file."""
    ways = [_way(stream) for stream in system.streams.values() if entity.entity in stream.says]
    return ", ".join(dict.fromkeys(ways))


def _way(stream: Stream) -> str:
    arrives = stream.arrives
    return "webhook" if arrives.webhook else "file" if arrives.file else "poll" if arrives.poll else "snapshot"

"""The landscape as a picture: who tells what, what we keep and who owns each field of it, and who takes it."""

from collections.abc import Iterator
from dataclasses import dataclass

from pipelines.language.queries import every_field, joined, owners_of, senders_of, speaks_of
from pipelines.language.schema import Entity, Flow, IntegrationMap, Says, Stream, System, cron_in_words, spelled
from pipelines.operations.pictures.svg import (
    BREAK,
    GREY,
    HEADING,
    INK,
    LINE,
    NAME,
    PAPER,
    SMALL,
    SOFT,
    TEXT,
    TITLE,
    Pen,
    Sheet,
    colour_of,
    fill_of,
    height_of,
    in_lines,
    pen_of,
)

WIDTH, MARGIN, GAP = 1130, 24, 12  # as wide as the dialog in which Dagster shows it
CHIP, LANE = 150, 206
CARD = WIDTH - 2 * (MARGIN + CHIP + LANE)
CHIP_HEIGHT = 38
LEFT, RIGHT = MARGIN + CHIP, WIDTH - MARGIN - CHIP  # where the chips end and begin again
PAD, ROOM = 12, 18  # inside a card, and between two flows
ROSTER = 4  # cards beside each other
Lines = list[tuple[str, Pen]]


@dataclass(frozen=True)
class Way:
    """One flow on one side of an entity: who stands at its outer end, and what is said along it."""

    name: str
    flow: Flow | None  # none, where nothing is promised
    ends: list[str]  # systems, or entities for what is computed
    label: Lines

    @property
    def chips(self) -> float:
        """How high its chips stand above each other."""
        return len(self.ends) * (CHIP_HEIGHT + 6) - 6

    @property
    def name_lines(self) -> Lines:
        """What stands above its line; the rest of the label stands below."""
        return [line for line in self.label if line[1].is_bold]

    @property
    def above(self) -> float:
        return max(self.chips / 2, height_of(self.name_lines) + 3)

    @property
    def below(self) -> float:
        return max(self.chips / 2, height_of(self.label) - height_of(self.name_lines) + 4)

    @property
    def height(self) -> float:
        return self.above + self.below


def landscape(told: IntegrationMap) -> str:
    """The whole map on one sheet, as SVG."""
    sheet = Sheet()
    sheet.text(MARGIN, 44, "Who tells what, who owns it, who takes it", TITLE)
    sheet.timings(MARGIN, 74)
    sheet.families(MARGIN, 98)
    top = _roster(sheet, told, 118)
    for x, words, anchor in (
        (MARGIN, "tells", "start"),
        (WIDTH / 2, "Concord keeps, and who owns each field", "middle"),
        (WIDTH - MARGIN, "takes", "end"),
    ):
        sheet.text(x, top + 26, words, Pen(13, GREY, is_bold=True), anchor=anchor)
    top += 40
    for entity in told.roots:
        top = _band(sheet, told, entity, top) + 16
    return sheet.svg(WIDTH, round(top + 8, 1), "The landscape: systems, flows, owners and stewards")


# -- the systems, once each ----------------------------------------------------------------------------------------------


def _roster(sheet: Sheet, told: IntegrationMap, top: float) -> float:
    """A card for each system, and one for what Concord works out itself; where they end."""
    width = (WIDTH - 2 * MARGIN - (ROSTER - 1) * GAP) / ROSTER
    cards = [(fill_of(system), _of_system(told, system, width - 2 * PAD)) for system in _by_family(told)]
    if worked_out := _owned(told, "us"):
        lines = [("Concord", HEADING), *in_lines(f"works out {worked_out}", SMALL, width - 2 * PAD)]
        cards.append((SOFT, lines))
    for start in range(0, len(cards), ROSTER):
        row = cards[start : start + ROSTER]
        height = max(height_of(lines) for _, lines in row) + 2 * PAD - 2
        for place, (fill, lines) in enumerate(row):
            x = MARGIN + place * (width + GAP)
            sheet.box(x, top, width, height, fill=fill, edge=INK)
            sheet.lines(x + PAD, top + PAD - 2, lines)
        top += height + GAP
    return top


def _by_family(told: IntegrationMap) -> list[System]:
    """Those who do alike beside each other."""
    colours = list(dict.fromkeys(fill_of(system) for system in told.systems.values()))
    return sorted(told.systems.values(), key=lambda one: (colours.index(fill_of(one)), one.role, one.system))


def _of_system(told: IntegrationMap, system: System, width: float) -> Lines:
    tells = list(dict.fromkeys(name for stream in system.streams.values() for name in stream.says))
    steward = f"{system.role}, {system.steward}{', temporary' if system.temporary else ''}"
    facts = {
        "tells": ", ".join(tells),
        "takes": ", ".join(system.takes),
        "owns": _owned(told, system.system),
        "counts at": ", ".join(system.locations),
    }
    lines = [*in_lines(system.system, HEADING, width), *in_lines(steward, TEXT, width)]
    for verb, what in facts.items():
        lines += in_lines(f"{verb} {what}", SMALL, width) if what else []
    return lines


def _owned(told: IntegrationMap, system: str) -> str:
    """How many fields of which entities have this system as an owner."""
    counts: dict[str, int] = {}
    for entity, _, field in every_field(told):
        if any(system in _systems(told, entity, owner) for owner in field.owner):
            counts[entity.entity] = counts.get(entity.entity, 0) + 1
    fields = [f"{count} of {entity}" for entity, count in counts.items()]
    return f"{_fields(sum(counts.values()))}: {', '.join(fields)}" if fields else ""


def _fields(count: int) -> str:
    return f"{count} field{'' if count == 1 else 's'}"


def _systems(told: IntegrationMap, entity: Entity, owner: str) -> list[str]:
    if owner == "us":
        return ["us"]
    return [one.system for one in owners_of(told, entity, owner) if speaks_of(one, entity.entity)]


# -- one band an entity --------------------------------------------------------------------------------------------------


def _band(sheet: Sheet, told: IntegrationMap, entity: Entity, top: float) -> float:
    """Its tellers, its card and its takers; where they end."""
    left, right = list(_ways_in(told, entity)), list(_ways_out(told, entity))
    card = _card(told, entity)
    heights = [sum(way.height + ROOM for way in side) - ROOM for side in (left, right)]
    height = max([*heights, height_of(card)]) + 2 * PAD
    sheet.box(MARGIN - 10, top, WIDTH - 2 * MARGIN + 20, height, fill="#fafbfc", edge="#e6e9ee")
    sheet.box(LEFT + LANE, top + 4, CARD, height - 8, fill=PAPER, edge=INK)
    sheet.lines(LEFT + LANE + PAD, top + (height - height_of(card)) / 2, card)
    for side, ways, tall in (("in", left, heights[0]), ("out", right, heights[1])):
        y = top + (height - tall) / 2
        for way in ways:
            _draw(sheet, told, entity, way, y + way.above, comes_in=side == "in")
            y += way.height + ROOM
    return top + height


def _card(told: IntegrationMap, entity: Entity) -> Lines:
    """What is kept, who owns it, and how it is proved."""
    width = CARD - 2 * PAD
    lines = [*in_lines(entity.entity, HEADING, width), *in_lines(entity.meaning, SMALL, width)]
    for member in told.family(entity.entity):
        lines.append(BREAK)
        if member is not entity:
            lines += in_lines(f"with {member.entity}", NAME, width)
        for owner, fields in _by_owner(told, member).items():
            lines += in_lines(f"{owner}: {_fields(len(fields))}", NAME, width)
            lines += in_lines(", ".join(fields), SMALL, width)
    lines.append(BREAK)
    for name, proof in entity.reconcile.items():
        told_so = f"proved {cron_in_words(proof.every)}: {' = '.join(proof.between)} ({name}, {proof.steward})"
        lines += in_lines(told_so, Pen(11, INK), width)
    if entity.unreconciled:
        lines += in_lines(f"not compared: {entity.unreconciled}", Pen(11, INK), width)
    return lines


def _by_owner(told: IntegrationMap, entity: Entity) -> dict[str, list[str]]:
    """The fields by who owns them, in the map's words and by the systems that these mean."""
    found: dict[str, list[str]] = {}
    for name, field in entity.fields.items():
        words = ", then ".join(_in_words(told, entity, owner) for owner in field.owner)
        found.setdefault(words, []).append(name)
    return found


def _in_words(told: IntegrationMap, entity: Entity, owner: str) -> str:
    systems = joined(_systems(told, entity, owner))
    if owner == "us":
        return "Concord"
    return owner if systems == owner else f"{owner} ({systems or 'nobody'})"


def _ways_in(told: IntegrationMap, entity: Entity) -> Iterator[Way]:
    """The flows in, then who tells without a flow, then what it is worked out from."""
    promised: set[str] = set()
    for name, flow in entity.flows.items():
        if flow.from_:
            senders = senders_of(told, entity, flow)
            promised.update(senders)
            how = list(dict.fromkeys(way for sender in senders for way in _arrivals(told.systems[sender], entity)))
            yield Way(name, flow, senders or [flow.from_], _label(name, flow, ", ".join(how)))
    others: dict[str, list[str]] = {}
    for system, *_ in _sayings(told, entity):
        if system.system not in promised:
            others.setdefault(", ".join(_arrivals(system, entity)), []).append(system.system)
    for ways, systems in others.items():
        ends = list(dict.fromkeys(systems))
        yield Way("", None, ends, [("tells it, too", pen_of(None)), *in_lines(ways, SMALL, LANE - 44)])
    if entity.reads:
        yield Way("", None, [f"from {joined(entity.reads)}"], [("worked out", pen_of(None))])


def _sayings(told: IntegrationMap, entity: Entity) -> list[tuple[System, str, Stream, Says]]:
    return [saying for member in told.family(entity.entity) for saying in told.says(member.entity)]


def _arrivals(system: System, entity: Entity) -> list[str]:
    """How the system's word of the entity arrives: webhook, poll 1m, file."""
    streams = [stream for stream in system.streams.values() if entity.entity in stream.says]
    ways = [
        way
        for stream in streams
        for way in (
            "webhook" if stream.arrives.webhook else "",
            f"poll {stream.arrives.poll}" if stream.arrives.poll else "",
            "file" if stream.arrives.file else "",
            "snapshot" if stream.arrives.snapshot and not stream.arrives.poll else "",
        )
        if way
    ]
    return list(dict.fromkeys(ways))


def _ways_out(told: IntegrationMap, entity: Entity) -> Iterator[Way]:
    for name, flow in entity.flows.items():
        if flow.to:
            ends = sorted(system.system for system in told.destinations(entity, flow))
            yield Way(
                name,
                flow,
                ends or [f"nobody ({flow.to})"],
                _label(name, flow, f"when {flow.when}" if flow.when else ""),
            )


def _label(name: str, flow: Flow, how: str) -> Lines:
    """The flow's name above its line; below it what is promised and who answers."""
    width = LANE - 44
    mode = "" if flow.mode == "live" else f", {flow.mode}"
    timing = cron_in_words(flow.cron) if flow.cron else flow.timing.replace("_", " ")
    promise = f"{timing}, within {spelled(flow.max_lag)}"
    return [
        *in_lines(name, pen_of(flow), width),
        *in_lines(promise, TEXT, width),
        *in_lines(f"tier {flow.tier}{mode}, {flow.steward}", SMALL, width),
        *in_lines(how, SMALL, width),
    ]


def _draw(sheet: Sheet, told: IntegrationMap, entity: Entity, way: Way, y: float, *, comes_in: bool) -> None:
    """The chips, the lines that join them at this height, and what is said along the way."""
    outer, bus, card = (LEFT, LEFT + 16, LEFT + LANE) if comes_in else (RIGHT, RIGHT - 16, RIGHT - LANE)
    is_dashed = way.flow is not None and way.flow.mode != "live"
    colour = colour_of(way.flow)
    tops = [y - way.chips / 2 + place * (CHIP_HEIGHT + 6) for place in range(len(way.ends))]
    for end, top in zip(way.ends, tops, strict=True):
        _chip(sheet, told, end, MARGIN if comes_in else RIGHT, top)
        heart = top + CHIP_HEIGHT / 2
        told_of = {
            "flow": way.name,
            "from": end if comes_in else entity.entity,
            "to": entity.entity if comes_in else end,
        }
        elbow: list[tuple[float, float]] = [(outer, heart), (bus, heart), (bus, y), (card, y)]
        points = [point for place, point in enumerate(elbow) if place == 0 or point != elbow[place - 1]]
        sheet.arrow(points if comes_in else points[::-1], colour=colour, is_dashed=is_dashed, **told_of)
    x = bus + 8 if comes_in else card + 10
    sheet.lines(x, y - height_of(way.name_lines) - 3, way.name_lines)
    sheet.lines(x, y + 4, way.label[len(way.name_lines) :])


def _chip(sheet: Sheet, told: IntegrationMap, name: str, x: float, top: float) -> None:
    system = told.systems.get(name)
    sheet.box(x, top, CHIP, CHIP_HEIGHT, fill=fill_of(system) if system else PAPER, edge=INK if system else LINE,
              is_dashed=system is None)  # fmt: skip
    lines = in_lines(name, NAME, CHIP - 16) if system else in_lines(name, SMALL, CHIP - 16)
    if system and len(lines) == 1:
        lines += [(system.role, SMALL)]
    sheet.lines(x + CHIP / 2, top + (CHIP_HEIGHT - height_of(lines)) / 2, lines, anchor="middle")

"""A record's journey as a picture: one lane a system, one row a step, and the ids that it carries at each."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

from pipelines.language import expressions
from pipelines.language.queries import originates, speaks_of
from pipelines.language.schema import (
    Entity,
    Flow,
    IntegrationMap,
    Reconciliation,
    Stream,
    System,
    cron_in_words,
    spelled,
)
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
    family_of,
    fill_of,
    height_of,
    in_lines,
    pen_of,
)

US = "us"
MANY = 5  # lanes beside the channel's and ours
MARGIN, PAD = 24, 10
LANE, BOX = 270, 214  # a lane, and the boxes in it: between two boxes there is room for a promise
INNER = BOX - 2 * PAD
NUMBER = 20  # beside the first line of a step's first box
ID = re.compile(r"(^|_)(id|number|code|reference)$")
Lines = list[tuple[str, Pen]]


@dataclass(frozen=True)
class Step:
    """One thing that happens: who says it, to whom, along which flow."""

    giver: str
    taker: str
    flow: Flow | None
    said: Lines
    heard: Lines
    told_of: str = ""  # the flow's name, or nothing where none is promised


@dataclass(frozen=True)
class Note:
    """A row without an arrow: what follows is about another entity, what is proved, or why nothing is said."""

    lines: Lines
    is_heading: bool = False


@dataclass(frozen=True)
class Lane:
    """One system, or several that do alike."""

    name: str
    who: str
    fill: str
    systems: list[str]


@dataclass
class Journey:
    """The rows of one channel's records, in the order in which they happen."""

    told: IntegrationMap
    entity: Entity
    channel: System
    own_id: str = ""  # what the channel itself calls the record
    rows: list[Step | Note] = field(default_factory=list)
    known: dict[tuple[str, str], list[str]] = field(default_factory=dict)  # (entity, id): what it looks like by now

    def __post_init__(self) -> None:
        following = [self.entity]
        for entity in following:  # which grows while it is read
            self._tell(entity)
            following += [one for one in self.told.roots if one not in following and self._refers(one, entity)]

    @cached_property
    def lanes(self) -> list[Lane]:
        """The channel, then ourselves, then the others as they come up; those who do alike share a lane among many."""
        ends = [end for row in self.rows if isinstance(row, Step) for end in (row.giver, row.taker)]
        others = [self.told.systems[end] for end in dict.fromkeys(ends) if end not in (self.channel.system, US)]
        mine = Lane(self.channel.system, _who(self.channel), fill_of(self.channel), [self.channel.system])
        ours = Lane("Concord", "keeps, settles and proves", SOFT, [US])
        if len(others) <= MANY:
            return [mine, ours, *(Lane(one.system, _who(one), fill_of(one), [one.system]) for one in others)]
        families: dict[str, list[str]] = {}
        for one in others:
            families.setdefault(family_of(one), []).append(one.system)
        shared = [
            Lane(f"who {name}", ", ".join(systems), fill_of(self.told.systems[systems[0]]), systems)
            for name, systems in families.items()
        ]
        return [mine, ours, *shared]

    def _refers(self, one: Entity, entity: Entity) -> bool:
        names = {member.entity for member in self.told.family(entity.entity)}
        return any(
            told.references in names
            for member in self.told.family(one.entity)
            for told in member.fields.values()
            if one is not entity
        )

    def _referring(self, entity: Entity) -> list[str]:
        """The fields by which a record finds the one that began in the channel."""
        return [name for name, told in entity.fields.items() if told.references == self.entity.entity]

    def _tell(self, entity: Entity) -> None:
        """Who begins it, who is told, who tells it back, and who proves it."""
        first = [step for system in self._beginners(entity) for step in [self._arriving(system, entity, begins=True)]]
        if not first:
            return
        heading = [*in_lines(entity.entity, HEADING, 900), *in_lines(entity.meaning, SMALL, 900)]
        self.rows += [Note(heading, is_heading=True), *first, *self._deliveries(entity)]
        beginners = [step.giver for step in first]
        lanes = {end for row in self.rows if isinstance(row, Step) for end in (row.giver, row.taker)}
        self.rows += [
            self._arriving(system, entity, begins=False)
            for system in self.told.systems.values()
            if speaks_of(system, entity.entity) and system.system not in beginners and system.system in lanes
        ]
        self.rows += [
            Note(_proof(name, proof)) for name, proof in entity.reconcile.items() if self._proves(proof, lanes)
        ]

    def _beginners(self, entity: Entity) -> Iterator[System]:
        """The systems in which such a record may begin; of all channels only this one."""
        for system in self.told.systems.values():
            begins = any(originates(self.told, entity.entity, stream) for stream in system.streams.values())
            if begins and (system is self.channel or system not in channels(self.told, self.entity)):
                yield system

    def _proves(self, proof: Reconciliation, lanes: set[str]) -> bool:
        sides = [{one.system for one in self.told.systems_named(name)} or {name} for name in proof.between]
        return all(side & (lanes | {US}) for side in sides)

    def _arriving(self, system: System, entity: Entity, *, begins: bool) -> Step:
        """What a system tells of the entity, by whichever of its streams."""
        flow_name, flow = self._flow_from(system, entity)
        streams = {name: one for name, one in system.streams.items() if entity.entity in one.says}
        ways = [
            line
            for name, stream in streams.items()
            for line in in_lines(f"{system.system}/{name}: {_way(stream)}", SMALL, INNER)
        ]
        stream = next(one for one in streams.values() if not begins or originates(self.told, entity.entity, one))
        says = stream.says[entity.entity]
        own_id = _shape(stream.remote_id)
        self.own_id = self.own_id or own_id
        shapes = dict(zip(entity.key, says.key, strict=False))
        owned = {name: told for name, told in says.fields.items() if name in _ids(entity)}
        if not begins:
            owned = {name: told for name, told in owned.items() if system in self._owners(entity, name)}
        shapes = {name: _shape(spelling) for name, spelling in {**shapes, **owned}.items()}
        for name, shape in shapes.items():
            self._learn(entity, name, shape, begins=begins)
        title = flow_name or ("tells it" if begins else "tells it back")
        judged = "judged and settled" if begins else "compared with what it was told"
        return Step(
            giver=system.system,
            taker=US,
            flow=flow,
            said=[*in_lines(title, pen_of(flow), INNER - NUMBER), *ways, BREAK, *_ids_of([f"its own id: {own_id}"])],
            heard=[
                *in_lines(entity.entity, NAME, INNER),
                *in_lines(judged, SMALL, INNER),
                BREAK,
                *_ids_of(_said(shapes)),
            ],
            told_of=flow_name,
        )

    def _learn(self, entity: Entity, name: str, shape: str, *, begins: bool) -> None:
        """Remember what an id looks like; a key is what those say in whom the record begins."""
        if name in entity.key and not begins:
            return
        referred = entity.fields[name].references if name in entity.fields else None
        target = self.told.entities.get(referred or "")
        theirs = self.known.get((target.entity, target.key[0]), []) if target else []
        known = self.known.setdefault((entity.entity, name), [])
        known += [one for one in theirs or [shape] if one not in known]

    def _known(self, entity: Entity, name: str) -> str:
        """What an id looks like by now; nothing, where nobody has said it yet."""
        shapes = self.known.get((entity.entity, name), [])
        return " or ".join(shapes) if len(shapes) < 3 else f"{shapes[0]}, or as {len(shapes) - 1} others say it"

    def _flow_from(self, system: System, entity: Entity) -> tuple[str, Flow | None]:
        for name, flow in entity.flows.items():
            if flow.from_ and system in self.told.systems_named(flow.from_):
                return name, flow
        return "", None

    def _owners(self, entity: Entity, name: str) -> list[System]:
        return [system for owner in entity.fields[name].owner for system in self.told.systems_named(owner)]

    def _deliveries(self, entity: Entity) -> Iterator[Step | Note]:
        """To whom it is carried. A flow to the channels goes to the one in which the record began."""
        ours = channels(self.told, self.entity)
        for name, flow in entity.flows.items():
            if not flow.to:
                continue
            ends = [one for one in self.told.destinations(entity, flow) if one is self.channel or one not in ours]
            for system in ends:
                yield self._delivery(name, flow, entity, system)
            if not ends and self.channel in self.told.systems_named(flow.to or ""):
                words = f"{name} tells {self.channel.system} nothing: it takes no {entity.entity}"
                yield Note(in_lines(words, TEXT, 900))

    def _delivery(self, name: str, flow: Flow, entity: Entity, system: System) -> Step:
        carried = [*entity.key, *(field for field in flow.fields if field in _ids(entity))]
        trigger = f"when {flow.when}" if flow.when else "on every change"
        mode = "" if flow.mode == "live" else f"; {flow.mode}"
        begun = self._referring(entity) if system is self.channel and entity is not self.entity else []
        theirs = [f"{re.sub('_(number|id|key)$', '', name)}_remote_id: {self.own_id}" for name in begun]
        said = [
            *in_lines(name, pen_of(flow), INNER - NUMBER),
            *in_lines(f"{cron_in_words(flow.cron) if flow.cron else trigger}{mode}", SMALL, INNER),
            BREAK,
            *_ids_of([*_said({name: self._known(entity, name) for name in carried}), *theirs]),
        ]
        kept = [
            f"{_shape(key)}: {self._known(entity, name) or name}"
            for stream in system.streams.values()
            if entity.entity in stream.says
            for name, key in zip(entity.key, stream.says[entity.entity].key, strict=False)
        ]
        heard = [
            *in_lines(f"{entity.entity} in {system.system}", NAME, INNER),
            *in_lines(f"{flow.steward} answers", SMALL, INNER),
            BREAK,
            *_ids_of([*dict.fromkeys(kept), "its own id: kept in links"]),
        ]
        return Step(giver=US, taker=system.system, flow=flow, said=said, heard=heard, told_of=name)


def channels(told: IntegrationMap, entity: Entity) -> list[System]:
    """The storefronts and marketplaces in which records of the entity begin."""
    return [
        system
        for system in told.systems.values()
        if system.role in ("storefront", "marketplace")
        and any(originates(told, entity.entity, stream) for stream in system.streams.values())
    ]


def _ids(entity: Entity) -> list[str]:
    """The fields by which people and systems name the record, or another."""
    return [name for name, told in entity.fields.items() if told.references or ID.search(name)]


def _who(system: System) -> str:
    return f"{system.role}, {system.steward}"


def _shape(spelling: str) -> str:
    return expressions.read(spelling).shape


def _said(ids: dict[str, str]) -> list[str]:
    return [f"{name}: {shape}" if shape else name for name, shape in ids.items()]


def _ids_of(words: list[str]) -> Lines:
    return [line for word in words for line in in_lines(word, Pen(11, INK), INNER)]


def _way(stream: Stream) -> str:
    """What brings the stream: the topics, the pace, the files."""
    arrives = stream.arrives
    ways = [
        f"webhook {', '.join(arrives.webhook)}" if arrives.webhook else "",
        f"poll every {arrives.poll}" if arrives.poll else "",
        f"file {arrives.file}" if arrives.file else "",
        f"catch-up {cron_in_words(arrives.catch_up)}" if arrives.catch_up else "",
        f"a whole look {cron_in_words(arrives.snapshot)}" if arrives.snapshot else "",
    ]
    return ", ".join(way for way in ways if way)


def _proof(name: str, proof: Reconciliation) -> Lines:
    what = f", comparing {', '.join(proof.fields)}" if proof.fields else ""
    return in_lines(
        f"proof {name}: {' = '.join(proof.between)}, {cron_in_words(proof.every)}{what}; {proof.steward} answers",
        TEXT,
        900,
    )


# -- the drawing ---------------------------------------------------------------------------------------------------------


def swimlane(told: IntegrationMap, entity: str, channel: str) -> str:
    """The journey of an entity's records that begin in a channel, as SVG."""
    journey = Journey(told, told.entities[entity], told.systems[channel])
    starts = [float(MARGIN + place * LANE) for place in range(len(journey.lanes))]
    lanes = {name: (x, lane) for x, lane in zip(starts, journey.lanes, strict=True) for name in lane.systems}
    width, sheet = max(starts[-1] + BOX + MARGIN, 960), Sheet()
    title = f"The journey of {entity} from {channel}"
    sheet.text(MARGIN, 44, title, TITLE)
    sheet.timings(MARGIN, 74)
    sheet.text(
        MARGIN, 96, "‹…› is read from the message; an arrow says how soon it is promised, from the message on", SMALL
    )
    top = _heads(sheet, dict(zip(starts, journey.lanes, strict=True)), 112)
    start, number = top - 12, 0
    for row in journey.rows:
        if isinstance(row, Note):
            height = height_of(row.lines) + 2 * PAD
            top += 10 if row.is_heading else 0
            sheet.box(MARGIN - 10, top, width - 2 * MARGIN + 20, height, fill=SOFT if row.is_heading else PAPER)
            sheet.lines(MARGIN + PAD, top + PAD - 1, row.lines)
            top += height + 12
        else:
            number += 1
            top = _step(sheet, row, number, lanes, top) + 12
    lifelines = [f"<path d='M{x + BOX / 2:g},{start:g} V{top:g}' stroke='{LINE}' stroke-width='2'/>" for x in starts]
    sheet.shapes[:0] = lifelines
    return sheet.svg(width, round(top + 12, 1), title)


def _heads(sheet: Sheet, lanes: dict[float, Lane], top: float) -> float:
    """Who each lane is; where they end."""
    texts = {x: [*in_lines(lane.name, HEADING, INNER), *in_lines(lane.who, SMALL, INNER)] for x, lane in lanes.items()}
    height = max(height_of(lines) for lines in texts.values()) + 2 * PAD
    for x, lines in texts.items():
        sheet.box(x, top, BOX, height, fill=lanes[x].fill, edge=INK)
        sheet.lines(x + BOX / 2, top + (height - height_of(lines)) / 2, lines, anchor="middle")
    return top + height + 12


def _step(sheet: Sheet, step: Step, number: int, lanes: dict[str, tuple[float, Lane]], top: float) -> float:
    """Two boxes and the arrow between them; where they end."""
    heights = []
    for name, lines in ((step.giver, step.said), (step.taker, step.heard)):
        x, lane = lanes[name]
        heights.append(height_of(lines) + 2 * PAD - 4)
        sheet.box(x, top, BOX, heights[-1], fill=lane.fill, edge=INK)
        sheet.lines(x + PAD, top + PAD - 3, lines)
    giver, taker = lanes[step.giver][0], lanes[step.taker][0]
    sheet.text(giver + BOX - PAD, top + PAD + 9, str(number), Pen(12, GREY, is_bold=True), anchor="end")
    goes_right = giver < taker
    start, end = giver + BOX * goes_right, taker + BOX * (not goes_right)
    y = round(top + min(heights) / 2, 1)
    is_dashed = step.flow is not None and step.flow.mode != "live"
    ends = {"flow": step.told_of, "from": step.giver, "to": step.taker}
    sheet.arrow([(start, y), (end, y)], colour=colour_of(step.flow), is_dashed=is_dashed, **ends)
    if step.flow:
        middle = start + (LANE - BOX) / 2 * (1 if goes_right else -1)
        sheet.lines(middle, y - 20, [(f"≤ {spelled(step.flow.max_lag)}", Pen(12, GREY, is_bold=True))], anchor="middle")
    return top + max(heights)

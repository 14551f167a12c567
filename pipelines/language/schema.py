"""What the integration map may say, in one place: pydantic models of its YAML files, and `load_map()`."""

import re
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

MAP_DIR = Path(__file__).parents[1] / "map"
MISSING = {"owner": "<system or role>", "steward": "team:<name>", "type": "text", "connector": "<a dotted path>"}
DURATION = r"(\d+)\s*(s|m|h|d)"

Role = Literal[
    "storefront", "marketplace", "erp", "oms", "wms", "3pl", "carrier", "payments", "crm", "marketing", "loyalty",
    "accounting", "pim", "tax", "support", "middleware",
]  # fmt: skip
FieldType = Literal[
    "text", "money", "unit_price", "quantity", "integer", "number", "rate", "timestamp", "date", "boolean",
    "currency", "country", "postcode", "email", "phone", "gtin", "tracking_number",
]  # fmt: skip
Resolve = Literal["latest", "furthest", "sum", "collect", "first", "withdrawn_wins"]
OnDelete = Literal["cancel", "archive", "delete", "ignore"]
Sql = str  # a DuckDB expression over `payload` (and `item` where a list is unfolded)


def seconds(text: Any) -> int:
    """'90s', '2m', '1h', '75h' or '1d' in seconds. Raises ValueError."""
    match = re.fullmatch(DURATION, str(text).strip())
    if not match:
        raise ValueError(f"{text!r} is not a duration; write a number and s, m, h or d, as in 15m")
    return int(match[1]) * {"s": 1, "m": 60, "h": 3600, "d": 86400}[match[2]]


def spelled(duration: int) -> str:
    """Seconds as the map writes them: 90s, 2m, 1h, 1d."""
    size, unit = next((s, u) for s, u in ((86400, "d"), (3600, "h"), (60, "m"), (1, "s")) if duration % s == 0)
    return f"{duration // size}{unit}"


def cron_in_words(cron: str) -> str:
    """A schedule as people say it, where it is a plain one: every 10m, every hour, every day at 04:30."""
    match = re.fullmatch(r"(?:\*|(\d+)-59)/(\d+) \* \* \* \*", cron)
    if match and int(match[1] or 0) < int(match[2]):
        return f"every {match[2]}m"
    if re.fullmatch(r"\d+ \* \* \* \*", cron):
        return "every hour"
    if match := re.fullmatch(r"(\d+) (\d+) \* \* \*", cron):
        return f"every day at {match[2]:0>2}:{match[1]:0>2}"
    return cron


def as_list(value: Any) -> Any:
    return value if isinstance(value, list) else [value]


Duration = Annotated[  # seconds
    int, BeforeValidator(seconds, json_schema_input_type=Annotated[str, Field(pattern=rf"^\s*{DURATION}\s*$")])
]
OneOrMany = Annotated[list[str], BeforeValidator(as_list, json_schema_input_type=str | list[str])]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class FromEnv(Strict):
    """A setting that comes from an environment variable; a value never stands in the map."""

    env: str
    default: str | None = None


class Limits(Strict):
    """What the system bears."""

    per_second: float | None = None  # deliveries a second, kept across restarts
    at_once: int = 1  # couriers at the same time
    batch: int = 50  # deliveries in one call


class FileFormat(Strict):
    """How the stream's files are written."""

    format: Literal["csv", "xml", "json", "jsonl"]
    delimiter: str = ","
    decimal: str = "."
    numbers: list[str] = []  # columns in which the decimal mark is read as such
    encoding: str = "utf-8"
    row: str | None = None  # XML: the path of one record
    one_message_per: str | None = None  # CSV: rows that share this column are one message
    as_of: Sql | None = None  # an expression over file_name: the moment for which the file speaks


class Arrives(Strict):
    """How the stream's messages reach us."""

    webhook: list[str] = []
    poll: str | None = None  # a duration: the probe's pace
    file: str | None = None  # a glob below the drop folder
    catch_up: str | None = None  # cron: webhooks may be a day late or never come
    snapshot: str | None = None  # cron: everything that the system holds


class Part(Strict):
    """How the stream spells a record, or one of those that hang on it, as the consent for one channel."""

    when: Sql | None = None  # which messages speak of it at all; the others are ignored
    occurred_at: Sql | None = None  # since when it is so, where that is not the message's own time
    fields: dict[str, Sql] = {}
    words: dict[str, dict[str, str]] = {}


class Says(Part):
    """How the stream spells one entity."""

    key: OneOrMany  # expressions
    remote_id: Sql | None = None  # the entity's own id there, where the stream's is another's
    originates: Sql = "false"
    finds_by: str | None = None  # the sender knows no key of ours: each is the one record with this value in this field
    unfold: Sql | None = None  # a JSON list in the payload: one row an element, named `item`
    line: Sql | None = None  # unfolded rows without ids of their own: what the n-th occurrence is counted of
    only: list[str] = []  # of which rows, by the last part of their key, the messages tell; others are merely held
    echo: Sql | None = None  # which rows merely repeat what we wrote there: held, but no word of the sender's
    each: dict[str, Part] = {}  # of an entity that hangs on another: how each of its records is spelled

    def parts(self, of: str = "remote_id") -> list["Says"]:
        """One spelling a record: itself, or each of those that hang on a record; `of` spells the stream's remote id."""
        return [self._part(name, part, self.remote_id or of) for name, part in self.each.items()] or [self]

    def _part(self, name: str, part: Part, remote_id: str) -> "Says":
        return Says(
            key=[f"({key}) || '/{name}'" for key in self.key],
            remote_id=f"({remote_id}) || '/{name}'",
            when=" and ".join(f"({condition})" for condition in (self.when, part.when) if condition) or None,
            originates=self.originates,
            occurred_at=part.occurred_at or self.occurred_at,
            fields=self.fields | part.fields,
            words=self.words | part.words,
        )


class FileDrop(Strict):
    """How an entity is dropped where the partner takes files: one file a version of a record."""

    folder: str
    format: Literal["csv", "json"]
    delimiter: str = ","


class Stream(Strict):
    meaning: str = ""
    messages: Literal["snapshot", "patch", "delete"]
    arrives: Arrives
    complete: bool = False
    largest_disappearance: str = "5%"
    absent: Literal["not_said", "null"] = "not_said"
    file: FileFormat | None = None
    remote_id: Sql = "remote_id"
    occurred_at: Sql | None = None
    sequence: Sql | None = None
    deleted_at: Sql | None = None
    writer: Sql | None = None  # who wrote it, where the system tells: others than `writers` are findings
    ignores: list[str] = []  # paths that nobody needs, with all beneath them: no findings
    says: dict[str, Says]

    @property
    def is_polled(self) -> bool:
        """Whether we fetch it, instead of being told."""
        return bool(self.arrives.poll or self.arrives.file)


class System(Strict):
    system: str
    role: Role
    steward: str
    connector: str
    settings: dict[str, FromEnv] = {}
    limits: Limits = Limits()
    time_zone: str = "UTC"
    clock: Literal["trusted", "untrusted", "file"] = "trusted"
    temporary: bool = False
    locations: list[str] = []  # stock locations that this system owns
    writers: list[str] = []  # who may write there
    ignores: list[str] = []  # topics, files and streams of it that no stream takes, as globs: no findings
    streams: dict[str, Stream] = {}
    takes: dict[str, list[str]] = {}
    drops: dict[str, FileDrop] = {}  # entity -> how it is dropped there, where the system takes files
    stores: dict[str, dict[str, Sql]] = {}  # entity -> field -> an expression over `value`: how it keeps what it takes


class EntityField(Strict):
    type: FieldType | list[str]
    meaning: str = ""
    owner: OneOrMany
    required: bool = False
    rule: Sql | None = None
    severity: Literal["reject", "warn"] = "reject"
    resolve: Resolve = "latest"
    lifted_by: Sql | None = None  # which messages of its owners end a withdrawal that is older: nothing else does
    follows: str | None = None  # what came with the word that settled that field
    may_go_back: list[str] = []  # statuses that their owner may take back; any other step back is a conflict
    on_foreign_write: Literal["restore", "hold", "ignore"] = "ignore"
    personal: bool = False
    references: str | None = None  # an entity: the value must be one of its keys, or the record waits

    @property
    def ladder(self) -> list[str] | None:
        """The words of a status field, from first to furthest; None for other types."""
        return self.type if isinstance(self.type, list) else None


class Existence(Strict):
    owner: OneOrMany
    first: dict[str, Sql] = {}  # of a child that several tell: which rows this owner tells before the others
    on_delete: OnDelete = "ignore"


class Match(Strict):
    """Records of different systems that agree on this are one."""

    by: Sql  # over the record's fields
    is_sure: bool = Field(True, alias="sure")  # if not, a person says whether they are one


class Rule(Strict):
    """A sentence about the whole record."""

    that: Sql
    severity: Literal["reject", "warn"] = "reject"
    steward: str | None = None


class Unique(Strict):
    """Fields whose values, taken together, one record alone may have."""

    fields: OneOrMany
    severity: Literal["reject", "warn"] = "reject"
    steward: str | None = None


class LinesOfSum(Strict):
    """What a line adds to its record: the child entity, and the fields of it that count."""

    entity: str
    quantity: str
    price: str
    discount: str | None = None  # what is taken off the whole line
    tax_rate: str | None = None
    counts: Sql | None = None  # which lines do: a bundle's parent, whose parts are lines too, does not


class TaxOfSum(Strict):
    """The tax of a record, and how its sender comes to it."""

    field: str
    included: bool | str = False  # whether prices contain it, or the field that says so
    rounding: Literal["line", "order"] = "line"
    rates: dict[str, str] = {}  # what is added and taxed too -> the field with its rate


class AddsUp(Strict):
    """A record's total is what its lines come to, less its discounts, and what is added."""

    total: str
    lines: LinesOfSum
    less: list[str] = []
    plus: list[str] = []
    tax: TaxOfSum | None = None
    tolerance: int = 1  # minor units of the currency
    when: Sql | None = None  # which messages are judged
    severity: Literal["reject", "warn"] = "reject"
    steward: str | None = None


class Shipper(Strict):
    """A place from which lines are shipped, and who ships them."""

    mode: Literal["in_house", "3pl", "crossdock", "dropship", "store"]
    by: str  # the system or role that ships
    when: Sql | None = None  # over the line, `<parent>.<field>` and `<referenced entity>.<field>`; None: what is left


class Routes(Strict):
    """Which place ships a line: each goes to exactly one."""

    when: Sql | None = None  # which lines are shipped at all
    places: dict[str, Shipper]


class Hold(Strict):
    """What keeps a record's deliveries waiting, where people see it, until it is over; withdrawals do not wait."""

    when: Sql
    meaning: str


class Limit(Strict):
    """What an entity's records may come to together; what is beyond it is held, with the sums and who answers."""

    meaning: str
    adds: str  # the field that is added up
    per: str  # of all records with the same value there, which is a key of the entity that says how much there is
    at_most: Annotated[str, Field(pattern=r"^\w+\.\w+$")]  # <entity>.<field>; while it is not known, all wait
    counts: Sql = "true"  # which records count
    stands: Sql = "false"  # which of these are done, whoever did it: they come before all others
    holds: OneOrMany  # the flows that go no further
    steward: str

    @property
    def source(self) -> tuple[str, str]:
        """The entity and field that say how much there is."""
        entity, _, field = self.at_most.partition(".")
        return entity, field


class PostalAddress(Strict):
    """Which fields of a record are a postal address: what its country asks of one is flagged where it lacks, never rewritten."""

    country: str
    street: str
    city: str | None = None
    area: str | None = None  # the state, province or prefecture
    postcode: str | None = None
    steward: str | None = None


class OnFailure(Strict):
    retry_for: Duration
    then: Literal["park", "alert"] = "park"
    fallback: str | None = None  # what people do by hand meanwhile


class Brake(Strict):
    """More changes than this in one build wait for `concord release`: the larger of the two."""

    rows: int = 100
    share: float = 0.01


class Flow(Strict):
    from_: str | None = Field(None, alias="from")
    to: str | None = None
    meaning: str = ""
    fields: list[str] = []
    with_: list[str] = Field([], alias="with")  # child entities that travel inside
    ships: str | None = None  # a place of their routes: only its lines travel, and only records that have such
    shows: dict[
        str, Sql
    ] = {}  # field -> what the destination is shown in its place, over the record: a channel's buffer
    when: Sql | None = None
    on_leave: OnDelete | None = None  # what leaving the condition means at the destination
    deliver: Literal["latest", "every"] = "latest"
    write: Literal["absolute", "compare_and_set"] = "absolute"
    timing: Literal["realtime", "near_realtime", "batch"]
    cron: str | None = None
    max_lag: Duration
    tier: Literal[1, 2, 3]
    mode: Literal["shadow", "canary", "live"] = "live"
    canary: Sql | None = None  # which records a canary delivers
    brake: Brake = Brake()
    on_failure: OnFailure | None = None
    steward: str


class Reconciliation(Strict):
    between: Annotated[list[str], Field(min_length=2, max_length=2)]  # systems, roles, or `us`
    each: str | None = None  # a child: each of its rows is compared, instead of the record
    fields: dict[str, float | Literal["exact"]]
    when: Sql | None = None  # which of our records the other side should hold
    gone: Sql | None = None  # what a side holds so is as good as not there
    within: Duration | None = None  # a difference younger than this is late, not wrong
    by_hand: dict[
        Literal["missing there", "missing here", "differs"], str
    ] = {}  # what ends it where no flow wants it; {key}
    every: str
    alarm_above: str = "0"
    steward: str


class BusinessProof(Strict):
    """A question about several entities, answered by a model that is written by hand: models/reconciliation/<name>.sql."""

    meaning: str
    within: Duration  # a difference younger than this is late, not wrong
    every: str
    alarm_above: str = "0"
    steward: str


class Figure(Strict):
    """A number about all records of an entity, which Dagster plots and a check holds against its threshold."""

    meaning: str
    is_: Sql = Field(alias="is")  # an aggregate over the settled records
    unit: str
    alarm_above: float
    steward: str


class PriceList(Strict):
    """A rule by which a buyer has a price list: it names the list, or the list is found by what its prices say."""

    list_: Sql | None = Field(
        None, alias="list"
    )  # over `<sale>.<field>`, `<buyer>.<field>` and `market`; null: there is none
    has: dict[str, Sql] = {}  # field of a price -> what it is of this buyer's list
    alone: bool = False  # what the list does not name has no price; otherwise the next list is asked

    @property
    def texts(self) -> list[str]:
        """Its expressions."""
        return [*([self.list_] if self.list_ else []), *self.has.values()]


class Market(Strict):
    """Countries whose people pay by a list of their own: the one of the market's name."""

    countries: OneOrMany
    currency: str


class Buyer(Strict):
    """Who buys: the entity, and the field of the sale in which its channel names them."""

    entity: str
    number: str


class SoldBy(Strict):
    """At which of these prices a line was to be sold: the first of its buyer's lists that has one."""

    lines: str  # the entity whose rows are sold
    buyer: Buyer
    at: str  # fields of the sale: when it was made,
    country: str  # where it goes,
    currency: str  # in which currency it counts,
    shown_in: str | None = None  # and in which the buyer saw it
    markets: dict[str, Market] = {}
    lists: dict[str, PriceList]


class Entity(Strict):
    entity: str
    meaning: str
    key: OneOrMany
    parent: str | None = None  # the entity whose winning message decides which of these exist
    of: str | None = None  # the entity on whose records these hang: they go where it is linked, and
    each: list[str] = []  # there is one for each of these; the key is <its key>/<one of them>
    model: str | None = None  # a hand-written dbt model instead of a generated one
    reads: list[str] = []  # entities whose changes a hand-written model depends on
    turns_at: str | None = None  # the field that says when a record will be another without a word from anybody
    exists: Existence | None = None
    match: dict[str, Match] = {}  # the strongest first
    pending_for: Duration = 86400
    fields: dict[str, EntityField]
    rules: dict[str, Rule] = {}
    unique: dict[str, Unique] = {}
    adds_up: AddsUp | None = None
    sold_by: SoldBy | None = None
    routes: Routes | None = None
    holds: dict[str, Hold] = {}
    limits: dict[str, Limit] = {}
    figures: dict[str, Figure] = {}
    address: PostalAddress | None = None
    flows: dict[str, Flow] = {}
    reconcile: dict[str, Reconciliation] = {}
    proofs: dict[str, BusinessProof] = {}
    unreconciled: str | None = None  # why nobody can compare this entity between its systems

    @property
    def currency(self) -> str | None:
        """The field that says in which currency a record's money is."""
        return next((name for name, field in self.fields.items() if field.type == "currency"), None)

    @property
    def says_who(self) -> bool:
        """Whether its records remember by which remote ids they are known."""
        return bool(self.match or self.of)

    @property
    def has_tellers(self) -> bool:
        """Whether each of its rows is told, as a whole, by one of those who own them."""
        return self.parent is not None and self.exists is not None

    @property
    def is_proved(self) -> bool:
        """Whether anything is compared on a schedule."""
        return bool(self.reconcile or self.proofs)

    def is_carried_at_once(self, flow: Flow) -> bool:
        """Whether the run that settles the entity carries the flow, too: one of its highest tier. The others are carried
        when they are due, so that what is urgent does not wait for a partner's server."""
        return flow.to is not None and flow.tier == min(other.tier for other in self.flows.values() if other.to)


class IntegrationMap(Strict):
    """The whole map, with the questions that the rest of Concord asks of it."""

    systems: dict[str, System]
    entities: dict[str, Entity]

    def systems_named(self, name: str) -> list[System]:
        """The system of that name, or every system of that role."""
        if name in self.systems:
            return [self.systems[name]]
        return [system for system in self.systems.values() if system.role == name]

    def says(self, entity: str) -> list[tuple[System, str, Stream, Says]]:
        """Every stream that speaks of the entity: (system, stream name, stream, how)."""
        return [
            (system, name, stream, says)
            for system in self.systems.values()
            for name, stream in system.streams.items()
            if entity in stream.says
            for says in stream.says[entity].parts(stream.remote_id)
        ]

    def children(self, entity: str) -> list[Entity]:
        """The entities that live and die with this one."""
        return [child for child in self.entities.values() if child.parent == entity]

    def family(self, entity: str) -> list[Entity]:
        """The entity and its children: what one sync settles together."""
        return [self.entities[entity], *self.children(entity)]

    @cached_property
    def roots(self) -> list[Entity]:
        """The entities that have a sync of their own."""
        return [entity for entity in self.entities.values() if entity.parent is None]

    @cached_property
    def flows(self) -> dict[str, tuple[Entity, Flow]]:
        """Every flow by its name, with its entity."""
        return {name: (entity, flow) for entity in self.entities.values() for name, flow in entity.flows.items()}

    def destinations(self, entity: Entity, flow: Flow) -> list[System]:
        """The systems to which an outbound flow delivers: of those that it names, the ones that take its entity."""
        return [system for system in self.systems_named(flow.to or "") if entity.entity in system.takes]


class MapProblem(Exception):
    """The map cannot be read. The message names file, key and fix."""


class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]  # libyaml is ten times faster
    """YAML's safe loader, which also refuses a key that stands twice: otherwise the first would silently be lost."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            if key.value in seen:
                raise yaml.MarkedYAMLError(problem=f"the key {key.value!r} stands twice", problem_mark=key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep=deep)


def read_map_file(path: Path, kind: str) -> dict[str, Any]:
    """One YAML file of the map, whose first key names it as its file name does. Raises MapProblem."""
    where = f"map/{path.parent.name}/{path.name}"
    try:
        told = yaml.load(path.read_text(encoding="utf-8"), Loader)  # noqa: S506  a safe one
    except yaml.MarkedYAMLError as problem:
        line = f"line {problem.problem_mark.line + 1}" if problem.problem_mark else "the file"
        raise MapProblem(f"{where}: {line}: {problem.problem}; mend this line") from problem
    except (yaml.YAMLError, UnicodeDecodeError) as problem:
        raise MapProblem(f"{where}: is no YAML in UTF-8 ({problem}); save it as such") from problem
    if not isinstance(told, dict) or kind not in told:
        raise MapProblem(f"{where}: does not begin with `{kind}: {path.stem}`; add that line")
    if told[kind] != path.stem:
        raise MapProblem(f"{where}: {kind}: {told[kind]!r} is not the file's name; rename one of the two")
    return told


def load_map(folder: Path = MAP_DIR) -> IntegrationMap:
    """The map in that folder. Raises MapProblem with one line for each thing that is wrong."""
    systems = {path.stem: read_map_file(path, "system") for path in sorted((folder / "systems").glob("*.yaml"))}
    entities = {path.stem: read_map_file(path, "entity") for path in sorted((folder / "entities").glob("*.yaml"))}
    if not systems or not entities:
        raise MapProblem(f"{folder}: has no systems/*.yaml or no entities/*.yaml; add one of each")
    try:
        return IntegrationMap.model_validate({"systems": systems, "entities": entities})
    except ValidationError as problem:
        raise MapProblem("\n".join(_sentence(error) for error in problem.errors())) from problem


def _sentence(error: Any) -> str:
    kind, name, *_ = error["loc"]
    return sentence(error | {"loc": error["loc"][2:]}, f"map/{kind}/{name}.yaml")


def sentence(error: Any, file: str) -> str:
    """What pydantic found in a file of the map, with place and fix."""
    keys = [str(part) for part in error["loc"]]
    place = ".".join(key for key in keys if not key.startswith(("function-", "literal", "list[", "constrained")))
    advice = {
        "extra_forbidden": "the map knows no such key; mend its spelling or delete it",
        "missing": f"is missing; add {keys[-1]}: {MISSING.get(keys[-1], '...')}" if keys else "is missing; add it",
    }.get(error["type"], error["msg"].removeprefix("Value error, "))
    return f"{file}: {place}: {advice}"

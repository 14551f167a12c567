"""What the integration map may say, in one place: pydantic models of its YAML files, and `load_map()`."""

import re
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

MAP_DIR = Path(__file__).parent / "map"
MISSING = {"owner": "<system or role>", "steward": "team:<name>", "type": "text", "connector": "<a dotted path>"}
DURATION = r"(\d+)\s*(s|m|h|d)"

Role = Literal[
    "storefront", "marketplace", "erp", "oms", "wms", "3pl", "carrier", "payments", "crm", "marketing", "loyalty",
    "accounting", "pim", "tax", "support", "middleware",
]  # fmt: skip
FieldType = Literal[
    "text", "money", "unit_price", "quantity", "integer", "number", "rate", "timestamp", "date", "boolean",
    "currency", "country", "postcode", "email", "phone",
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


class Says(Strict):
    """How the stream spells one entity."""

    key: OneOrMany  # expressions
    when: Sql | None = None  # which messages speak of the entity at all; the others are ignored
    remote_id: Sql | None = None  # the entity's own id there, where the stream's is another's
    originates: Sql = "false"
    unfold: Sql | None = None  # a JSON list in the payload: one row an element, named `item`
    line: Sql | None = None  # unfolded rows without ids of their own: what the n-th occurrence is counted of
    fields: dict[str, Sql] = {}
    words: dict[str, dict[str, str]] = {}


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
    stores: dict[str, dict[str, Sql]] = {}  # entity -> field -> an expression over `value`: how it keeps what it takes


class EntityField(Strict):
    type: FieldType | list[str]
    meaning: str = ""
    owner: OneOrMany
    required: bool = False
    rule: Sql | None = None
    severity: Literal["reject", "warn"] = "reject"
    resolve: Resolve = "latest"
    on_foreign_write: Literal["restore", "hold", "ignore"] = "ignore"
    personal: bool = False
    references: str | None = None  # an entity: the value must be one of its keys, or the record waits

    @property
    def ladder(self) -> list[str] | None:
        """The words of a status field, from first to furthest; None for other types."""
        return self.type if isinstance(self.type, list) else None


class Existence(Strict):
    owner: OneOrMany
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
    fields: dict[str, float | Literal["exact"]]
    when: Sql | None = None  # which of our records the other side should hold
    gone: Sql | None = None  # what a side holds so is as good as not there
    within: Duration | None = None  # a difference younger than this is late, not wrong
    every: str
    alarm_above: str = "0"
    steward: str


class Entity(Strict):
    entity: str
    meaning: str
    key: OneOrMany
    parent: str | None = None  # the entity whose winning message decides which of these exist
    model: str | None = None  # a hand-written dbt model instead of a generated one
    reads: list[str] = []  # entities whose changes a hand-written model depends on
    exists: Existence | None = None
    match: dict[str, Match] = {}  # the strongest first
    pending_for: Duration = 86400
    fields: dict[str, EntityField]
    rules: dict[str, Rule] = {}
    flows: dict[str, Flow] = {}
    reconcile: dict[str, Reconciliation] = {}
    unreconciled: str | None = None  # why nobody can compare this entity between its systems


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
            (system, name, stream, stream.says[entity])
            for system in self.systems.values()
            for name, stream in system.streams.items()
            if entity in stream.says
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

    def destinations(self, flow: Flow) -> list[System]:
        """The systems to which an outbound flow may deliver."""
        return self.systems_named(flow.to) if flow.to else []


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
    kind, name, *keys = [str(part) for part in error["loc"]]
    place = ".".join(key for key in keys if not key.startswith(("function-", "literal", "list[", "constrained")))
    advice = {
        "extra_forbidden": "the map knows no such key; mend its spelling or delete it",
        "missing": f"is missing; add {keys[-1]}: {MISSING.get(keys[-1], '...')}" if keys else "is missing; add it",
    }.get(error["type"], error["msg"].removeprefix("Value error, "))
    return f"map/{kind}/{name}.yaml: {place}: {advice}"

"""What Dagster shows of the map: every stream, model, snapshot and delivery as an asset, with its neighbours and owner."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from graphlib import TopologicalSorter
from pathlib import Path

import dagster as dg

from pipelines.compiler.reconciliation import looks
from pipelines.language.schema import Entity, EntityField, Flow, IntegrationMap, Stream, System, spelled
from pipelines.orchestration.asset_keys import UNCLAIMED, flow_key, snapshot_key, stream_key

MODELS = Path(__file__).parents[2] / "dbt_project" / "models"
REF = re.compile(r'\bref\("(\w+)"\)')
TAG = re.compile(r'\btags=\["(\w+)"')
VIEW = re.compile(r'\bmaterialized="view"')
MEANING = re.compile(r"^-- (?!generated from)(.+)$", re.MULTILINE)
INNER = (
    "landing_",
    "touched_",
    "ledger_",
    "links_",
)  # how a sync keeps track of itself: no step on the path of the data

STANDARD_COLUMNS = {
    "verdicts": {
        "inbox_id": ("integer", "The message."),
        "verdict": ("text", "quarantined, pending, applied, superseded or ignored: the first that matches."),
        "key": ("text", "The record that it speaks of."),
        "received_at": ("timestamp", "When it was kept."),
    },
    "quarantine": {
        "inbox_id": ("integer", "The message."),
        "reason": ("text", "The field, the value and the rule that it breaks."),
        "is_rejected": ("boolean", "Whether the whole message waits, or only the field."),
        "steward": ("text", "Who answers."),
        "next_step": ("text", "What to do."),
    },
    "wanted": {
        "flow": ("text", "By which flow it is delivered."),
        "system": ("text", "The destination."),
        "is_wanted": ("boolean", "Whether the destination should hold it at all."),
        "payload": ("json", "What the destination should hold; money and quantities as text."),
        "held_because": ("text", "Why it must wait, or nothing."),
    },
    "reconcile": {
        "reconciliation": ("text", "Which two sides were compared."),
        "kind": ("text", "missing here, missing there, differs, duplicate, or late within its promise."),
        "field": ("text", "The field that differs."),
        "one_value": ("text", "What the one side holds."),
        "other_value": ("text", "What the other side holds."),
        "steward": ("text", "Who answers."),
        "repair": ("text", "What to do."),
    },
    "proofs": {
        "proof": ("text", "Which question was asked."),
        "key": ("text", "The record that it is about."),
        "kind": ("text", "The class of the difference, or late within its promise."),
        "one_value": ("text", "What the money says."),
        "other_value": ("text", "What the other side says."),
        "age": ("interval", "For how long."),
        "steward": ("text", "Who answers."),
        "next_step": ("text", "What to do."),
    },
}


class NoModels(Exception):
    """The dbt models do not fit the map; `concord write` generates them again."""


@dataclass(frozen=True, slots=True)
class Model:
    """A dbt model, as its file tells of it."""

    name: str
    path: Path
    meaning: str
    tag: str  # the step that builds it: sync_<entity> or reconcile_<entity>
    refs: tuple[str, ...]
    is_view: bool


def read_models(folder: Path = MODELS) -> dict[str, Model]:
    """The models by name, read as text: dbt itself takes seconds to start, and these are few small files."""
    models = {}
    for path in sorted(folder.rglob("*.sql")):
        sql = path.read_text(encoding="utf-8")
        meaning, tag = MEANING.search(sql), TAG.search(sql)
        if tag:
            models[path.stem] = Model(
                name=path.stem,
                path=path,
                meaning=meaning[1] if meaning else path.stem,
                tag=tag[1],
                refs=tuple(sorted(set(REF.findall(sql)) - {path.stem})),
                is_view=bool(VIEW.search(sql)),
            )
    return models


def describe(field: EntityField) -> str:
    """A field's meaning and owner, as a person reads them."""
    owner = f"owned by {' then '.join(field.owner)}"
    return f"{field.meaning} ({owner})" if field.meaning else owner


@dataclass(frozen=True)
class Lineage:
    """The assets of a map."""

    the_map: IntegrationMap
    models: dict[str, Model]

    def root_of(self, entity: str) -> Entity:
        """The entity whose sync settles this one."""
        told = self.the_map.entities[entity]
        return self.the_map.entities[told.parent] if told.parent else told

    def steward(self, entity: str) -> str:
        """Who answers for an entity: the steward of its most important flow."""
        flows = sorted(self.root_of(entity).flows.values(), key=lambda flow: flow.tier)
        return flows[0].steward if flows else self.the_map.says(entity)[0][0].steward

    def group_of_stream(self, stream: Stream) -> str:
        """The entity that a stream mainly tells of."""
        return self.root_of(next(iter(stream.says))).entity

    def streams_of(self, entity: str) -> list[tuple[System, str, Stream]]:
        """The streams that the entity's sync reads."""
        found = {
            (system.system, name): (system, name, stream)
            for member in self.the_map.family(entity)
            for system, name, stream, _ in self.the_map.says(member.entity)
        }
        return list(found.values())

    @cached_property
    def streams(self) -> list[tuple[System, str, Stream]]:
        """Every stream that speaks of something."""
        return [
            (system, name, stream)
            for system in self.the_map.systems.values()
            for name, stream in system.streams.items()
            if stream.says
        ]

    @cached_property
    def snapshots(self) -> list[tuple[System, str, Stream]]:
        """Every stream of which the whole can be asked."""
        return [found for found in self.streams if found[2].arrives.snapshot]

    @cached_property
    def deliveries(self) -> list[tuple[System, str, Entity, Flow]]:
        """(destination, flow's name, entity, flow) of everything that is delivered."""
        return [
            (system, name, entity, flow)
            for name, (entity, flow) in self.the_map.flows.items()
            for system in self.the_map.destinations(entity, flow)
        ]

    def deliveries_of(self, entity: Entity) -> list[dg.AssetKey]:
        """What is delivered of an entity in the run that settles it, as assets."""
        return [
            flow_key(system.system, name)
            for system, name, told, flow in self.deliveries
            if told is entity and entity.is_carried_at_once(flow)
        ]

    @cached_property
    def destinations(self) -> list[System]:
        """The systems that take deliveries."""
        return list({system.system: system for system, *_ in self.deliveries}.values())

    def stream(self, system: System, name: str, stream: Stream) -> dg.AssetSpec:
        """The asset of what a system tells."""
        arrives = stream.arrives
        ways = ["webhook"] * bool(arrives.webhook) + ["poll"] * bool(arrives.poll) + ["file"] * bool(arrives.file)
        how = {
            "webhook": f"posted to us as {', '.join(arrives.webhook)}",
            "poll": f"looked at every {arrives.poll}",
            "file": f"dropped as files {arrives.file}",
        }
        told = stream.meaning or f"What {system.system} tells of {', '.join(stream.says)}."
        return dg.AssetSpec(
            stream_key(system.system, name),
            description=f"{told} It is {' and '.join(how[way] for way in ways)}.",
            group_name=self.group_of_stream(stream),
            owners=owners(system.steward),
            kinds={*ways[:2], system.role},
            metadata={"map": f"pipelines/map/systems/{system.system}.yaml"},
        )

    def unclaimed(self) -> dg.AssetSpec:
        """The asset of what arrives and no stream takes."""
        return dg.AssetSpec(
            UNCLAIMED,
            description="Topics, files, streams and writers that the map does not know: `concord findings` lists them.",
            group_name="unclaimed",
            owners=owners(*dict.fromkeys(system.steward for system in self.the_map.systems.values())),
        )

    def snapshot(self, system: System, name: str, stream: Stream) -> dg.AssetSpec:
        """The asset of a whole look at what a system holds."""
        return dg.AssetSpec(
            snapshot_key(system.system, name),
            description=f"Everything that {system.system} holds of {', '.join(stream.says)}, looked at as a proof.",
            group_name=self.group_of_stream(stream),
            owners=owners(system.steward),
            kinds={"snapshot", system.role},
            metadata={"map": f"pipelines/map/systems/{system.system}.yaml"},
        )

    def settled(self, entity: str) -> list[dg.AssetSpec]:
        """The assets that the entity's sync builds, from what arrived to what is wanted. Raises NoModels."""
        return [self._model(model, entity) for model in self._tagged(f"sync_{entity}")]

    def proved(self, entity: str) -> list[dg.AssetSpec]:
        """The assets that the entity's reconciliation builds. Raises NoModels."""
        return [self._model(model, entity) for model in self._tagged(f"reconcile_{entity}")]

    @cached_property
    def compared(self) -> dict[str, list[str]]:
        """The entities whose tables each job of proofs reads, itself or through other proofs."""
        jobs = {f"reconcile_{entity.entity}" for entity in self.the_map.roots if entity.is_proved}
        return {job: sorted(self._read_by(job)) for job in jobs}

    def _read_by(self, job: str) -> set[str]:
        left = [model.name for model in self.models.values() if model.tag == job]
        seen, entities = set(left), set()
        while left:
            model = self.models[left.pop()]
            if model.tag.startswith("sync_"):
                entities.add(model.tag.removeprefix("sync_"))
                continue
            left += (self.models.keys() & set(model.refs)) - seen
            seen.update(model.refs)
        return entities

    def delivered(self, destination: str) -> list[dg.AssetSpec]:
        """The assets of what flows bring to a destination."""
        return [
            dg.AssetSpec(
                flow_key(system.system, name),
                deps=[f"wanted_{entity.entity}"],
                description=f"{flow.meaning or f'{entity.entity} as {system.system} should hold them.'} "
                f"Promised within {spelled(flow.max_lag)}; tier {flow.tier}, {flow.mode}.",
                group_name=entity.entity,
                owners=owners(flow.steward),
                kinds={"delivery", system.role},
                metadata={
                    "map": f"pipelines/map/entities/{entity.entity}.yaml",
                    "when": flow.when or "always",
                    "fallback": (flow.on_failure.fallback if flow.on_failure else None) or "none",
                },
            )
            for system, name, entity, flow in self.deliveries
            if system.system == destination
        ]

    def _tagged(self, tag: str) -> list[Model]:
        """The models of one step, each after those that it reads."""
        found = {name: m for name, m in self.models.items() if m.tag == tag and not name.startswith(INNER)}
        if not found:
            raise NoModels(f"dbt_project/models holds no model with the tag {tag}; run `concord write`")
        order = TopologicalSorter({name: sorted(found.keys() & set(model.refs)) for name, model in found.items()})
        return [found[name] for name in order.static_order()]

    def _model(self, model: Model, entity: str) -> dg.AssetSpec:
        parents: list[dg.AssetKey] = [dg.AssetKey(ref) for ref in model.refs if not ref.startswith(INNER)]
        if model.name.startswith("stg_"):
            told = self.the_map.says(model.name.removeprefix("stg_"))
            parents += dict.fromkeys(stream_key(system.system, name) for system, name, _, _ in told)
        if model.name == f"snapshots_{entity}":
            parents += [snapshot_key(*look) for look in looks(self.the_map, entity)]
        is_ours = model.name in self.the_map.entities
        meaning = self.the_map.entities[model.name].meaning if is_ours else model.meaning
        schema = self._columns(model.name, entity)
        return dg.AssetSpec(
            model.name,
            deps=parents,
            description=meaning,
            group_name=entity,
            owners=owners(self.steward(entity)),
            kinds={"dbt", "view"} if model.is_view else {"dbt", "duckdb"},
            metadata={
                **({"dagster/column_schema": schema} if schema else {}),
                "model": str(model.path.relative_to(MODELS.parent)),
                "map": f"pipelines/map/entities/{model.name if is_ours else entity}.yaml",
            },
        )

    def _columns(self, model: str, entity: str) -> dg.TableSchema | None:
        if model in self.the_map.entities:
            return _schema_of(self.the_map.entities[model])
        for word, columns in STANDARD_COLUMNS.items():
            if model in (f"{entity}_{word}", f"{word}_{entity}"):
                keys = [] if "key" in columns else self.the_map.entities[entity].key
                return dg.TableSchema(
                    [dg.TableColumn(key, "text", description="The record's key.") for key in keys]
                    + [dg.TableColumn(name, kind, description=told) for name, (kind, told) in columns.items()]
                )
        return None


def _schema_of(entity: Entity) -> dg.TableSchema:
    keys = [
        dg.TableColumn(
            key,
            "text",
            description="The record's key, the same in every system.",
            constraints=dg.TableColumnConstraints(nullable=False, unique=len(entity.key) == 1),
        )
        for key in entity.key
    ]
    fields = [
        dg.TableColumn(
            name,
            " → ".join(field.ladder) if field.ladder else str(field.type),
            description=describe(field),
            constraints=dg.TableColumnConstraints(
                nullable=not field.required, other=[f"{field.severity}: {field.rule}"] if field.rule else []
            ),
        )
        for name, field in entity.fields.items()
    ]
    return dg.TableSchema([*keys, *fields])


def owners(*stewards: str) -> list[str]:
    """Those stewards whom Dagster can show as owners: teams and addresses."""
    return [steward for steward in stewards if re.fullmatch(r"team:.+|[^@\s]+@[^@\s]+\.[^@\s]+", steward)]


def keys(specs: Iterable[dg.AssetSpec]) -> list[dg.AssetKey]:
    """The keys of these assets."""
    return [spec.key for spec in specs]

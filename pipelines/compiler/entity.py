"""What the templates ask about one entity of the map: its sources, owners, conditions, flows and proofs."""

import re
from dataclasses import dataclass
from functools import cached_property

from pipelines.compiler import types
from pipelines.compiler.address import PostalForm
from pipelines.compiler.allocation import Limits
from pipelines.compiler.consent import Withdrawal
from pipelines.compiler.cross_entity import Between, others_of
from pipelines.compiler.mapping import Source
from pipelines.compiler.pricing import Selling
from pipelines.compiler.reconciliation import Proof, can_be_asked
from pipelines.compiler.routing import Routing
from pipelines.compiler.row_ownership import Tellers
from pipelines.compiler.sql import listed, quoted
from pipelines.compiler.totals import Sum
from pipelines.compiler.uniqueness import Uniqueness
from pipelines.language.schema import Entity, EntityField, IntegrationMap, Rule, System


@dataclass(frozen=True)
class Facts:
    """What the templates ask about one entity of the map."""

    the_map: IntegrationMap
    entity: Entity

    @property
    def name(self) -> str:
        return self.entity.entity

    @property
    def root(self) -> Entity:
        return self.the_map.entities[self.entity.parent] if self.entity.parent else self.entity

    @property
    def root_key(self) -> list[str]:
        return self.root.key

    @property
    def key(self) -> list[str]:
        return self.entity.key

    @property
    def children(self) -> list["Facts"]:
        return [Facts(self.the_map, child) for child in self.the_map.children(self.name)]

    @cached_property
    def sources(self) -> list[Source]:
        return [
            Source(system, name, stream, says, self.entity, stream.says.get(self.entity.parent or ""))
            for system, name, stream, says in self.the_map.says(self.name)
        ]

    @property
    def fields(self) -> dict[str, EntityField]:
        return self.entity.fields

    @cached_property
    def between(self) -> Between:
        """The rules that hold its records against those of other entities."""
        return Between(self.the_map, self.entity)

    @property
    def rules_within(self) -> dict[str, Rule]:
        """The rules that a message alone can break."""
        return {name: rule for name, rule in self.entity.rules.items() if not others_of(rule)}

    @property
    def sum(self) -> Sum | None:
        """What the record's total must come to, where the map says."""
        return Sum(self.entity.adds_up) if self.entity.adds_up else None

    @property
    def selling(self) -> Selling | None:
        """Which price lists buyers have, where the map says."""
        return Selling(self.the_map, self.entity, self.entity.sold_by) if self.entity.sold_by else None

    @cached_property
    def remembered(self) -> list[str]:
        """Its fields that are asked for as they were at a time: sales were priced by them."""
        return sorted({name for selling in self._priced for name in selling.fields_of_buyer})

    @property
    def priced_by(self) -> list[str]:
        """The entities whose prices its records have."""
        return [selling.entity.entity for selling in self._priced]

    @property
    def _priced(self) -> list[Selling]:
        told = [Selling(self.the_map, one, one.sold_by) for one in self.the_map.entities.values() if one.sold_by]
        return [selling for selling in told if selling.told.buyer.entity == self.name]

    @property
    def routing(self) -> Routing | None:
        """Where its rows are shipped from, where the map says."""
        return Routing(self.the_map, self.entity, self.entity.routes) if self.entity.routes else None

    def texts(self, parent: "Facts") -> list[tuple[str, list[str]]]:
        """As what its rows travel, and with which fields: the same everywhere, or, where they have tellers, what each flow's
        destination takes."""
        if not self.tellers:
            return [("", list(self.fields))]
        return [(f"_of_{n}", out.lines_fields(self)) for n, out in parent.outbound.items() if self.name in out.chosen]

    @property
    def numbers(self) -> list[str]:
        """The fields by whose values people name a record, beside its key."""
        kinds = ("text", "tracking_number")
        return [name for name, told in self.fields.items() if told.type in kinds and name.split("_")[-1] == "number"]

    @property
    def finders(self) -> list[tuple[str, str, str]]:
        """(system, stream, field) of senders that know no key of ours, and the field by which their records are found."""
        return [(s.system.system, s.stream_name, s.says.finds_by) for s in self.sources if s.says.finds_by]

    @property
    def postal_form(self) -> PostalForm | None:
        """The form of the record's postal address, where the map says which fields are one."""
        return PostalForm(self.entity.address) if self.entity.address else None

    @property
    def tellers(self) -> Tellers | None:
        """Who tells its rows, where not its parent's winning message does."""
        return Tellers(self.entity, self.sources) if self.entity.has_tellers else None

    @property
    def uniqueness(self) -> Uniqueness:
        """What one record alone may have."""
        return Uniqueness(self.entity)

    @cached_property
    def limits(self) -> Limits:
        """What its records may come to together."""
        return Limits(self.the_map, self.entity)

    @property
    def is_doubted(self) -> bool:
        """Whether anything of it is judged and only warned of."""
        judged = [
            f
            for n, f in self.fields.items()
            if f.severity == "warn" and (f.required or f.rule or self.not_of_its_type(n))
        ]
        return bool(judged or self.postal_form or any(rule.severity == "warn" for rule in self.rules_within.values()))

    @property
    def more_warnings(self) -> list[str]:
        """What else is doubtful about a message: its sum, and what hangs on it."""
        sums = ["sums.reasons"] if self.sum and self.sum.told.severity == "warn" else []
        return sums + [f"doubtful_{child.name}.doubts" for child in self.children if child.sources and child.is_doubted]

    @property
    def stream_names(self) -> list[str]:
        """Every stream that speaks of the family, as system/stream."""
        family = [self, *self.children]
        return sorted({f"{s.system.system}/{s.stream_name}" for facts in family for s in facts.sources})

    @property
    def senders(self) -> list[System]:
        return list({source.system.system: source.system for source in self.sources}.values())

    @property
    def has_line_ids(self) -> bool:
        """Whether a sender names its lines itself, so that it may name two of them the same."""
        return any(len(source.says.key) == len(self.key) for source in self.sources)

    @property
    def has_references(self) -> bool:
        return any(field.references for field in self.fields.values())

    @property
    def references(self) -> list[tuple[str, str, str]]:
        """(entity of the family, field, entity that it must name) for everything that may have to wait."""
        return [
            (facts.name, name, field.references)
            for facts in [self, *self.children]
            for name, field in facts.fields.items()
            if field.references
        ]

    def child_named(self, name: str) -> "Facts":
        return Facts(self.the_map, self.the_map.entities[name])

    @property
    def complete_streams(self) -> list[Source]:
        return [source for source in self.sources if source.stream.complete]

    @property
    def owning_systems(self) -> list[str]:
        """The systems that may own any field of the family."""
        family = [self, *self.children]
        return list(dict.fromkeys(name for facts in family for field in facts.fields for name in facts.owners(field)))

    @property
    def existence_condition(self) -> str:
        """The condition on a sender under which its word on the record's existence counts."""
        owners = self.entity.exists.owner if self.entity.exists else []
        return "(" + (" or ".join(self.owner_condition(owner) for owner in owners) or "false") + ")"

    def originates_in(self, out: "OutboundFlow") -> bool:
        """Whether records of this entity begin in the role to which the flow delivers."""
        return any(system.system in self.originators() for system in self.the_map.destinations(self.entity, out.flow))

    def cast(self, name: str) -> str:
        return types.cast(self.fields[name], f"{name}_told")

    def owners(self, name: str) -> list[str]:
        """The systems that may own the field."""
        systems: list[str] = []
        for owner in self.fields[name].owner:
            if owner == "location":
                systems += [system.system for system in self.the_map.systems.values() if system.locations]
            else:
                systems += [system.system for system in self.the_map.systems_named(owner)]
        return [name for name in dict.fromkeys(systems) if any(s.system.system == name for s in self.sources)]

    def originators(self) -> list[str]:
        facts = Facts(self.the_map, self.root)
        return list(dict.fromkeys(s.system.system for s in facts.sources if s.says.originates != "false"))

    def owner_condition(self, owner: str) -> str:
        """The condition on a message's sender under which it may set a field of this owner."""
        if owner == "location":
            whose = " ".join(
                f"when {quoted(place)} then {quoted(system.system)}"
                for system in self.the_map.systems.values()
                for place in system.locations
            )
            return f"system = case location {whose} end"
        if owner in self.the_map.systems:
            return f"system = {quoted(owner)}"
        names = [system.system for system in self.the_map.systems_named(owner)]
        mine = [name for name in names if name in self.originators()]
        telling = [name for name in names if any(source.system.system == name for source in self.sources)]
        if len(telling) == 1:
            return f"system = {quoted(telling[0])}"
        if mine:  # a role: the record's own origin among it, so that two of a role never fight
            return "system = origin_system" if set(self.originators()) <= set(names) else f"system = {among(owner)}"
        return f"system in ({listed(names)})"

    @property
    def origins_among(self) -> dict[str, list[str]]:
        """Where several of a role tell of records that may begin elsewhere: the column that names the first of them in which a
        record began, and the systems of the role."""
        family = [Facts(self.the_map, self.root), *Facts(self.the_map, self.root).children]
        roles = {owner for facts in family for field in facts.fields.values() for owner in field.owner}
        roles |= {owner for facts in family if facts.entity.exists for owner in facts.entity.exists.owner}
        asked = {f"system = {among(role)}": role for role in sorted(roles)}
        needed = {facts.owner_condition(role) for facts in family for role in roles} & asked.keys()
        return {
            among(asked[one]): [system.system for system in self.the_map.systems_named(asked[one])]
            for one in sorted(needed)
        }

    def conditions(self, name: str) -> list[str]:
        return [self.owner_condition(owner) for owner in self.fields[name].owner if owner != "us"]

    def any_owner(self, name: str) -> str:
        conditions = self.conditions(name)
        return conditions[0] if len(conditions) == 1 else "(" + " or ".join(f"({c})" for c in conditions) + ")"

    @property
    def withdrawal(self) -> Withdrawal | None:
        """The field that a withdrawal wins, if there is one."""
        found = [name for name, field in self.fields.items() if field.resolve == "withdrawn_wins"]
        return Withdrawal(self.fields, found[0], self.any_owner(found[0])) if found else None

    def settle(self, name: str) -> str:
        """The call of the field's `resolve` macro."""
        field = self.fields[name]
        if self.withdrawal and name in self.withdrawal.settles:
            return f"any_value(word.{name})"
        if field.resolve == "furthest":
            if field.may_go_back:
                return f'{{{{ furthest_but("{name}", {self._going_back(name)}) }}}}'
            return f'{{{{ furthest("{name}", owner="{self.any_owner(name)}", ladder="{self.ladder_of(name)}") }}}}'
        conditions = self.conditions(name)
        if self.tellers:  # of a row that several may tell, one tells all
            conditions = [f"system = teller and {self.any_owner(name)}"]
        calls = [f'{{{{ {field.resolve}("{name}", owner="{condition}") }}}}' for condition in conditions]
        return calls[0] if len(calls) == 1 else "coalesce(" + ", ".join(calls) + ")"

    def _going_back(self, name: str) -> str:
        """What the macros of a status that may be taken back are told of it."""
        field = self.fields[name]
        back = f"({listed(field.may_go_back)})"
        return f'owner="{self.any_owner(name)}", ladder="{self.ladder_of(name)}", may_go_back="{back}"'

    def ladder_of(self, name: str) -> str:
        """The statuses of a field as an SQL list, from first to furthest."""
        return f"[{listed(self.fields[name].ladder or [])}]"

    def winner(self, name: str) -> str:
        """The call that names the message which set the field."""
        field = self.fields[name]
        by = "order_key"
        if self.withdrawal and name in self.withdrawal.settles:
            return "any_value(word.inbox_id)"
        if field.may_go_back:
            return f'{{{{ winner_of_furthest_but("{name}", {self._going_back(name)}) }}}}'
        if field.resolve == "furthest":
            by = f"(list_position({self.ladder_of(name)}, {name}), order_key)"
        calls = [f'{{{{ winner_of("{name}", owner="{c}", by="{by}") }}}}' for c in self.conditions(name)]
        if field.resolve == "first":
            calls = [f'{{{{ winner_of_first("{name}", owner="{c}") }}}}' for c in self.conditions(name)]
        return calls[0] if len(calls) == 1 else "coalesce(" + ", ".join(calls) + ")"

    def travelling(self, name: str, prefix: str = "") -> str:
        """The field as it travels, in the columns of that table."""
        return types.travelling(self.fields[name], prefix + name)

    def not_of_its_type(self, name: str) -> tuple[str, str] | None:
        """(condition, reason) under which a told value is not of the field's type."""
        return types.not_of_its_type(self.entity, name)

    @property
    def outbound(self) -> dict[str, "OutboundFlow"]:
        return {name: OutboundFlow(self, name) for name, flow in self.entity.flows.items() if flow.to}

    @property
    def guarded(self) -> list[tuple[str, str, str]]:
        """(field, system, on_foreign_write) for each field that a system takes, tells again, and must not change."""
        return [
            (name, system.system, field.on_foreign_write)
            for name, field in self.fields.items()
            if field.on_foreign_write != "ignore"
            for system in self.the_map.systems.values()
            if name in system.takes.get(self.name, [])
            and any(name in s.says.fields and s.system.system == system.system for s in self.sources)
            and (system.system not in self.owners(name) or field.resolve == "withdrawn_wins")
        ]

    @property
    def climbing(self) -> list[str]:
        """The fields whose status only goes forth: their owner's step back is a conflict."""
        return [name for name, field in self.fields.items() if field.ladder and field.resolve == "furthest"]

    @property
    def has_conflicts(self) -> bool:
        is_told = bool(self.sources) and len(self.key) == 1
        return is_told and bool(self.guarded or (self.climbing and not self.entity.model))

    @property
    def reconciliations(self) -> dict[str, Proof]:
        return {name: Proof(self.the_map, self.entity, name) for name in self.entity.reconcile}

    @property
    def never_looked_at(self) -> list[str]:
        """The systems of its reconciliations that send what they hold, and cannot be asked for it."""
        sides = {name for proof in self.reconciliations.values() for side in proof.sides for name in side.systems}
        tellers = {system.system for system, *_ in self.the_map.says(self.name)}
        return sorted(sides & tellers - can_be_asked(self.the_map, self.name))

    @property
    def steward(self) -> str:
        """Who answers for the entity: the steward of its most important flow."""
        flows = sorted(self.root.flows.values(), key=lambda flow: flow.tier)
        return flows[0].steward if flows else self.senders[0].steward

    @property
    def stewards_of_rules(self) -> dict[str, str]:
        """Who answers for the rules that name somebody."""
        named = {name: rule.steward for name, rule in self.entity.rules.items()}
        named |= {name: rule.steward for name, rule in self.entity.unique.items()}
        if self.entity.adds_up:
            named["adds_up"] = self.entity.adds_up.steward
        if self.entity.address:
            named["address"] = self.entity.address.steward
        return {name: steward for name, steward in named.items() if steward}


def among(role: str) -> str:
    """The column that names the system of a role in which a record began, as far as that role goes."""
    return f"origin_among_{role}"


@dataclass(frozen=True)
class OutboundFlow:
    """One flow out, as the template of wanted rows sees it."""

    facts: Facts
    name: str

    @property
    def flow(self):
        return self.facts.entity.flows[self.name]

    @property
    def takers(self) -> list[str]:
        """The destinations that take this entity."""
        return [system.system for system in self.facts.the_map.destinations(self.facts.entity, self.flow)]

    @property
    def by_role(self) -> bool:
        return self.flow.to not in self.facts.the_map.systems

    @property
    def shipping(self) -> list[str]:
        """The children of which only the lines of one place travel."""
        return [child for child in self.flow.with_ if self.flow.ships and self.facts.child_named(child).routing]

    @property
    def chosen(self) -> dict[str, str]:
        """The children of which only some rows travel, and which: the lines of one place, or what the destination does not itself
        tell."""
        told = [child for child in self.flow.with_ if self.facts.child_named(child).tellers]
        others = f"told_by not in ({listed(self.takers)})"
        return dict.fromkeys(self.shipping, f"ships_from = '{self.flow.ships}'") | dict.fromkeys(told, others)

    def lines_fields(self, child: Facts) -> list[str]:
        """The fields of a child with which its rows travel: all, unless the destination takes some alone."""
        taken = [
            system.takes.get(child.name) for system in self.facts.the_map.destinations(self.facts.entity, self.flow)
        ]
        return [name for name in child.fields if all(some is None or name in some for some in taken)]

    @property
    def is_told_back(self) -> bool:
        """Whether a destination itself says any of the fields that it is told."""
        said = [source.says.fields for source in self.facts.sources if source.system.system in self.takers]
        return any(name in fields for fields in said for name in self.flow.fields)

    @property
    def action_on_leave(self) -> str:
        exists = self.facts.entity.exists
        return self.flow.on_leave or (exists.on_delete if exists else "ignore")

    @property
    def referenced(self) -> tuple[str, Facts] | None:
        """(field, entity) through which a record finds the system of a role that its order began in."""
        for name, field in self.facts.fields.items():
            if field.references:
                target = Facts(self.facts.the_map, self.facts.the_map.entities[field.references])
                if target.originators():
                    return name, target
        return None

    @property
    def reference_name(self) -> str:
        """What a referenced record is called in a payload: order, for the field order_number."""
        return re.sub("_(number|id|key)$", "", self.referenced[0]) if self.referenced else ""

    def travelling_of(self, field: str) -> str:
        """The field of a record as it travels."""
        if field in self.flow.shows:
            return types.travelling(self.facts.fields[field], f"({self.flow.shows[field]})")
        return self.facts.travelling(field, "records.")

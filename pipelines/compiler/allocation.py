"""What an entity's records may come to together: the sum beyond which a flow holds what is left, and who is asked about it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from pipelines.compiler.sql import listed, quoted
from pipelines.language.schema import Entity, IntegrationMap, Limit

TOLERANCE = "0.005"  # half of the smallest unit of most currencies: what is added up was rounded before


@dataclass(frozen=True)
class Limits:
    """What the templates ask about the sums that an entity's records must stay within.

    What stands already comes first, whoever did it, and then whoever was known first: so a record that was let go is
    never the one that is too much later.
    """

    the_map: IntegrationMap
    entity: Entity

    @property
    def rules(self) -> dict[str, Limit]:
        return self.entity.limits

    @property
    def flows(self) -> list[str]:
        """The flows that hold what is too much."""
        return sorted({flow for rule in self.rules.values() for flow in rule.holds})

    def on(self, flow: str) -> Iterator[str]:
        """The limits that hold this flow."""
        yield from (name for name, rule in self.rules.items() if flow in rule.holds)

    def others(self) -> Iterator[str]:
        """The entities that say how much there is."""
        yield from dict.fromkeys(rule.source[0] for rule in self.rules.values())

    def beyond(self, name: str, among: str, table: Callable[[str], str] = str) -> str:
        """The records that are too much, each with the sentence that says so, as a query; `among` chooses whose sums."""
        rule = self.rules[name]
        other, field = rule.source
        others = "array_to_string(list_slice(others, 1, 3), ', ') || if(len(others) > 3, ' and others', '')"
        return f"""select
        {self.entity.key[0]},
        {quoted(f"{name}: {other}.{field} of ")} || {rule.per} || if(most is null, ' is not known yet', ' is ' || as_travelling(most) || ', and '
            || coalesce('with the ' || as_travelling(before) || ' of ' || {others} || ' ', '')
            || 'it comes to ' || as_travelling(coalesce(before, 0) + {rule.adds})) || {quoted(f"; {rule.steward} says which of them goes")} as held_because
    {self._too_much(name, among, table)}"""

    def stale(self, name: str) -> str:
        """Whether a record is held for a sum that it would fit by now, or not held and too much: a query with a row if so."""
        rule, key = self.rules[name], self.entity.key[0]
        flows = listed(rule.holds)
        wanted = f"(select {key}, held_because from wanted_{self.entity.entity} where is_wanted and flow in ({flows}))"
        among = f"select {rule.per} from {self.entity.entity} semi join {wanted} using ({key})"
        return f"""
            select 1 from {wanted} as waiting
            left join (select {key}, true as is_beyond {self._too_much(name, among, str)}) as beyond using ({key})
            where is_beyond and held_because is null or is_beyond is null and held_because like '{name}: %'
            limit 1"""

    def _too_much(self, name: str, among: str, table: Callable[[str], str]) -> str:
        """From which rows, and of which, the two queries above are: `before` and `others` come earlier, `most` is all there is."""
        rule, key = self.rules[name], self.entity.key[0]
        other, field = rule.source
        source = self.the_map.entities[other]
        mine, theirs = self.entity.currency, source.currency
        is_in_money = mine is not None and theirs is not None
        return f"""from (
        select
            {key}, {rule.per}, {rule.adds}, {f"{mine}, " if mine else ""}
            sum({rule.adds}) over earlier as before, list({key}) over earlier as others
        from {table(self.entity.entity)}
        where {rule.per} in ({among}) and deleted_at is null and ({rule.counts})
        window earlier as (
            partition by {rule.per}{f", {mine}" if mine else ""} order by not coalesce({rule.stands}, false), first_inbox_id, {key}
            rows between unbounded preceding and 1 preceding
        )
    ) as adding
    left join (
        select {source.key[0]} as key_of_{other}, {field} as most{f", {theirs}" if is_in_money else ""} from {table(other)}
    ) as of_{other} on key_of_{other} = adding.{rule.per}
    where most is null or (coalesce(before, 0) + {rule.adds} > most + {TOLERANCE}{f" and of_{other}.{theirs} = adding.{mine}" if is_in_money else ""})"""

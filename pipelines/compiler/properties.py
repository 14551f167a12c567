"""What dbt is told of the generated models: each in a sentence, with its columns and their tests."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from pipelines.compiler.entity import Facts
from pipelines.language.schema import EntityField

KEY = "The record's key in every system."
ONE_KEY = "The record's one key, the same in every system."


@dataclass(frozen=True, slots=True)
class Column:
    name: str
    description: str
    tests: list[str]


@dataclass(frozen=True, slots=True)
class Described:
    """A generated model, as its properties tell of it."""

    name: str
    description: str
    columns: list[Column] = field(default_factory=list)


def described(facts: Facts) -> Iterator[Described]:
    """The generated models of an entity."""
    name, entity = facts.name, facts.entity
    is_root = entity.parent is None
    yield Described(name, entity.meaning, [*_keys(facts), *_fields(facts)])
    if facts.sources:
        yield Described(
            f"stg_{name}",
            f"Messages about {name} in our words, cast to their types and held against the data contract.",
        )
    if is_root:
        yield from _kept(facts)
        yield from _asked(facts)


def _keys(facts: Facts) -> Iterator[Column]:
    is_one = len(facts.key) == 1 and facts.entity.parent is None
    for key in facts.key:
        yield Column(key, ONE_KEY if is_one else KEY, ["not_null", "unique"] if is_one else ["not_null"])


def _fields(facts: Facts) -> Iterator[Column]:
    for name, told in facts.fields.items():
        yield Column(name, in_a_sentence(told), ["not_null"] if told.required and not facts.entity.parent else [])


def _kept(facts: Facts) -> Iterator[Described]:
    """Of what was said, and of what couriers and people did."""
    name, once = facts.name, [Column("inbox_id", "The message.", ["not_null", "unique"])]
    if facts.sources:
        if not facts.entity.model:
            yield Described(f"{name}_flags", "Records as they stand that break the contract.")
        yield Described(f"landing_{name}", f"Messages that speak of {name}, as they were kept.")
        yield Described(f"{name}_verdicts", "The books: what became of each message.", once)
        yield Described(f"{name}_quarantine", "What broke the data contract, why, and what to do next.")
    yield Described(f"ledger_{name}", f"What couriers and people did with {name}.")
    yield Described(f"links_{name}", f"Which remote record is which of {name}.")
    yield Described(f"touched_{name}", f"Which {name} are settled.")


def _asked(facts: Facts) -> Iterator[Described]:
    """Of what follows: what is wanted, what people are asked, and what is compared."""
    name, entity = facts.name, facts.entity
    if facts.has_conflicts:
        told = "Fields that a system changed without owning them, and steps back that a ladder forbids."
        yield Described(f"{name}_conflicts", told)
    if entity.match:
        yield Described(f"{name}_matches", "Records of different systems that may be one.")
    if facts.outbound:
        yield Described(f"wanted_{name}", "What each destination should now hold.")
    if facts.remembered:
        yield Described(f"{name}_past", f"What {name} were, and since when, where sales were priced by it.")
    if entity.reconcile:
        yield Described(f"snapshots_{name}", "What each system held when it was last looked at.")
        yield Described(f"reconcile_{name}", "Where two systems disagree, with who answers and what to do.")
    if entity.proofs:
        told = "What the business proofs found, with class, age, steward and next step."
        yield Described(f"proofs_{name}", told)


def in_a_sentence(told: EntityField) -> str:
    """What a field means, of which type it is, and who owns it."""
    kind = " → ".join(told.ladder) if told.ladder else str(told.type)
    owned = f"{kind}, owned by {' then '.join(told.owner)}"
    return f"{told.meaning} ({owned})" if told.meaning else owned

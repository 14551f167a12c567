"""Rules on slices: a hand-written model says by which key each of its inputs is found, so that a sync loads what it needs of them."""

from pipelines.language import handwritten
from pipelines.language.lint.names import MODELS
from pipelines.language.lint.rule import Found, Problem, error
from pipelines.language.queries import at_entity
from pipelines.language.schema import Entity, IntegrationMap


@error
def hand_written_models_say_how_they_are_sliced(told: IntegrationMap) -> Found:
    """Each input of a hand-written model, and of those that it is made of, names the columns by which its rows are found."""
    written = handwritten.written(MODELS.parent)
    for entity in told.entities.values():
        if entity.model is None or entity.model not in written:
            continue
        place = at_entity(told, entity, "model")
        try:
            models = handwritten.family(entity.model, MODELS.parent)
        except handwritten.Unsliced as problem:
            yield Problem(place, str(problem))
            continue
        others = {*told.entities, *(one.name for one in models)}
        for one in models:
            for says in handwritten.problems(one, others, _given(entity)):
                yield Problem(place, f"{one.name} {says}")


def _given(entity: Entity) -> set[str]:
    """What a sync loads in any case, and what is the same for every slice."""
    names = {f"{kind}_{entity.entity}" for kind in ("stg", "ledger", "links", "moved")}
    for path in (MODELS / "generated").rglob("*.sql"):
        text = path.read_text(encoding="utf-8")
        if "ref(" not in text and "source(" not in text:
            names.add(path.stem)
    return names

"""People's decisions from Dagster's UI: the jobs `decide` and `revoke`, beside the commands of these names."""

from typing import Any

import dagster as dg
from pydantic import Field

from pipelines.language.schema import IntegrationMap
from pipelines.operations import actions
from pipelines.orchestration.assets import KEEPER, failure, in_one_sentence, well
from pipelines.orchestration.sensors import STEWARD
from resources.store.store import Store

WHO = "concord/by"  # the tag of a run that says who launched it, where a proxy or a person sets it


class About(dg.Config):
    """Which field of which record, and who speaks."""

    entity: str = Field(description="orders, customers, stock, ...")
    key: str = Field(description="The record's key; of several parts, joined by |, as in TEE|MAIN.")
    field: str
    by: str = Field("", description=f"Who decides. May be left out where the run carries the tag {WHO}.")


class Decision(About):
    """What a person decides, and why."""

    value: str
    why: str = Field(description="The reason, for whoever asks later.")


def decision_jobs(told: IntegrationMap) -> list[Any]:
    """The two jobs."""

    @dg.op(
        name="record_decision", required_resource_keys={"store"}, description="Writes it into the ledger, if it may be."
    )
    def record_decision(context: dg.OpExecutionContext, config: Decision) -> None:
        store: Store = context.resources.store
        with in_one_sentence(context, KEEPER):
            by_whom = f"{_who(context, config)} ({_filled(config.why, 'why')})"
            _acceptable(
                actions.decide, store, told, entity=config.entity, key=config.key, field=config.field,
                value=config.value, by_whom=by_whom,
            )  # fmt: skip
            context.log.info(
                f"{config.field} of {config.entity} {config.key} is {config.value!r}, decided by {by_whom}"
            )
            well(context)

    @dg.op(name="record_revocation", required_resource_keys={"store"}, description="The owner's word counts again.")
    def record_revocation(context: dg.OpExecutionContext, config: About) -> None:
        store: Store = context.resources.store
        with in_one_sentence(context, KEEPER):
            by_whom = _who(context, config)
            value = _acceptable(
                actions.revoke, store, told, entity=config.entity, key=config.key, field=config.field, by_whom=by_whom
            )
            context.log.info(f"{config.field} of {config.entity} {config.key} is no longer {value!r} by decision")
            well(context)

    tags = {STEWARD: KEEPER, "dagster/priority": "20"}

    @dg.job(
        description="Lets a field of a record be what a person decides, whatever systems say, until it is revoked.",
        tags=tags,
        executor_def=dg.in_process_executor,
    )
    def decide() -> None:
        record_decision()

    @dg.job(
        description="Takes a decision back, so that the word of the field's owner counts again.",
        tags=tags,
        executor_def=dg.in_process_executor,
    )
    def revoke() -> None:
        record_revocation()

    return [decide, revoke]


def _who(context: dg.OpExecutionContext, config: About) -> str:
    return _filled(config.by or context.run.tags.get(WHO, ""), f"by (or the run's tag {WHO})")


def _filled(text: str, name: str) -> str:
    if not text.strip():
        raise failure(f"A decision needs {name}, so that others know later; fill it in and launch again.")
    return text.strip()


def _acceptable(wish: Any, *arguments: Any, **told: Any) -> Any:
    try:
        return wish(*arguments, **told)
    except actions.Unacceptable as problem:
        raise failure(f"Nothing was recorded: {problem}.") from None

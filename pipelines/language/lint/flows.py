"""Rules on flows: what is promised can be kept, and failure has been thought of."""

from pipelines.language.lint.rule import Found, Problem, error, provisional
from pipelines.language.lint.schedules import is_cron, longest_gap, pace_of
from pipelines.language.queries import at_flow, every_flow, outbound
from pipelines.language.schema import Entity, IntegrationMap, System, spelled


@error
def flows_out_have_a_failure_rule(told: IntegrationMap) -> Found:
    """Every flow out says how long it is tried, what follows, and what people do meanwhile."""
    for entity, name, flow in outbound(told):
        if flow.on_failure is None:
            yield Problem(
                at_flow(entity, name, "on_failure"),
                "nothing says what happens when a delivery fails; add on_failure: {retry_for: 75h, then: park, "
                "fallback: <what people do by hand>}",
            )


@error
def conditions_have_a_withdrawal(told: IntegrationMap) -> Found:
    """What a condition let through is withdrawn in a way that the map names when the condition no longer holds."""
    for entity, name, flow in outbound(told):
        on_delete = entity.exists is not None and "on_delete" in entity.exists.model_fields_set
        if flow.when is not None and flow.on_leave is None and not on_delete:
            yield Problem(
                at_flow(entity, name, "on_leave"),
                "has a condition (`when`) and no word on records that leave it; add on_leave: cancel, archive, delete "
                "or ignore",
            )


@provisional
def lags_can_be_met(told: IntegrationMap) -> Found:
    """What is promised is more than the time between two looks."""
    for entity, name, flow in every_flow(told):
        if flow.cron and is_cron(flow.cron) and (gap := longest_gap(flow.cron)) >= flow.max_lag:
            yield Problem(
                at_flow(entity, name, "max_lag"),
                f"promises {spelled(flow.max_lag)}, but {flow.cron!r} leaves up to {spelled(gap)} between two runs; "
                "promise more, or run more often",
            )
        for system in told.systems_named(flow.from_) if flow.from_ else []:
            found = _quickest(system, entity)
            if found is not None and found[1] >= flow.max_lag:
                yield Problem(
                    at_flow(entity, name, "max_lag"),
                    f"promises {spelled(flow.max_lag)}, but {system.system} is asked only every {spelled(found[1])} "
                    f"(streams.{found[0]}.arrives); promise more, or ask more often",
                )


def _quickest(system: System, entity: Entity) -> tuple[str, int] | None:
    """(stream, seconds) of the stream that brings the entity's changes soonest."""
    paces = [
        (pace, name)
        for name, stream in system.streams.items()
        if entity.entity in stream.says
        and stream.messages != "delete"
        and (pace := pace_of(stream.arrives)) is not None
    ]
    return (min(paces)[1], min(paces)[0]) if paces else None


@error
def timings_fit_their_triggers(told: IntegrationMap) -> Found:
    """A batch out has a schedule, and only a batch has one."""
    for entity, name, flow in every_flow(told):
        if flow.timing == "batch" and flow.to and not flow.cron:
            yield Problem(
                at_flow(entity, name, "cron"), 'is a batch and has no schedule; add cron: "0 * * * *" or another'
            )
        if flow.timing != "batch" and flow.cron:
            yield Problem(
                at_flow(entity, name, "cron"),
                f"has a schedule, so it is not {flow.timing}; write `timing: batch`, or delete the schedule",
            )


@error
def canaries_are_chosen(told: IntegrationMap) -> Found:
    """A canary says which records it delivers, and nothing else does."""
    for entity, name, flow in every_flow(told):
        if flow.mode == "canary" and not flow.canary:
            yield Problem(
                at_flow(entity, name, "canary"), "does not say which records go first; add canary: country = 'NL'"
            )
        if flow.canary and flow.mode != "canary":
            yield Problem(at_flow(entity, name, "canary"), f"is not used in `mode: {flow.mode}`; delete it")


@error
def what_is_shown_is_carried(told: IntegrationMap) -> Found:
    """What a destination is shown in a field's place belongs to a field that the flow carries."""
    for entity, name, flow in outbound(told):
        for field in flow.shows:
            if field not in flow.fields:
                yield Problem(
                    at_flow(entity, name, f"shows.{field}"),
                    f"the flow does not carry {field!r}; add it to fields, or delete it",
                )

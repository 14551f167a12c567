"""Rules on streams: each has a way in, an order and a name for every record."""

import codecs
import re

from pipelines.language.lint.rule import Found, Problem, error, provisional
from pipelines.language.lint.schedules import crons_of, is_cron, is_duration, no_cron
from pipelines.language.queries import (
    at_entity,
    at_flow,
    at_system,
    every_business_proof,
    every_flow,
    every_reconciliation,
    every_saying,
    every_stream,
    joined,
)
from pipelines.language.schema import IntegrationMap


@error
def streams_arrive(told: IntegrationMap) -> Found:
    """Every stream has a way to reach us."""
    for system, name, stream in every_stream(told):
        arrives = stream.arrives
        if not (arrives.webhook or arrives.poll or arrives.file or crons_of(arrives)):
            yield Problem(
                at_system(told, system, f"streams.{name}.arrives"),
                "nothing brings its messages; add webhook, poll, file or snapshot",
            )


@error
def polls_are_durations(told: IntegrationMap) -> Found:
    """A poll's pace is a duration."""
    for system, name, stream in every_stream(told):
        if stream.arrives.poll and not is_duration(stream.arrives.poll):
            yield Problem(
                at_system(told, system, f"streams.{name}.arrives.poll"),
                f"{stream.arrives.poll!r} is no duration; write a number and s, m, h or d, as in 15m",
            )


@error
def schedules_are_cron(told: IntegrationMap) -> Found:
    """A schedule is cron, in five parts."""
    for system, name, stream in every_stream(told):
        for key, cron in crons_of(stream.arrives).items():
            if not is_cron(cron):
                yield Problem(at_system(told, system, f"streams.{name}.arrives.{key}"), no_cron(cron))
    for entity, name, flow in every_flow(told):
        if flow.cron and not is_cron(flow.cron):
            yield Problem(at_flow(entity, name, "cron"), no_cron(flow.cron))
    for entity, name, reconciliation in every_reconciliation(told):
        if not is_cron(reconciliation.every):
            yield Problem(at_entity(told, entity, f"reconcile.{name}.every"), no_cron(reconciliation.every))
    for entity, name, proof in every_business_proof(told):
        if not is_cron(proof.every):
            yield Problem(at_entity(told, entity, f"proofs.{name}.every"), no_cron(proof.every))


@provisional
def webhooks_are_caught_up(told: IntegrationMap) -> Found:
    """What a webhook may fail to tell is also asked for."""
    for system, name, stream in every_stream(told):
        if not stream.arrives.webhook or stream.arrives.poll or crons_of(stream.arrives):
            continue
        asked = {
            entity
            for other in system.streams.values()
            if other.arrives.poll or crons_of(other.arrives)
            for entity, says in other.says.items()
            if not says.only or (entity in stream.says and says.only == stream.says[entity].only)
        }
        for entity in sorted(set(stream.says) - asked):
            yield Problem(
                at_system(told, system, f"streams.{name}.arrives", entity),
                f"webhooks may be late or never come, and nothing else asks for {entity}; add a stream with poll or "
                "catch_up that says it",
            )


@provisional
def catch_ups_tell_as_much(told: IntegrationMap) -> Found:
    """What is asked for after a lost webhook spells every field that the webhook would have told."""
    for system, name, stream, entity, says in every_saying(told):
        if not stream.arrives.webhook:
            continue
        asked = [
            part.fields
            for other in system.streams.values()
            if entity.entity in other.says and (other.arrives.poll or other.arrives.catch_up)
            for part in other.says[entity.entity].parts()
        ]
        missing = [field for field in says.fields if asked and not any(field in fields for fields in asked)]
        if missing:
            yield Problem(
                at_system(told, system, f"streams.{name}.says.{entity.entity}.fields", entity.entity),
                f"tells {joined(missing)}, which no poll of {system.system} does, so a lost webhook loses it; spell it in "
                "the polled stream too",
            )


@error
def clocks_are_spelled(told: IntegrationMap) -> Found:
    """A trusted clock says where its time stands, a file's its as-of time, and another system its sequence."""
    for system, name, stream in every_stream(told):
        if stream.messages == "delete":  # a deletion is final: nothing of this record can come after it
            continue
        as_of = stream.file is not None and stream.file.as_of is not None
        needs = {
            "trusted": (stream.occurred_at or stream.sequence or as_of, "occurred_at", "the clock is trusted"),
            "untrusted": (stream.sequence or as_of, "sequence", "the clock is not trusted"),
            "file": (as_of or stream.occurred_at or stream.sequence, "file.as_of", "files carry the time"),
        }
        is_ordered, key, why = needs[system.clock]
        if not is_ordered:
            yield Problem(
                at_system(told, system, f"streams.{name}.{key}"),
                f"{why}, and nothing says which message is the newer one; add {key}",
            )


@error
def complete_snapshots_name_their_records(told: IntegrationMap) -> Found:
    """A stream whose absences count as deletions tells everything at once, and names each record."""
    for system, name, stream in every_stream(told):
        if not stream.complete:
            continue
        if "remote_id" not in stream.model_fields_set:
            yield Problem(
                at_system(told, system, f"streams.{name}.remote_id"),
                "an absent record counts as gone, so each present one needs a name; add remote_id",
            )
        if stream.messages != "snapshot" or not (stream.arrives.file or stream.arrives.snapshot):
            yield Problem(
                at_system(told, system, f"streams.{name}.complete"),
                "only a file or a snapshot of everything can be complete; delete the line",
            )


@error
def files_say_how_they_are_written(told: IntegrationMap) -> Found:
    """A file stream says its format and names its records, and only a file stream has a format."""
    for system, name, stream in every_stream(told):
        place = f"streams.{name}"
        if stream.arrives.file and stream.file is None:
            yield Problem(
                at_system(told, system, f"{place}.file"),
                "nothing says how the files are written; add file: {format: csv}",
            )
        if stream.file is not None and not stream.arrives.file:
            yield Problem(
                at_system(told, system, f"{place}.arrives.file"), "has a file format and no file; add arrives.file"
            )
        if stream.arrives.file and not stream.complete and "remote_id" not in stream.model_fields_set:
            yield Problem(at_system(told, system, f"{place}.remote_id"), "a row has no name of its own; add remote_id")
        if stream.file and stream.file.format == "xml" and not stream.file.row:
            yield Problem(
                at_system(told, system, f"{place}.file.row"),
                "where a record begins is not said; add row: /path/of/record",
            )


@error
def files_can_be_decoded(told: IntegrationMap) -> Found:
    """A file's encoding is one that Python knows, and its marks are single characters."""
    for system, name, stream in every_stream(told):
        if stream.file is None:
            continue
        if not _is_encoding(stream.file.encoding):
            yield Problem(
                at_system(told, system, f"streams.{name}.file.encoding"),
                f"{stream.file.encoding!r} is no encoding; write utf-8, iso-8859-1 or windows-1252",
            )
        for key, mark in (("delimiter", stream.file.delimiter), ("decimal", stream.file.decimal)):
            if len(mark) != 1:
                yield Problem(
                    at_system(told, system, f"streams.{name}.file.{key}"),
                    f"{mark!r} is not one character; write the one that stands in the file",
                )


def _is_encoding(name: str) -> bool:
    try:
        codecs.lookup(name)
    except LookupError:
        return False
    return True


@error
def shares_are_shares(told: IntegrationMap) -> Found:
    """A share is a percentage; an alarm may be a number too."""
    for system, name, stream in every_stream(told):
        if not re.fullmatch(r"\d+(\.\d+)?%", stream.largest_disappearance):
            yield Problem(
                at_system(told, system, f"streams.{name}.largest_disappearance"),
                f"{stream.largest_disappearance!r} is no percentage; write 5%",
            )
    for entity, name, reconciliation in every_reconciliation(told):
        if not re.fullmatch(r"\d+(\.\d+)?%?", reconciliation.alarm_above):
            yield Problem(
                at_entity(told, entity, f"reconcile.{name}.alarm_above"),
                f"{reconciliation.alarm_above!r} is neither a number nor a percentage; write 0 or 0.5%",
            )
    for entity, name, proof in every_business_proof(told):
        if not re.fullmatch(r"\d+(\.\d+)?%?", proof.alarm_above):
            yield Problem(
                at_entity(told, entity, f"proofs.{name}.alarm_above"),
                f"{proof.alarm_above!r} is neither a number nor a percentage; write 0 or 0.5%",
            )

"""Rules on what the map need not know: ignored paths, topics, files and streams, and who may write."""

import re

from pipelines.language.lint.rule import Found, Problem, error, hint
from pipelines.language.paths import reads_of
from pipelines.language.queries import at_system, every_stream, joined
from pipelines.language.schema import IntegrationMap
from resources.lake.json_paths import covers

PATH = re.compile(r'\$(\.(\*|"[^"]+"|[\w$@#-]+)|\[\])+')


@error
def ignored_paths_are_paths(told: IntegrationMap) -> Found:
    """What a stream ignores is a path below its payload, as findings write it."""
    for system, name, stream in every_stream(told):
        for path in stream.ignores:
            if not PATH.fullmatch(path):
                yield Problem(
                    at_system(told, system, f"streams.{name}.ignores"),
                    f"{path!r} is no path; write it as `concord findings` does, such as $.line_items[].grams",
                )


@error
def ignored_paths_are_not_read(told: IntegrationMap) -> Found:
    """Nothing that a spelling reads is ignored: its loss would be ignored, too, or so a reader would think."""
    for system, name, stream in every_stream(told):
        reads = reads_of(told, stream)
        for ignored in stream.ignores:
            readers = [reader for path, read in reads.items() if covers(ignored, path) for reader in read.readers]
            if readers:
                yield Problem(
                    at_system(told, system, f"streams.{name}.ignores"),
                    f"{ignored} is read for {joined(list(dict.fromkeys(readers))[:3])}; take it out of one of the two",
                )


@error
def writers_are_told_apart(told: IntegrationMap) -> Found:
    """A stream that tells who wrote it needs the list of those who may, and a list needs a stream that tells."""
    for system in told.systems.values():
        telling = [name for name, stream in system.streams.items() if stream.writer]
        if telling and not system.writers:
            yield Problem(
                at_system(told, system, f"streams.{telling[0]}.writer"),
                "nobody may write, so every writer would be a finding; list those who may under `writers`",
            )
        if system.writers and not telling:
            yield Problem(
                at_system(told, system, "writers"),
                "no stream tells who wrote its messages; add `writer` to one, such as payload ->> '$.source_name', or "
                "delete the list",
            )


@hint
def ignored_traffic_is_of_no_stream(told: IntegrationMap) -> Found:
    """A topic or stream that the map names is none to ignore."""
    for system in told.systems.values():
        named = {topic for stream in system.streams.values() for topic in stream.arrives.webhook} | set(system.streams)
        for ignored in sorted(named & set(system.ignores)):
            yield Problem(
                at_system(told, system, "ignores"), f"{ignored} is taken by a stream here; delete it from the list"
            )

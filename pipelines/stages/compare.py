"""Compare: dbt's reconciliations and proofs of whole tables, over what is settled at one moment."""

import importlib
import json
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

from pipelines.compiler.entity import Facts
from pipelines.language.schema import IntegrationMap
from pipelines.stages.batch import PROJECT, Built
from resources.host import settings
from resources.lake.publication import Published, Told, publish
from resources.store.store import Store


def compare(*entities: str, store: Store, the_map: IntegrationMap, project: Path = PROJECT) -> list[Built]:
    """Run the reconciliations and proofs of these entities, over a published copy of what is settled.

    All that they read is then of one moment, which is their now: what was said since is none of their differences.
    Raises BuildFailed, LakeProblem.
    """
    arguments = ["run", "--select", *(f"tag:reconcile_{entity}" for entity in entities)]
    tags = {f"reconcile_{entity}" for entity in entities}
    asked = [node for node in _nodes(project) if tags & set(node.tags)]
    published = publish_for(asked, store=store, the_map=the_map)
    arguments += ["--vars", json.dumps({"moment": published.moment.isoformat()})]
    left_out = sorted({node.name for node in asked} & published.names)
    return _dbt().run_dbt([*arguments, "--exclude", *left_out] if left_out else arguments, project)


def run_tests(names: Iterable[str], *, store: Store, the_map: IntegrationMap, project: Path = PROJECT) -> list[Built]:
    """Run these of dbt's tests, over a published copy of what is settled. Raises BuildFailed, LakeProblem."""
    chosen = set(names)
    asked = [node for node in _nodes(project) if node.name in chosen]
    publish_for(asked, store=store, the_map=the_map)
    return _dbt().run_dbt(["test", "--select", *sorted(chosen)], project)


def publish_for(asked: Iterable[Any], *, store: Store, the_map: IntegrationMap) -> Published:
    """Publish what these nodes of dbt are and read, as far as it is settled."""
    names = {name for node in asked for name in (node.name, *(read.split(".")[-1] for read in node.depends_on.nodes))}
    _dbt().meet_catalogue(store.url)
    entities = {
        entity.entity: Told(Facts(the_map, entity).stream_names, entity.of, entity.each) for entity in the_map.roots
    }
    return publish(store, settings.lake(), names, entities)


def _dbt() -> ModuleType:
    """Whatever runs dbt: 100 MB, which a worker that only settles does without."""
    return importlib.import_module("pipelines.stages.dbt_models")


def _nodes(project: Path) -> list[Any]:
    return list(_dbt().manifest(project).nodes.values())

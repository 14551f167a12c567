"""The sandbox merchant's map with more of the contract in it than the merchant needs, and a project written from it."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from pipelines.compiler.generate import write
from pipelines.language.schema import IntegrationMap, load_map
from pipelines.stages.batch import PROJECT, Settled
from pipelines.stages.sync import sync
from resources.host.embedded_postgres import Server
from resources.store.store import Store
from tests.fixtures_postgres import fresh_database
from tests.fixtures_world import World
from tests.map_draft import Draft

CHANGES = """
orders:
  fields:
    status: {may_go_back: [cancelled]}
  unique:
    one_order_each: {fields: [number, currency], severity: reject, steward: team:ecommerce}
  adds_up:
    lines: {counts: not is_bundle}
order_lines:
  fields:
    is_bundle: {type: boolean, owner: storefront, meaning: 'A set, whose parts are lines of their own.'}
fulfilments:
  rules:
    shipped_after_ordered: {that: shipped_at >= orders.placed_at, severity: reject, steward: team:logistics}
    goes_out_once_paid: {that: "orders.status <> 'placed'", severity: warn, steward: team:finance}
"""


class ContractWorld(World):
    """A world of that map."""

    def __init__(self, store: Store, folder: Path, the_map: IntegrationMap, project: Path) -> None:
        super().__init__(store, folder, the_map)
        self.project = project

    def sync(self, *entities: str, full: bool = False) -> list[Settled]:
        """Settle these entities, or all of them in the order of their needs."""
        self.enter()
        return [
            sync(entity, store=self.store, the_map=self.the_map, run_id="test", full=full, project=self.project,
                 log=lambda _: None)
            for entity in entities or ("products", "orders", "fulfilments")
        ]  # fmt: skip


# Buyers of the wholesale channel are customers of the merchant, too: a second storefront that tells of them.
BUYERS = """
key: "'WHOLE-C' || (payload ->> '$.rows[0].CustomerID')"
when: (payload ->> '$.rows[0].Email') is not null
remote_id: payload ->> '$.rows[0].CustomerID'
originates: "true"
fields:
  name: payload ->> '$.rows[0].Buyer'
  email: payload ->> '$.rows[0].Email'
"""


def contract_map(folder: Path) -> IntegrationMap:
    """The changed map, read from YAML as any other."""
    draft = Draft(folder)
    for entity, changes in yaml.safe_load(CHANGES).items():
        for key, told in changes.items():
            kept = draft.entities[entity].setdefault(key, {})
            draft.entities[entity][key] = merged(kept, told)
    lines = draft.systems["shopify"]["streams"]["orders"]["says"]["order_lines"]
    lines["fields"]["is_bundle"] = "cast((item ->> '$.parts') is not null as varchar)"
    draft.systems["wholesale"]["streams"]["order_files"]["says"]["customers"] = yaml.safe_load(BUYERS)
    return load_map(draft.write())


def merged(kept: object, told: object) -> object:
    """What was kept, with what is told now in its place."""
    if isinstance(kept, dict) and isinstance(told, dict):
        return {**kept, **{key: merged(kept.get(key), value) for key, value in told.items()}}
    return told


def contract_project(the_map: IntegrationMap, folder: Path) -> Path:
    """A dbt project of its own, with the models of that map."""
    project = folder / "dbt"
    shutil.copytree(PROJECT, project)
    write(the_map, project)
    return project


@pytest.fixture(scope="module")
def contract(database_server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ContractWorld]:
    """One world of that map for a module's tests."""
    folder = tmp_path_factory.mktemp("contract")
    the_map = contract_map(folder)
    with fresh_database(database_server) as url:
        world = ContractWorld(Store(url=url), folder / "lake", the_map, contract_project(the_map, folder))
        world.products("TEE")
        yield world

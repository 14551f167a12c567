"""Stories that an operations person can read (tests/stories/*.yaml), all played in one world, settled together."""

from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest

from tests import (
    story,
    story_addresses,
    story_looks,
    story_money,
    story_parcels,
    story_payouts,
    story_people,
    story_prices,
    story_returns,
    story_stock,
    story_sums,
)
from tests.destination import running_destination
from tests.fixtures_world import NOON, World
from tests.lockstep import Law, play

for words in (
    story_addresses, story_looks, story_money, story_parcels, story_payouts, story_people, story_prices, story_returns, story_stock,
    story_sums,
):  # fmt: skip
    story.KINDS.update(words.KINDS)
SETTLED = (
    "products", "orders", "payments", "balance_transactions", "payouts", "refunds", "returns", "fulfilments", "receipts", "stock", "sellable", "prices",
    "selling_prices", "customers", "consents",
)  # fmt: skip
STORIES = {path.stem: path for path in sorted((Path(__file__).parent / "stories").glob("*.yaml"))}


@pytest.fixture(scope="module")
def died(world: World) -> Iterator[dict[str, BaseException]]:
    """What each story that failed died of."""
    with ExitStack() as stack:
        servers = {
            name: stack.enter_context(running_destination())
            for name in ("tryton", "tryton_crm", "shopify", "stripe", "warehouse", "supplier")
        }
        told = {name: story.read(path) for name, path in STORIES.items()}
        laws: dict[str, Law] = {name: partial(story.play, one, destinations=servers) for name, one in told.items()}
        yield play(world, laws, *SETTLED, first_day=NOON)


@pytest.mark.parametrize("name", STORIES)
def test_story(name: str, died: dict[str, BaseException]) -> None:
    if name in died:
        raise died[name]


def test_a_word_that_no_story_knows_is_answered_with_those_it_may_use(tmp_path: Path) -> None:
    path = tmp_path / "odd.yaml"
    path.write_text("title: Odd\nsystems: [shopify]\nproves: Nothing.\nsteps:\n  - shopify shouts: {order: 1}\n")
    with pytest.raises(
        ValueError, match=r"odd.yaml: (.|\n)*'shopify shouts' is no kind of step; the kinds are: shopify says"
    ):
        story.read(path)


def test_a_step_that_tells_something_unheard_of_names_its_file_and_key(tmp_path: Path) -> None:
    path = tmp_path / "odd.yaml"
    path.write_text(
        "title: Odd\nsystems: [shopify]\nproves: Nothing.\nsteps:\n  - shopify says: {order: 1, colour: red}\n"
    )
    with pytest.raises(ValueError, match=r"odd.yaml: (.|\n)*colour"):
        story.read(path)

"""The pictures of the map: what they must show, that nothing on them overlaps, and where they are shown."""

import base64
import re
from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations, pairwise
from pathlib import Path

import dagster as dg
import pytest
from click.testing import CliRunner
from defusedxml.ElementTree import fromstring

from pipelines.commands import main
from pipelines.definitions import build
from pipelines.language import expressions
from pipelines.language.queries import senders_of
from pipelines.language.schema import IntegrationMap, cron_in_words, load_map
from pipelines.operations.pictures import draw
from pipelines.orchestration.map_asset import KEY
from resources.host.settings import ROOT
from tests.fixtures_world import World
from tests.wide_map import SYSTEMS, wide_map

SVG = "{http://www.w3.org/2000/svg}"
MAPS: dict[str, Callable[[], IntegrationMap]] = {"the sandbox's": load_map, "of twenty systems": wide_map}


@dataclass(frozen=True)
class Area:
    """A rectangle on a sheet."""

    left: float
    top: float
    right: float
    bottom: float
    words: str = ""

    def overlaps(self, other: "Area") -> bool:
        return (
            self.left < other.right and other.left < self.right and self.top < other.bottom and other.top < self.bottom
        )

    def holds(self, other: "Area") -> bool:
        return (
            self.left <= other.left
            and other.right <= self.right
            and self.top <= other.top
            and other.bottom <= self.bottom
        )


def words_of(svg: str) -> list[Area]:
    """Every text, with the room that it takes: letters reach down a fifth of their size below their foot."""
    areas = []
    for text in fromstring(svg).iter(f"{SVG}text"):
        x, foot, size, width = (float(text.get(name)) for name in ("x", "y", "font-size", "textLength"))
        left = {"start": x, "middle": x - width / 2, "end": x - width}[text.get("text-anchor")]
        areas.append(Area(left, foot - 0.75 * size, left + width, foot + 0.2 * size, text.text))
    return areas


def boxes_of(svg: str) -> list[Area]:
    """Every box, the sheet itself first."""
    corners = [
        [float(box.get(name, 0)) for name in ("x", "y", "width", "height")]
        for box in fromstring(svg).iter(f"{SVG}rect")
    ]
    return [Area(x, y, x + width, y + height) for x, y, width, height in corners]


def arrows_of(svg: str) -> set[tuple[str, str, str]]:
    """(flow, from, to) of every arrow, as its data says and as its head points."""
    return {
        (path.get("data-flow"), path.get("data-from"), path.get("data-to"))
        for path in fromstring(svg).iter(f"{SVG}path")
        if path.get("data-from")
    }


def lines_of(svg: str) -> list[Area]:
    """Every straight part of an arrow."""
    found = []
    for path in fromstring(svg).iter(f"{SVG}path"):
        if path.get("data-from"):
            points = [tuple(map(float, pair.split(","))) for pair in re.findall(r"[\d.]+,[\d.]+", path.get("d"))]
            for (x1, y1), (x2, y2) in pairwise(points):
                found.append(Area(min(x1, x2), min(y1, y2) - 0.9, max(x1, x2), max(y1, y2) + 0.9))
    return found


def said(svg: str) -> str:
    """All words on one line, as a person reads on where a line was wrapped."""
    return " ".join(area.words for area in words_of(svg))


@pytest.fixture(scope="module", params=MAPS)
def drawn(request: pytest.FixtureRequest) -> tuple[IntegrationMap, dict[str, str]]:
    told = MAPS[request.param]()
    return told, draw.draw(told)


def test_the_wide_map_has_twenty_systems_and_a_journey_from_each_of_its_channels():
    assert len(SYSTEMS) == 20
    channels = [name for name, role in SYSTEMS.items() if role in ("storefront", "marketplace")]
    assert set(draw.draw(wide_map())) == {"landscape.svg", *(f"journey_{name}.svg" for name in channels)}


def test_no_two_texts_overlap_and_none_leaves_its_box_or_is_crossed_by_an_arrow(drawn):
    for name, svg in drawn[1].items():
        words, (sheet, *boxes), lines = words_of(svg), boxes_of(svg), lines_of(svg)
        assert len(words) > 20
        assert [(a.words, b.words) for a, b in combinations(words, 2) if a.overlaps(b)] == [], name
        assert [area.words for area in words if not sheet.holds(area)] == [], name
        cut = [area.words for area in words for box in boxes if box.overlaps(area) and not box.holds(area)]
        assert cut == [], name
        assert [area.words for area in words for line in lines if line.overlaps(area)] == [], name


def test_the_landscape_names_every_system_flow_field_owner_promise_and_steward(drawn):
    told, files = drawn
    words = said(files["landscape.svg"]).replace("_ ", "_").replace("- ", "-")
    for system in told.systems.values():
        assert system.system in words
        assert system.role in words
        assert system.steward in words
    for entity in told.entities.values():
        for field in entity.fields:
            assert field in words
    for name, (_, flow) in told.flows.items():
        assert name in words
        assert f"tier {flow.tier}" in words
        assert flow.steward in words


def test_the_landscape_says_who_owns_how_many_fields():
    the_map = load_map()
    words = said(draw.draw(the_map)["landscape.svg"])
    owned = [one for one in the_map.entities["orders"].fields.values() if one.owner == ["storefront"]]
    assert f"storefront (shopify, wholesale): {len(owned)} fields" in words
    assert "erp (tryton): 1 field erp_number" in words
    assert "wms (warehouse), then erp (tryton): 5 fields" in words
    assert "works out 10 fields: 1 of sellable, 9 of selling_prices" in words
    assert "counts at MAIN" in words
    assert "proved every 10m: storefront = erp (storefront_and_erp, team:finance)" in words


def test_the_arrows_of_the_landscape_are_the_flows_in_their_direction_symptom_22(drawn):
    told, files = drawn
    flows = {
        arrow
        for name, (entity, flow) in told.flows.items()
        for arrow in (
            [(name, sender, entity.entity) for sender in senders_of(told, entity, flow)]
            if flow.from_
            else [(name, entity.entity, taker.system) for taker in told.destinations(entity, flow)]
        )
    }
    assert {arrow for arrow in arrows_of(files["landscape.svg"]) if arrow[0]} == flows


def test_heads_of_arrows_point_to_where_the_arrow_goes():
    svg = draw.draw(load_map())["landscape.svg"]
    paths = list(fromstring(svg).iter(f"{SVG}path"))
    heads = {
        (line.get("data-flow"), line.get("data-to")): [float(n) for n in re.findall(r"[\d.]+", head.get("d"))]
        for line, head in pairwise(paths)
        if line.get("data-flow")
    }
    assert heads.keys() == {(flow, to) for flow, _, to in arrows_of(svg) if flow}
    for tail, _, tip, *_ in heads.values():  # the landscape is read from left to right
        assert tip > tail


def test_what_runs_in_shadow_is_dashed():
    svg = draw.draw(wide_map())["landscape.svg"]
    dashed = {path.get("data-flow") for path in fromstring(svg).iter(f"{SVG}path") if path.get("stroke-dasharray")}
    shadow = {name for name, (_, flow) in wide_map().flows.items() if flow.mode == "shadow"}
    assert shadow <= dashed
    assert "orders_to_every_erp_system" not in dashed


def test_an_order_s_journey_tells_each_step_its_trigger_its_promise_and_the_ids_that_it_carries():
    svg = draw.draw(load_map())["journey_shopify.svg"]
    words = said(svg)
    assert "shopify/orders: webhook orders/create, orders/updated, orders/cancelled" in words
    assert "order_number: SHOP-‹id› number: ‹name›" in words
    assert "when status in ('paid', 'refunded') order_number: SHOP-‹id›" in words
    assert "‹reference›: SHOP-‹id› its own id: kept in links" in words
    assert "erp_number: ‹number›" in words
    assert "fulfilment_number: 3PL-‹parcel› order_number: ‹order› tracking_number: ‹tracking›" in words
    assert "order_remote_id: ‹id›" in words
    assert {"≤ 1m", "≤ 2m", "≤ 5m", "≤ 15m"} <= {area.words for area in words_of(svg)}
    assert {arrow for arrow in arrows_of(svg) if "stripe" not in arrow and not arrow[0].startswith("refund")} == {
        ("orders_in", "shopify", "us"),
        ("orders_to_erp", "us", "tryton"),
        ("orders_to_3pl", "us", "warehouse"),
        ("orders_to_supplier", "us", "supplier"),
        ("", "tryton", "us"),
        ("shipments_in", "tryton", "us"),
        ("returns_in", "shopify", "us"),
        ("receipts_in", "warehouse", "us"),
        ("erp_receipts_in", "tryton", "us"),
        ("despatches_in", "warehouse", "us"),
        ("despatch_to_storefront", "us", "shopify"),
        ("returns_in", "shopify", "us"),
        ("receipts_in", "warehouse", "us"),
        ("erp_receipts_in", "tryton", "us"),
    }


def test_a_channel_that_is_told_nothing_back_says_so_on_its_own_picture():
    svg = draw.draw(load_map())["journey_wholesale.svg"]
    assert "WHOLE-‹InvoiceNo›" in said(svg)
    assert "despatch_to_storefront tells wholesale nothing: it takes no fulfilments" in said(svg)
    assert "shopify" not in {end for _, *ends in arrows_of(svg) for end in ends}


def test_among_many_systems_those_who_do_alike_share_a_lane():
    svg = draw.draw(wide_map())["journey_shopify.svg"]
    assert "who handles money stripe, adyen, datev" in said(svg)
    assert boxes_of(svg)[0].right < 1600
    givers = {giver for _, giver, _ in arrows_of(svg)}
    assert {"stripe", "dhl", "warehouse_berlin"} <= givers
    assert "amazon_marketplace" not in givers


def test_words_of_the_map_are_escaped():
    svg = draw.draw(wide_map())["landscape.svg"]
    assert "<&>" not in svg
    assert "note <&> 'quoted' \"twice\"" in said(svg)


@pytest.mark.parametrize(
    ("spelling", "shape"),
    [
        ("payload ->> '$.order.name'", "‹name›"),
        ("'SHOP-' || regexp_extract(payload ->> '$.id', '\\d+$')", "SHOP-‹id›"),
        ("coalesce(payload ->> '$.sku', 'none') || '@3PL'", "‹sku›@3PL"),
        ("if(payload ->> '$.a' = 'x', payload ->> '$.b', null)", "‹b›"),
        ("payload ->> '$.rows[0].InvoiceDate'", "‹InvoiceDate›"),
        ("upper(remote_id)", "‹remote_id›"),
        ("md5('x')", "…"),
    ],
)
def test_an_id_is_shown_as_people_would_write_it(spelling: str, shape: str):
    assert expressions.read(spelling).shape == shape


@pytest.mark.parametrize(
    ("cron", "words"),
    [
        ("*/10 * * * *", "every 10m"), ("12-59/15 * * * *", "every 15m"), ("20 * * * *", "every hour"),
        ("5 4 * * *", "every day at 04:05"), ("0 6 * * 1", "0 6 * * 1"), ("50-59/5 * * * *", "50-59/5 * * * *"),
    ],
)  # fmt: skip
def test_a_plain_schedule_is_told_in_words(cron: str, words: str):
    assert cron_in_words(cron) == words


# -- the files -----------------------------------------------------------------------------------------------------------


def test_the_pictures_of_the_readme_show_the_map_as_it_is():
    drawn = draw.draw(load_map())
    assert draw.stale(drawn, draw.FOLDER) == [], "run `concord draw` and commit what it draws"
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert set(re.findall(r"\(pictures/(\w+\.svg)\)", readme)) <= drawn.keys()
    assert "pictures/landscape.svg" in readme


def test_the_map_is_told_in_words_flow_by_flow():
    words = CliRunner().invoke(main, ["map"]).output.splitlines()
    assert "orders, with order_lines: One row per customer order, whichever channel took it." in words
    assert "  orders_to_erp: shopify, wholesale -> us -> tryton (near realtime, 2m)" in words
    assert "  storefront_and_erp: storefront = erp, every 10m" in words


def test_stale_pictures_are_named_and_drawn_and_strangers_left_alone(tmp_path: Path):
    def asked(*options: str) -> tuple[int, str]:
        done = CliRunner().invoke(main, ["draw", "--to", str(tmp_path), *options])
        return done.exit_code, done.output

    assert asked("--check") == (1, asked("--check")[1])
    assert asked()[0] == 0
    assert asked("--check")[0] == 0
    (tmp_path / "holiday.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    (tmp_path / "landscape.svg").rename(tmp_path / "journey_of_a_shop_that_closed.svg")
    code, told = asked("--check")
    assert code == 1
    assert "landscape.svg: is stale" in told
    assert "journey_of_a_shop_that_closed.svg: is stale" in told
    assert "run `concord draw`" in told
    asked()
    assert {path.name for path in tmp_path.iterdir()} == {*draw.draw(load_map()), "holiday.svg"}


# -- in Dagster ----------------------------------------------------------------------------------------------------------


def test_the_pictures_stand_on_the_map_s_own_asset_and_are_drawn_anew_when_the_map_changes(world: World):
    def asked(told: IntegrationMap) -> list[dg.RunRequest]:
        repository = build(told, {"store": world.store}).get_repository_def()
        with dg.build_sensor_context(instance=instance, sensor_name="changed_map") as context:
            return list(repository.get_sensor_def("changed_map").evaluate_tick(context).run_requests or [])

    with dg.DagsterInstance.ephemeral() as instance:
        (request,) = asked(world.the_map)
        assert request.tags["concord/why"] == "the map says something new"
        job = build(world.the_map, {"store": world.store}).resolve_job_def("draw_map")
        assert job.execute_in_process(instance=instance).success
        assert asked(world.the_map) == []
        event = instance.get_latest_materialization_event(KEY)
        assert event is not None
        assert event.asset_materialization is not None
        shown = event.asset_materialization.metadata["journey shopify"].value
        data = re.fullmatch(r"!\[journey_shopify.svg\]\(data:image/svg\+xml;base64,(.+)\)", str(shown))
        assert data
        assert base64.b64decode(data[1]).decode() == draw.draw(world.the_map)["journey_shopify.svg"]
        shopify = world.the_map.systems["shopify"].model_copy(update={"steward": "team:somebody-else"})
        changed = world.the_map.model_copy(update={"systems": {**world.the_map.systems, "shopify": shopify}})
        assert len(asked(changed)) == 1

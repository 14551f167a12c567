"""The words in which stories are told (tests/stories/*.yaml): each step is one of the kinds below, and nothing else.

A story speaks of "order 1", "parcel 2" and of SKUs by short names; they are made its own, so that all stories are played in
one world. Times are minutes after noon of one day. What a story does not say has a plain default.
"""

from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import sqlalchemy as sa
import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from pipelines.language.schema import IntegrationMap
from pipelines.runtime.door import UNKNOWN_TOPIC
from pipelines.stages.deliver import deliver
from pipelines.stages.drift import look
from resources.connectors.files.connector import Drop
from resources.store.findings import Looked
from resources.store.webhook_health import Tally, record
from tests.destination import Destination, HttpDestination
from tests.fixtures_world import World, at, line, order
from tests.wanting import pass_time, select

FLOWS = {"orders": "orders_to_erp", "fulfilments": "despatch_to_storefront", "sellable": "sellable_to_storefront"}
FAULTS = {"cuts the line after applying": "drops", "cuts the line before applying": "swallows"}

AsText = Annotated[str, BeforeValidator(lambda value: str(value) if type(value) is int else value)]  # never a float
Lines = dict[str, AsText]  # how many of each SKU
Destinations = Literal["tryton", "tryton_crm", "shopify", "stripe", "warehouse", "supplier"]


class Story:
    """A story being played: its world, the numbers that are its own, and what it has said so far."""

    def __init__(self, world: World, number: int, destinations: dict[str, Destination]) -> None:
        self.world, self.number, self.destinations = world, number, destinations
        self.skus: list[str] = []
        self.places: set[str] = set()  # in price lists
        self.orders: dict[int, dict[str, Any]] = {}  # what Shopify said last of each
        self.counts = 0
        self.the_map = world.the_map
        self.drop = world.folder.parent / f"drop-{number}"
        self.looked = Looked()
        self.down: set[str] = set()

    def id_of(self, order_number: int) -> int:
        return self.number + order_number

    def order_key(self, order_number: int, channel: str = "shopify") -> str:
        return f"{'SHOP' if channel == 'shopify' else 'WHOLE'}-{self.id_of(order_number)}"

    def person_key(self, person: int) -> str:
        """The number of a customer whom the shop knew first."""
        return f"SHOP-C{self.id_of(person)}"

    def parcel_key(self, parcel: int) -> str:
        return f"3PL-P{self.id_of(parcel)}"

    def sku(self, name: str) -> str:
        """The story's own SKU of that name."""
        if name not in self.skus:
            self.skus.append(name)
        return f"{name}-{self.number}"

    @property
    def keys(self) -> list[str]:
        """Every key by which the outbox may know a record of this story."""
        numbers = range(10)
        mine = [self.order_key(n) for n in numbers] + [self.order_key(n, "wholesale") for n in numbers]
        people = [self.person_key(n) + part for n in numbers for part in ("", "/email", "/sms")]
        parcels = [self.parcel_key(n) for n in numbers]
        refunds = [f"STRIPE-re_{self.id_of(n)}" for n in numbers]
        return [*mine, *people, *parcels, *refunds, *(self.sku(name) for name in self.skus), *self.places]

    @contextmanager
    def alone(self) -> Generator[None]:
        """Let couriers see this story's deliveries and no others: its troubles are its own."""
        hide = "update outbox set due_at = due_at {0} interval '1000 days' where status in ('due', 'unknown') and key <> all(:keys)"
        with self.world.store.transaction() as connection:
            connection.execute(sa.text("delete from destinations"))  # another story's open breaker
            connection.execute(sa.text(hide.format("+")), {"keys": self.keys})
        try:
            yield
        finally:
            with self.world.store.transaction() as connection:
                connection.execute(sa.text(hide.format("-")), {"keys": self.keys})


class Step(BaseModel):
    """What every kind of step can do."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)
    words: ClassVar[str]  # how a story names this kind

    def play(self, story: Story) -> None:
        raise NotImplementedError


class ShopifySays(Step):
    """The storefront posts an order as it is now. What is not told stays as it was in its last post."""

    words = "shopify says"
    order: int
    at: float = 0
    is_: Literal["pending", "paid", "refunded", "partially_refunded"] | None = Field(None, alias="is")
    cancelled: bool | None = None
    lines: Lines | None = None
    named: bool = True  # or its lines, of something made for one customer, say no SKU
    total: AsText | None = None
    email: str | None = None
    phone: AsText | None = None
    city: str | None = None  # null: the shop keeps the whole address back
    clock: str | None = None  # a time that makes no sense, in place of `at`
    country: str | None = None
    tags: str | None = None
    note: str | None = None
    channel: str | None = None
    marketplace_number: str | None = None
    attributes: dict[str, str] | None = None
    properties: dict[str, str] | None = None  # of every line

    def play(self, story: Story) -> None:
        number = story.id_of(self.order)
        told = story.orders.get(self.order) or order(number, 0, [])
        told = {**told, "updated_at": self.clock or at(self.at)}
        if self.is_:
            told["financial_status"] = self.is_
        if self.cancelled is not None:
            told["cancelled_at"] = at(self.at) if self.cancelled else None
        if self.lines is not None:
            skus = {name: story.sku(name) for name in self.lines}
            told["line_items"] = [
                line(number * 10 + story.skus.index(name), sku if self.named else None, self.lines[name])
                for name, sku in skus.items()
            ]
        if self.total is not None:
            told["current_total_price"] = told["total_price"] = self.total
        told |= {
            name: getattr(self, name) for name in ("email", "phone", "tags", "note") if name in self.model_fields_set
        }
        if self.country:
            told["shipping_address"] = told["shipping_address"] | {"country_code": self.country}
        if self.channel:
            told |= {"source_name": self.channel, "source_identifier": self.marketplace_number}
        if self.attributes is not None:
            told["note_attributes"] = [{"name": name, "value": value} for name, value in self.attributes.items()]
        if self.properties is not None:
            properties = [{"name": name, "value": value} for name, value in self.properties.items()]
            told["line_items"] = [line | {"properties": properties} for line in told["line_items"]]
        if "city" in self.model_fields_set:
            address = (told["shipping_address"] or order(number, 0, [])["shipping_address"]) | {"city": self.city}
            told["shipping_address"] = address if self.city else None
        story.orders[self.order] = told
        story.world.say("shopify", "orders", told, remote_id=str(number), is_versioned=True)


class ShopifyIsAskedFor(Step):
    """The storefront answers an order as its Admin API tells it: with what gift cards paid of it."""

    words = "shopify is asked for"
    order: int
    at: float
    gift_card: str

    def play(self, story: Story) -> None:
        number, told = story.id_of(self.order), story.orders[self.order]
        money = {"shopMoney": {"amount": self.gift_card, "currencyCode": "EUR"}}
        lines = [
            {"id": f"gid://shopify/LineItem/{line['id']}", "sku": line["sku"], "currentQuantity": line["quantity"],
             "originalUnitPriceSet": {"shopMoney": {"amount": line["price"]}}, "taxLines": [], "discountAllocations": []}
            for line in told["line_items"]
        ]  # fmt: skip
        answer = {
            "id": f"gid://shopify/Order/{number}", "updatedAt": at(self.at), "createdAt": told["created_at"],
            "name": told["name"], "currencyCode": "EUR", "displayFinancialStatus": "PAID", "lineItems": {"nodes": lines},
            "currentTotalPriceSet": {"shopMoney": {"amount": told["total_price"]}},
            "transactions": [{"gateway": "gift_card", "kind": "SALE", "status": "SUCCESS", "amountSet": money}],
        }  # fmt: skip
        story.world.say("shopify", "orders_read", answer, by="poll", remote_id=f"gid://shopify/Order/{number}")


class ShopifyRepeats(Step):
    """The storefront posts its last word on an order once more, byte for byte."""

    words = "shopify repeats"
    order: int

    def play(self, story: Story) -> None:
        number = story.id_of(self.order)
        told = story.orders[self.order]
        assert story.world.say("shopify", "orders", told, remote_id=str(number), is_versioned=True) == 0


class ShopifyDeletes(Step):
    """The storefront forgets an order."""

    words = "shopify deletes"
    order: int

    def play(self, story: Story) -> None:
        number = story.id_of(self.order)
        story.world.say("shopify", "orders_deleted", {"id": number}, remote_id=str(number))


class WholesaleDrops(Step):
    """A file of the wholesale channel tells an order."""

    words = "wholesale drops"
    order: int
    lines: Lines
    placed: str = "2026-11-19 09:00:00"

    def play(self, story: Story) -> None:
        number = str(story.id_of(self.order))
        rows = [
            {"StockCode": story.sku(sku), "Description": sku, "Quantity": quantity, "InvoiceDate": self.placed,
             "UnitPrice": "10.00", "CustomerID": f"17850-{story.number}", "Country": "United Kingdom", "row_number": str(row)}
            for row, (sku, quantity) in enumerate(self.lines.items(), start=1)
        ]  # fmt: skip
        story.world.say("wholesale", "order_files", {"InvoiceNo": number, "rows": rows}, by="file", row_number=1,
                        file_name="orders/2026-11-20.csv", file_occurrence=f"drop of {number}")  # fmt: skip


class TrytonTellsOf(Step):
    """The ERP tells of products that it sells."""

    words = "tryton tells of"
    skus: list[str]

    def play(self, story: Story) -> None:
        for name in self.skus:
            sku = story.sku(name)
            product = {"id": sku, "code": sku, "name": f"Product {name}", "list_price": "10.00", "salable": True}
            told = {**product, "active": True, "write_date": at(-600)}
            story.world.say("tryton", "products", told, by="poll", remote_id=sku)


class TrytonSays(Step):
    """The ERP tells of the sale that it made of an order."""

    words = "tryton says"
    order: int
    at: float
    total: AsText
    state: Literal["draft", "quotation", "confirmed", "processing", "done", "cancelled"] = "confirmed"

    def play(self, story: Story) -> None:
        key = story.order_key(self.order)
        sale = {"id": f"R-{key}", "number": f"S{story.id_of(self.order)}", "reference": key, "state": self.state,
                "currency": "EUR", "total_amount": self.total, "write_date": at(self.at)}  # fmt: skip
        story.world.say("tryton", "sales", sale, by="poll", remote_id=f"R-{key}")


class TrytonCounts(Step):
    """The ERP tells how many of a SKU its own warehouse holds."""

    words = "tryton counts"
    sku: str
    quantity: AsText
    at: float = 0
    location: Literal["MAIN", "STORE"] = "MAIN"

    def play(self, story: Story) -> None:
        sku = story.sku(self.sku)
        told = {"sku": sku, "location": self.location, "quantity": self.quantity, "as_of": at(self.at)}
        story.world.say("tryton", "stock", told, by="poll", remote_id=f"{sku}@{self.location}")


class WarehouseDespatches(Step):
    """A despatch note tells of a parcel that left."""

    words = "warehouse despatches"
    parcel: int
    order: int
    lines: Lines
    at: float = 30

    def play(self, story: Story) -> None:
        number = f"P{story.id_of(self.parcel)}"
        lines = [{"sku": story.sku(sku), "quantity": quantity} for sku, quantity in self.lines.items()]
        told = {"parcel": number, "order": story.order_key(self.order), "carrier": "DHL", "tracking": f"T-{number}"}
        story.world.say("warehouse", "despatches", {**told, "at": at(self.at), "lines": lines}, by="file", row_number=1,
                        file_name=f"despatch/{number}.xml", file_occurrence=number)  # fmt: skip


class VariantsAreTold(Step):
    """The storefront tells of so many variants, in the shape that its messages have by then."""

    words = "variants are told"
    count: int
    without: list[str] = []
    with_: dict[str, Any] = Field({}, alias="with")

    def play(self, story: Story) -> None:
        told = []
        for _ in range(self.count):
            story.counts += 1
            sku = story.sku("VAR") + f"-{story.counts}"
            variant = {
                "id": sku,
                "sku": sku,
                "updatedAt": at(story.counts / 60),
                "product": {"title": "Tee"},
            } | self.with_
            told.append({name: value for name, value in variant.items() if name not in self.without})
        story.world.say("shopify", "variants", *told, by="webhook")


class PostsATopic(Step):
    """The storefront posts a topic that it has signed, so many times; the door counts what it answered."""

    words = "shopify posts topic"
    topic: str
    times: int

    def play(self, story: Story) -> None:
        tally = Tally()
        for _ in range(self.times):
            tally.count("shopify", self.topic, UNKNOWN_TOPIC, 1.0)
        record(story.world.store, tally.close_minute())


class ShopifyTellsOf(Step):
    """The storefront tells of a product, with the tags that it has there."""

    words = "shopify tells of"
    sku: str
    tags: list[str] = []

    def play(self, story: Story) -> None:
        sku = story.sku(self.sku)
        told = {"id": sku, "sku": sku, "updatedAt": at(0), "product": {"title": self.sku, "tags": self.tags}}
        story.world.say("shopify", "variants", told, by="poll", remote_id=sku)


class FileIsDropped(Step):
    """A file lies in the warehouse's drop folder."""

    words = "warehouse drops file"
    name: str

    def play(self, story: Story) -> None:
        path = story.drop / self.name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("a")


class MapForgets(Step):
    """Somebody takes a stream out of the map."""

    words = "map forgets"
    system: str
    stream: str

    def play(self, story: Story) -> None:
        systems = dict(story.the_map.systems)
        streams = {name: told for name, told in systems[self.system].streams.items() if name != self.stream}
        systems[self.system] = systems[self.system].model_copy(update={"streams": streams})
        story.the_map = IntegrationMap(systems=systems, entities=story.the_map.entities)


class MapRemembers(Step):
    """The map is as it was."""

    words = "map remembers"

    def play(self, story: Story) -> None:
        story.the_map = story.world.the_map


class LookForDrift(Step):
    """What arrived is held against what the map reads and knows."""

    words = "look for drift"

    def play(self, story: Story) -> None:
        streams = {name: {"glob": told.arrives.file, "format": "csv"}
                   for name, told in story.the_map.systems["warehouse"].streams.items()}  # fmt: skip
        story.drop.mkdir(parents=True, exist_ok=True)
        warehouse = Drop(url=f"file://{story.drop}", streams=streams)
        story.looked = look(story.world.store, story.the_map, {"warehouse": warehouse})


class Settle(Step):
    """Everything that was said so far is judged and settled, and what destinations should hold is enqueued."""

    words = "settle"

    def play(self, story: Story) -> None:
        raise AssertionError("the player settles, for all stories at once")


class IsDown(Step):
    """A destination does not answer, until it is up again."""

    words = "is down"
    system: Destinations

    def play(self, story: Story) -> None:
        story.down.add(self.system)


class IsUp(Step):
    words = "is up"
    system: Destinations

    def play(self, story: Story) -> None:
        story.down.remove(self.system)


class Misbehaves(Step):
    """The next batch that a destination gets is applied, or not, and answered by a cut line."""

    words = "misbehaves"
    system: Destinations
    how: Literal["cuts the line after applying", "cuts the line before applying"]

    def play(self, story: Story) -> None:
        setattr(story.destinations[self.system], FAULTS[self.how], 1)


class TimePasses(Step):
    words = "time passes"
    seconds: float

    def play(self, story: Story) -> None:
        pass_time(story.world.store, self.seconds)


class Deliver(Step):
    """Couriers carry what is due to a destination."""

    words = "deliver"
    to: Destinations
    applied: int | None = None  # how many deliveries it must have taken this time

    def play(self, story: Story) -> None:
        destination = story.destinations[self.to]
        if self.to in story.down:
            destination.stop()
        try:
            with story.alone():
                connector = HttpDestination(base_url=destination.url)
                report = deliver(story.world.store, story.world.the_map, self.to, connector, run_id="story")
        finally:
            if self.to in story.down:
                destination.start()
        assert report.errors == []
        if self.applied is not None:
            assert report.applied == self.applied, report.sentence()


class Expectation(Step):
    """A step that only looks."""

    def compare(self, found: dict[str, Any], *, without: tuple[str, ...] = ()) -> None:
        """Everything that the step tells must be as found."""
        said = self.model_dump(by_alias=True, exclude_unset=True)
        told = {name: value for name, value in said.items() if name not in without}
        held = {name: found.get(name) for name in told}
        assert held == told, f"found {held}"


class ExpectOrder(Expectation):
    """What we hold of an order."""

    words = "expect order"
    order: int
    channel: Literal["shopify", "wholesale"] = "shopify"
    is_: Literal["placed", "paid", "refunded", "cancelled", "unheard of"] | None = Field(None, alias="is")
    total: AsText | None = None
    email: str | None = None
    phone: AsText | None = None
    city: str | None = None
    placed_at: str | None = None  # in UTC
    began_in: str | None = None  # the system
    lines: Lines | None = None
    flags: list[str] | None = None
    deleted: bool | None = None
    erp_knows_it: bool | None = None

    def play(self, story: Story) -> None:
        key = story.order_key(self.order, self.channel)
        rows = story.world.rows(f"select * from orders where order_number = '{key}'")
        if not rows:
            assert self.is_ == "unheard of", f"nothing is known of {key}"
            return
        [row] = rows
        lines = story.world.rows(
            f"select sku, quantity from order_lines where order_number = '{key}' and removed_at is null order by position"
        )
        found = {
            **{name: row[name] for name in ("email", "phone", "city", "flags")},
            "is": row["status"],
            "placed_at": row["placed_at"] and f"{row['placed_at'].astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}",
            "began_in": row["origin_system"],
            "total": None if row["total"] is None else f"{row['total']:.2f}",
            "lines": {(row["sku"] or "no SKU").removesuffix(f"-{story.number}"): str(row["quantity"]) for row in lines},
            "deleted": row["deleted_at"] is not None,
            "erp_knows_it": row["erp_number"] is not None,
        }
        self.compare(found, without=("order", "channel"))


class ExpectVerdicts(Expectation):
    """What became of each message about an order or a parcel, in the order in which they came."""

    words = "expect verdicts"
    order: int | None = None
    parcel: int | None = None
    are: list[Literal["quarantined", "pending", "applied", "superseded", "ignored"]]

    def play(self, story: Story) -> None:
        key = story.order_key(self.order) if self.order else story.parcel_key(self.parcel or 0)
        books = "orders_verdicts" if self.order else "fulfilments_verdicts"
        rows = story.world.rows(f"select verdict from {books} where key = '{key}' order by inbox_id")
        assert [row["verdict"] for row in rows] == self.are


class ExpectReason(Expectation):
    """Why a message about an order stands in quarantine."""

    words = "expect quarantine"
    order: int
    because: str

    def play(self, story: Story) -> None:
        key = story.order_key(self.order)
        rows = story.world.rows(f"select reason, steward from orders_quarantine where key = '{key}'")
        assert [row["reason"].replace(f"-{story.number}", "") for row in rows] == [self.because]
        assert rows[0]["steward"]


class ExpectWaiting(Expectation):
    """Why an order is not sent on, or null when nothing keeps it."""

    words = "expect waiting"
    order: int
    because: str | None

    def play(self, story: Story) -> None:
        key = story.order_key(self.order)
        held = story.world.row(
            f"select held_because from wanted_orders where order_number = '{key}' and flow = 'orders_to_erp'"
        )["held_because"]
        assert (held.replace(f"-{story.number}", "") if held else None) == self.because


class ExpectRoutes(Expectation):
    """From where each line of an order is shipped."""

    words = "expect routes"
    order: int
    are: dict[str, str]

    def play(self, story: Story) -> None:
        rows = story.world.rows(
            f"select sku, ships_from from order_lines where order_number = '{story.order_key(self.order)}' and removed_at is null"
        )
        assert {row["sku"].removesuffix(f"-{story.number}"): row["ships_from"] for row in rows} == self.are


class ExpectInTheErp(Expectation):
    """What was asked for beside goods and money, as the ERP was told."""

    words = "expect in the erp"
    order: int
    note: str | None = None
    attributes: str | None = None
    channel: str | None = None
    marketplace_number: str | None = None
    properties: str | None = None  # of the first line

    def play(self, story: Story) -> None:
        held = story.destinations["tryton"].records[story.order_key(self.order)]
        self.compare({**held, "properties": held["lines"][0]["properties"]}, without=("order",))


class ExpectConflict(Expectation):
    """What a system says of a field of an order that is not so here, with who answers for it; or that there is nothing."""

    words = "expect conflict"
    order: int
    field: str
    theirs: str | None = None
    ours: str | None = None
    nothing: bool = False

    def play(self, story: Story) -> None:
        key = story.order_key(self.order)
        rows = story.world.rows(
            f"select * from orders_conflicts where order_number = '{key}' and field = '{self.field}'"
        )
        assert [(row["value_now"], row["our_value"]) for row in rows] == (
            [] if self.nothing else [(self.theirs, self.ours)]
        )
        assert all(row["steward"] and row["seen_at"] for row in rows)


class ExpectSellable(Expectation):
    """How many of a SKU may still be sold."""

    words = "expect sellable"
    sku: str
    quantity: int

    def play(self, story: Story) -> None:
        sku = story.sku(self.sku)
        found = story.world.row(f"select sellable from sellable where sku = '{sku}'")["sellable"]
        assert found == self.quantity, f"{found} of {self.sku} may be sold"


class ExpectHeld(Expectation):
    """What a destination holds of an order, a parcel or a SKU, and every action that it ever applied to it."""

    words = "expect held"
    by: Destinations
    order: int | None = None
    channel: Literal["shopify", "wholesale"] = "shopify"
    parcel: int | None = None
    refund: int | None = None
    sku: str | None = None
    nothing: bool = False
    after: list[Literal["upsert", "cancel"]] | None = None  # the actions that were applied, in order
    status: str | None = None
    total: AsText | None = None
    email: str | None = None
    city: str | None = None
    lines: Lines | None = None
    of_order: int | None = None
    has_tracking: bool | None = None
    tax_total: AsText | None = None
    sellable: AsText | None = None

    def key(self, story: Story) -> str:
        if self.order is not None or self.refund is not None:
            return story.order_key(self.order or self.refund or 0, self.channel)  # of the shop's refunds alike
        return story.parcel_key(self.parcel) if self.parcel is not None else story.sku(self.sku or "")

    def play(self, story: Story) -> None:
        key = self.key(story)
        destination = story.destinations[self.by]
        if self.after is not None:
            assert [action for applied, _, action in destination.applied if applied == key] == self.after
        held = destination.records.get(key)
        assert (held is None) == self.nothing, f"{self.by} holds {held or 'nothing'} of {key}"
        if held is None:
            return
        found = {
            **held,
            "lines": {row["sku"].removesuffix(f"-{story.number}"): row["quantity"] for row in held.get("lines", [])},
            "of_order": int(held.get("order_remote_id") or 0) - story.number,
            "has_tracking": bool(held.get("tracking_number")),
        }
        self.compare(found, without=("by", "order", "channel", "parcel", "refund", "sku", "nothing", "after"))


class ExpectOpen(Expectation):
    """The newest delivery of an order, a parcel or a SKU stands so in the outbox."""

    words = "expect delivery"
    order: int | None = None
    parcel: int | None = None
    sku: str | None = None
    is_: Literal["due", "unknown", "applied", "parked", "replaced", "none"] = Field(alias="is")
    reason: Literal["new", "changed", "withdrawn", "restore"] | None = None

    def play(self, story: Story) -> None:
        if self.order is not None:
            key, flow = story.order_key(self.order), FLOWS["orders"]
        elif self.parcel is not None:
            key, flow = story.parcel_key(self.parcel), FLOWS["fulfilments"]
        else:
            key, flow = story.sku(self.sku or ""), FLOWS["sellable"]
        rows = select(
            story.world.store,
            "select cast(status as text), reason from outbox where flow = :flow and key = :key order by version desc limit 1",
            flow=flow,
            key=key,
        )
        status, reason = rows[0] if rows else ("none", None)
        assert status == self.is_
        if self.reason:
            assert reason == self.reason


class ExpectFinding(Expectation):
    """Something that the map does not know is told of, or no longer."""

    words = "expect finding"
    kind: Literal["field", "writer", "topic", "file", "stream"]
    what: str
    is_: Literal["open", "none"] = Field("open", alias="is")
    messages: int | None = None
    steward: str | None = None

    def play(self, story: Story) -> None:
        rows = [row for row in story.looked.findings if (row["kind"], row["what"]) == (self.kind, self.what)]
        assert [self.is_] == (["open"] * len(rows) or ["none"])
        if rows:
            self.compare(rows[0], without=("is",))


class ExpectBroken(Expectation):
    """A stream no longer keeps what the map reads of it, and its steward is told; or all is as it was."""

    words = "expect broken contract"
    stream: str
    at: str | None = None  # the path
    says: str = ""

    def play(self, story: Story) -> None:
        broken = [one for one in story.looked.broken if f"{one.system}/{one.stream}" == self.stream]
        assert [one.path for one in broken] == ([self.at] if self.at else [])
        alerts = "select sentence from alerts where over_at is null and kind = 'broken contract' and subject = :subject"
        assert select(story.world.store, alerts, subject=self.stream) == [one.sentence for one in broken]
        assert all(self.says in one.sentence for one in broken)


KINDS: dict[str, type[Step]] = {
    kind.words: kind
    for kind in (
        ShopifySays, ShopifyRepeats, ShopifyDeletes, WholesaleDrops, TrytonTellsOf, TrytonSays, TrytonCounts,
        WarehouseDespatches, Settle, IsDown, IsUp, Misbehaves, TimePasses, Deliver, ExpectOrder, ExpectVerdicts,
        ExpectReason, ExpectWaiting, ExpectConflict, ExpectSellable, ExpectHeld, ExpectOpen, VariantsAreTold, PostsATopic,
        FileIsDropped, MapForgets, MapRemembers, LookForDrift, ExpectFinding, ExpectBroken,
        ShopifyTellsOf, ShopifyIsAskedFor, ExpectRoutes, ExpectInTheErp,
    )
}  # fmt: skip


class Told(BaseModel):
    """A story as its file tells it."""

    model_config = ConfigDict(extra="forbid")
    title: str
    systems: list[
        Literal["parcelhub", "shopify", "stripe", "supplier", "tryton", "tryton_crm", "warehouse", "wholesale"]
    ]
    proves: str  # what a merchant would lose if it were not so
    sells: list[str] = []  # products that the ERP has told of before it begins
    steps: list[Annotated[Step, BeforeValidator(lambda told: step_of(told))]]


def step_of(told: Any) -> Step:
    """A step of the kind that its only key names. Raises ValueError with what it could be."""
    if isinstance(told, str):
        told = {told: {}}
    if not isinstance(told, dict) or len(told) != 1:
        raise ValueError(f"a step is one kind and what it tells, not {told!r}")
    [(words, what)] = told.items()
    if words not in KINDS:
        raise ValueError(f"{words!r} is no kind of step; the kinds are: {', '.join(KINDS)}")
    return KINDS[words].model_validate(what or {})


def read(path: Path) -> Told:
    """The story of that file. Raises ValueError with file, step and what is wrong."""
    try:
        return Told.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (ValidationError, yaml.YAMLError) as problem:
        raise ValueError(f"{path.name}: {problem}") from problem


def play(told: Told, world: World, number: int, *, destinations: dict[str, Destination]) -> Generator[None]:
    """Play the story up to its next settling, again and again."""
    story = Story(world, number, destinations)
    if told.sells:
        TrytonTellsOf(skus=told.sells).play(story)
    for place, step in enumerate(told.steps, start=1):
        if isinstance(step, Settle):
            yield
            continue
        try:
            step.play(story)
        except AssertionError as problem:
            problem.add_note(f"step {place}: {step.words}: {step!r}")
            raise

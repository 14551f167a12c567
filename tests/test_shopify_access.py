"""How the Shopify connector is let in: by tokens that its app is granted for a day, or by one that never ends."""

import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import httpx
import pytest
from shopify_app import AppConfig
from shopify_app.exchange.client_credentials import exchange_using_client_credentials

from pipelines.definitions import connector_of
from pipelines.language.connectors import MissingSetting, connector_for
from pipelines.language.schema import load_map
from resources.connectors.connector import Result, Unreachable
from resources.connectors.shopify.connector import Shopify
from resources.host.settings import ROOT
from tests.fixtures_shopify import ShopifyMock
from tests.test_shopify import sellable

WORKER = """
from pipelines.language.connectors import connector_for
from pipelines.language.schema import load_map
shop = connector_for(load_map().systems["shopify"])
assert list(shop.snapshot("variants"))[-1].is_last
input()
assert list(shop.snapshot("variants"))[-1].is_last
"""


@pytest.fixture(autouse=True)
def _days_and_no_tokens(shopify_mock: ShopifyMock) -> Iterator[None]:
    """Each test begins with a shop that lets nobody in yet, and leaves it as it was."""
    shopify_mock.post("/sandbox/tokens", {"end": True})
    yield
    shopify_mock.delete("/sandbox/faults")


def is_read(shop: Shopify) -> bool:
    return list(shop.snapshot("variants"))[-1].is_last


def counted(mock: ShopifyMock) -> tuple[int, int]:
    """Tokens that the shop granted, and requests that it refused for theirs."""
    told = mock.get("/sandbox/tokens")
    return told["granted"], told["refused"]


def test_the_sandbox_grants_tokens_as_shopifys_own_package_asks_for_them(shopify_mock: ShopifyMock) -> None:
    class ToTheSandbox(httpx.HTTPTransport):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            assert request.url.host == "concord-tests.myshopify.com"
            request.url = httpx.URL(shopify_mock.base_url).copy_with(path=request.url.path)
            return super().handle_request(request)

    app, impostor = (
        AppConfig(client_id=shopify_mock.client_id, client_secret=secret, old_client_secret=None)
        for secret in (shopify_mock.client_secret, "wrong")
    )
    with httpx.Client(transport=ToTheSandbox()) as client:
        granted = exchange_using_client_credentials("concord-tests", app, client)
        refused = exchange_using_client_credentials("concord-tests", impostor, client)
    assert granted.ok
    assert granted.access_token
    assert granted.access_token.expires
    assert is_read(shopify_mock.connector(client_id="", client_secret="", token=granted.access_token.token))
    assert (refused.ok, refused.log.code) == (False, "invalid_client")


def test_an_app_with_id_and_secret_reads_and_writes_by_one_token_whoever_asks(shopify_mock: ShopifyMock) -> None:
    granted, _ = counted(shopify_mock)
    for quantity in (21, 22):  # a run makes a connector of its own
        shop = shopify_mock.connector()
        assert is_read(shop)
        (outcome,) = shop.deliver([sellable("CAN-FIG", quantity)])
        assert outcome.result is Result.APPLIED
        assert shopify_mock.stock("CAN-FIG")["available"] == quantity
    assert counted(shopify_mock)[0] - granted == 1


def test_a_token_is_exchanged_before_it_ends(shopify_mock: ShopifyMock) -> None:
    shopify_mock.post("/sandbox/tokens", {"life": 4})
    shop = shopify_mock.connector()
    assert is_read(shop)  # by a token of four seconds: whatever was held before has ended
    granted, refused = counted(shopify_mock)
    until = time.monotonic() + 5
    while time.monotonic() < until:
        assert is_read(shop)
    assert counted(shopify_mock)[0] > granted
    assert counted(shopify_mock)[1] == refused


def test_a_token_that_the_shop_ends_is_exchanged_at_once_and_nothing_is_written_twice(
    shopify_mock: ShopifyMock,
) -> None:
    shop = shopify_mock.connector()
    assert is_read(shop)
    shopify_mock.post("/sandbox/tokens", {"end": True})
    granted, refused = counted(shopify_mock)
    (outcome,) = shop.deliver([sellable("CAN-CED", 33)])
    assert outcome.result is Result.APPLIED
    assert shopify_mock.stock("CAN-CED")["available"] == 33
    assert counted(shopify_mock) == (granted + 1, refused + 1)


def test_a_shop_that_starts_again_is_asked_for_a_new_token(shopify_mock: ShopifyMock) -> None:
    shop = shopify_mock.connector()
    assert is_read(shop)
    shopify_mock.stop()
    shopify_mock.start()
    assert is_read(shop)


def test_many_at_once_are_all_served_when_their_token_ends(shopify_mock: ShopifyMock) -> None:
    shop, read = shopify_mock.connector(), []
    assert is_read(shop)
    shopify_mock.post("/sandbox/tokens", {"end": True})
    threads = [threading.Thread(target=lambda: read.append(is_read(shopify_mock.connector()))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert read == [True] * 6


def test_each_worker_holds_a_token_of_its_own_and_takes_none_from_another(shopify_mock: ShopifyMock) -> None:
    granted, refused = counted(shopify_mock)
    environment = {name: value for name, value in shopify_mock.environment.items() if name != "SHOPIFY_TOKEN"}
    environment["SHOPIFY_URL"] = shopify_mock.base_url
    command = [sys.executable, "-c", WORKER]
    workers = [subprocess.Popen(command, cwd=ROOT, env=environment, stdin=subprocess.PIPE) for _ in range(2)]
    until = time.monotonic() + 60
    while counted(shopify_mock)[0] - granted < 2 and time.monotonic() < until:
        time.sleep(0.1)
    for worker in workers:
        worker.communicate(b"go on\n", timeout=60)
    assert [worker.returncode for worker in workers] == [0, 0]
    assert counted(shopify_mock) == (granted + 2, refused)


def test_a_wrong_secret_is_told_in_one_sentence_and_deliveries_wait(shopify_mock: ShopifyMock) -> None:
    shop = shopify_mock.connector(client_secret="shpss_wrong")
    with pytest.raises(
        Unreachable, match=r"grants no access token \(invalid_client\).*client id and client secret"
    ) as asked:
        is_read(shop)
    (outcome,) = shop.deliver([sellable("MUG-BLU", 5)])
    assert outcome.result is Result.RETRY
    assert "shpss_wrong" not in f"{asked.value} {outcome.reason} {shop!r}"


def test_a_token_of_an_older_app_goes_on_working(shopify_mock: ShopifyMock) -> None:
    granted, _ = counted(shopify_mock)
    shop = shopify_mock.connector(client_id="", client_secret="", token=shopify_mock.token)
    assert is_read(shop)
    (outcome,) = shop.deliver([sellable("CAN-FIG", 44)])
    assert outcome.result is Result.APPLIED
    assert counted(shopify_mock)[0] == granted


def test_neither_secret_nor_token_is_logged(shopify_mock: ShopifyMock, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    shop = shopify_mock.connector()
    assert is_read(shop)
    shopify_mock.post("/sandbox/tokens", {"end": True})
    assert is_read(shop)
    written = caplog.text + repr(shop)
    assert "/admin/oauth/access_token" in written, "the log tells what was asked"
    assert "shpat_" not in written
    assert shopify_mock.client_secret not in written


@pytest.mark.parametrize(
    ("told", "lacking"),
    [
        ({}, ["SHOPIFY_CLIENT_ID", "SHOPIFY_CLIENT_SECRET"]),
        ({"SHOPIFY_CLIENT_ID": "app"}, ["SHOPIFY_CLIENT_SECRET"]),
        ({"SHOPIFY_TOKEN": "", "SHOPIFY_CLIENT_SECRET": "s"}, ["SHOPIFY_CLIENT_ID"]),
        ({"SHOPIFY_CLIENT_ID": "app", "SHOPIFY_CLIENT_SECRET": "s"}, []),
        ({"SHOPIFY_TOKEN": "shpat_old"}, []),
    ],
)
def test_the_map_asks_for_id_and_secret_or_for_an_older_token(
    told: dict[str, str], lacking: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in os.environ if name.startswith("SHOPIFY_")]:
        monkeypatch.delenv(name)
    variables = {"SHOPIFY_URL": "http://127.0.0.1:9", "SHOPIFY_SHOP": "x", "SHOPIFY_WEBHOOK_SECRETS": "x", **told}
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    system = load_map().systems["shopify"]
    if not lacking:
        assert isinstance(connector_for(system), Shopify)
        assert isinstance(connector_of(system), Shopify)
        return
    with pytest.raises(MissingSetting, match=lacking[0]):
        connector_for(system)
    with pytest.raises(Unreachable, match=lacking[0]):
        connector_of(system).has_changed("orders_read", None)

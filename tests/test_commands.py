"""The command line's frame: what every verb has in common, and the verbs that read the map."""

import json
import socket
import subprocess
import sys
from pathlib import Path

import click
import psycopg
import pytest
import sqlalchemy as sa
from click.testing import CliRunner
from defusedxml import ElementTree

from pipelines.commands import Verbs, main
from pipelines.map_schema import load_map
from tests.map_draft import Draft


def concord(*words: str) -> tuple[int, str]:
    """(exit code, what was printed) of a verb, run in this process."""
    answer = CliRunner().invoke(main, list(words))
    assert answer.exception is None or isinstance(answer.exception, SystemExit), answer.exception
    return answer.exit_code, answer.output


def told_when(problem: Exception) -> tuple[int, str]:
    """What a person reads when a verb meets this problem."""

    @click.group(cls=Verbs)
    def group() -> None:
        raise problem

    answer = CliRunner().invoke(group, ["check"])
    if answer.exception is problem:
        raise problem
    return answer.exit_code, answer.output


def test_help_names_every_verb_and_loads_no_dagster():
    code = "import sys; from pipelines.commands import main; main(['--help'], standalone_mode=False); "
    code += "print(sorted({'dagster', 'dbt', 'duckdb'} & set(sys.modules)))"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.splitlines()[-1] == "[]"
    for verb in ("check", "map", "schema"):
        assert f"\n  {verb} " in answer.stdout


def test_an_unknown_verb_is_refused_in_a_sentence():
    code, output = concord("sinc")
    assert code == 2
    assert "No such command 'sinc'" in output


def test_check_ends_well_and_shows_each_flow_with_its_way():
    code, output = concord("check")
    assert code == 0, output
    assert "orders_to_erp" in output
    assert "shopify, wholesale -> us -> tryton" in " ".join(output.split()).replace("tier 1, live ", "")
    assert f"{len(load_map().flows)} of them firm; 0 errors" in output


def test_check_ends_with_1_when_the_map_has_errors(tmp_path: Path):
    draft = Draft(tmp_path)
    del draft.entities["orders"]["flows"]["orders_to_erp"]["on_failure"]
    code, output = concord("check", "--map", str(draft.write()))
    assert code == 1
    assert "error map/entities/orders.yaml: flows.orders_to_erp.on_failure: nothing says what happens" in output
    code, output = concord("check", "--json", "--map", str(tmp_path))
    assert code == 1
    told = json.loads(output)
    finding = next(one for one in told["findings"] if one["severity"] == "error")
    assert finding["rule"] == "flows_out_have_a_failure_rule"
    assert finding["flows"] == ["orders_to_erp"]
    assert [flow["flow"] for flow in told["flows"] if not flow["is_firm"]] == ["orders_to_erp"]


def test_a_map_that_cannot_be_read_is_one_sentence(tmp_path: Path):
    folder = Draft(tmp_path).write()
    (folder / "systems" / "tryton.yaml").write_text("system: tryton\n\trole: erp\nsteward: team:finance\n")
    code, output = concord("check", "--map", str(folder))
    assert code == 1
    assert output.startswith("Error: map/systems/tryton.yaml: line 2: ")
    assert len(output.splitlines()) == 1


def test_a_dead_database_is_one_sentence():
    engine = sa.create_engine("postgresql+psycopg://nobody@127.0.0.1:1/concord")
    with pytest.raises(sa.exc.OperationalError) as refused:
        engine.connect()
    code, output = told_when(refused.value)
    assert code == 2
    assert output.startswith("Error: the database does not answer (")
    assert "start it with `concord run`, or mend CONCORD_DATABASE_URL" in output
    with pytest.raises(psycopg.OperationalError) as also_refused:
        psycopg.connect("postgresql://nobody@127.0.0.1:1/concord")
    assert told_when(also_refused.value)[0] == 2


def test_a_port_in_use_is_one_sentence():
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(OSError) as refused:  # noqa: PT011  any
        socket.create_server(taken.getsockname())
    code, output = told_when(refused.value)
    assert code == 2
    assert "a port is in use" in output
    assert "CONCORD_<NAME>_PORT" in output


def test_a_fault_of_ours_keeps_its_trace():
    with pytest.raises(KeyError):
        told_when(KeyError("orders"))


def test_the_landscape_shows_every_system_entity_and_flow(tmp_path: Path):
    code, output = concord("map", "--svg", str(tmp_path / "map.svg"))
    assert code == 0, output
    told = load_map()
    shown = _texts(tmp_path / "map.svg")
    assert {*told.systems, *told.flows} <= shown
    assert all(any(text.startswith(root.entity) for text in shown) for root in told.roots)


def test_an_orders_journey_has_a_lane_for_each_channel(tmp_path: Path):
    code, output = concord("map", "--svg", str(tmp_path / "orders.svg"), "--journey", "orders")
    assert code == 0, output
    lanes = {"shopify", "wholesale", "Concord", "tryton", "warehouse"}
    assert {*lanes, "orders_to_erp", "despatch_to_storefront"} <= _texts(tmp_path / "orders.svg")


def test_the_map_can_be_read_without_a_picture():
    code, output = concord("map")
    assert code == 0
    assert "  orders_to_erp: shopify, wholesale -> us -> tryton (near realtime, 2m)\n" in output
    code, output = concord("map", "--journey", "refunds", "--svg", "x.svg")
    assert code == 2
    assert "there is no entity 'refunds'; name one of" in output


def _texts(path: Path) -> set[str]:
    return {element.text for element in ElementTree.parse(path).iter() if element.tag.endswith("text")}

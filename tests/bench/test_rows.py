"""What is declared fits together: rows, families, engines, bars."""

import importlib.machinery
import importlib.util
import subprocess
import types

import pytest

import engines
import results
import rules
import targets
from conftest import ROOT
from rows import families
from rows.row import LESS, Row


def load(name):
    loader = importlib.machinery.SourceFileLoader(name, str(ROOT / "bench" / name))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(name, loader))
    loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def run():
    return load("run")


def all_rows(run):
    return [row for group in run.GROUPS for row in group.rows]


def test_rows_have_names_of_their_own(run):
    names = [row.name for row in all_rows(run)]
    assert len(names) == len(set(names))


def test_rows_of_a_family_share_a_unit_and_have_a_title(run):
    units = {}
    for row in [*all_rows(run), *load("instructions").rows()]:
        assert row.family in families.TITLES
        assert units.setdefault(row.family, row.unit) == row.unit, row


def test_quick_rows_exist(run):
    for group in run.GROUPS:
        assert set(group.quick) <= {row.name for row in group.rows}


def test_bars_name_rows_and_engines_that_exist(run):
    names = {row.name for row in [*all_rows(run), *load("instructions").rows()]}
    known = {*engines.known("build", {"PASTA": "pasta"}), targets.SCENARIO, targets.SCENARIO_RULES}
    for bar in targets.BARS:
        assert bar.row in names, bar
        assert not bar.against_row or bar.against_row in names, bar
        assert {bar.ours, *bar.against} <= known, bar


def test_rules_are_as_many_as_asked_for_and_reach_the_server():
    for count in 20, rules.COUNT:
        allow, block = rules.mix("198.51.100.2", count)
        assert len({*allow, *block}) == len(allow) + len(block) == count
        assert allow[-1] == "198.51.100.2/32" and "198.51.100.0/24" in block


def test_rules_are_held_to_what_it_costs_without():
    found = result_of(instr_connection=(LESS, {targets.SCENARIO: [1000], targets.SCENARIO_RULES: [1049]}))
    assert state(found, "instructions with 1,000 rules, a short connection") == targets.REACHED
    found.put("instr-connection", targets.SCENARIO_RULES, 0, 1051)
    assert state(found, "instructions with 1,000 rules, a short connection") == targets.MISSED


def test_every_group_has_an_engine(run):
    known = engines.known("build", {}).values()
    for group in run.GROUPS:
        assert any(group.kind == engine.kind for engine in known)


@pytest.mark.parametrize(("options", "expected"), [
    ({"rows": "start-ready"}, {"start-ready"}),
    ({"rows": "tcp-*-1-mtu1500,start-ready"}, {"start-ready", "tcp-up-1-mtu1500", "tcp-down-1-mtu1500"}),
])
def test_rows_are_chosen_by_pattern(run, options, expected):
    chosen = types.SimpleNamespace(quick=False, **options)
    assert set().union(*run.chosen_rows(chosen).values()) == expected


def test_no_row_is_called_so(run):
    with pytest.raises(run.process.Failure, match="no row is called nonsense"):
        run.chosen_rows(types.SimpleNamespace(quick=False, rows="nonsense"))


def test_quick_takes_its_own_rows(run):
    chosen = run.chosen_rows(types.SimpleNamespace(quick=True, rows=None))
    assert set().union(*chosen.values()) == {name for group in run.GROUPS for name in group.quick}


def test_quick_stops_when_the_next_round_would_be_late(run):
    clock = run.Clock(100)
    clock.spent = lambda: 60
    assert clock.allows_round(0)
    assert not clock.allows_round(1)
    assert clock.allows_round(2)
    assert not clock.over()


def test_the_list_needs_nothing():
    done = subprocess.run([ROOT / "bench/run", "--list"], check=True, text=True, capture_output=True)
    assert "tcp-up-1-mtu1500" in done.stdout and "slirp4netns" in done.stdout


# --- bars ----------------------------------------------------------------------------------------

def result_of(**rows):
    """row=(better, {engine: values})"""
    found = results.Results()
    for name, (better, values) in rows.items():
        name = name.replace("_", "-")
        found.add_row(Row(name, "tcp", name, "x", better))
        for engine, numbers in values.items():
            found.engines.setdefault(engine, {})
            for number, value in enumerate(numbers):
                found.put(name, engine, number, value)
    return found


def state(found, what):
    [verdict] = [verdict for verdict in targets.verdicts(found) if verdict.bar.what.startswith(what)]
    return verdict.state


def test_a_bar_takes_the_best_of_its_peers():
    row = {"ours": [10], "pasta": [9], "slirp4netns": [2]}
    found = result_of(tcp_up_1_mtu65520=("more", row))
    assert state(found, "TCP up, MTU 65520") == targets.REACHED
    found.put("tcp-up-1-mtu65520", "gvproxy", 0, 11)
    assert state(found, "TCP up, MTU 65520") == targets.MISSED


def test_a_bar_may_name_another_row():
    found = result_of(cpu_down_1_mtu1500=(LESS, {"ours": [0.6]}),
                      cpu_down_1_mtu65520=(LESS, {"pasta": [0.65], "ours": [0.1]}))
    assert state(found, "engine CPU down") == targets.REACHED
    assert state(found, "engine CPU up") == targets.UNKNOWN


def test_four_of_five_rounds():
    found = result_of(rr_tcp_p50=(LESS, {"ours": [9, 9, 9, 9, 30], "pasta": [10, 10, 10, 10, 10],
                                         "pasta-new": [10, 10, 10, 9, 10]}))
    assert state(found, "TCP request and response: 0.95 x pasta's") == targets.REACHED
    assert state(found, "TCP request and response: 0.95 x pasta-new's") == targets.MISSED
    found.put("rr-tcp-p50", "ours", 0, 9.6)
    assert state(found, "TCP request and response: 0.95 x pasta's") == targets.MISSED


def test_the_slower_back_end_is_held_to_the_faster():
    found = result_of(tcp_down_1_mtu1500=("more", {"ours-kept": [6.9], "ours-peek": [10]}))
    assert state(found, "TCP down, MTU 1500, ours-kept") == targets.MISSED
    assert state(found, "TCP down, MTU 1500, ours-peek") == targets.REACHED


def test_p99_under_load_is_held_to_the_kernels_own_ratio():
    found = result_of(rr_udp_p99=(LESS, {"ours": [20], "kernel": [10]}),
                      rr_udp_p99_load_up=(LESS, {"ours": [100], "kernel": [20]}))
    assert state(found, "UDP p99 while a flow goes up") == targets.REACHED
    found.put("rr-udp-p99-load-up", "ours", 0, 130)
    assert state(found, "UDP p99 while a flow goes up") == targets.MISSED

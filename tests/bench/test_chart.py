import re
import xml.etree.ElementTree as tree

import pytest

import chart
import results
from rows.row import LESS, Row

SVG = "{http://www.w3.org/2000/svg}"


def texts(root):
    return [element.text for element in root.iter(f"{SVG}text")]


def test_is_well_formed_and_says_everything(measured):
    root = tree.fromstring(chart.family(measured, "tcp"))
    words = texts(root)
    assert root.tag == f"{SVG}svg"
    assert root.find(f"{SVG}title").text == "TCP throughput"
    assert "TCP up & away <fast>" in words
    assert {"kernel", "ours", "pasta"} <= set(words)
    assert any("Gbit/s" in word and "more is better" in word for word in words)
    assert {"12.0", "8.50", "0.50"} <= set(words)


def test_bars_are_as_long_as_their_values(measured):
    root = tree.fromstring(chart.family(measured, "tcp"))
    bars = [float(rect.get("width")) for rect in root.iter(f"{SVG}rect")
            if rect.get("height") == str(chart.BAR)]
    assert len(bars) == 3
    assert bars[0] / bars[1] == pytest.approx(12 / 8.5, rel=0.01)


def test_nothing_is_drawn_outside(measured):
    for family in measured.families():
        root = tree.fromstring(chart.family(measured, family))
        width, height = float(root.get("width")), float(root.get("height"))
        for rect in root.iter(f"{SVG}rect"):
            assert float(rect.get("x", 0)) + float(rect.get("width")) <= width
            assert float(rect.get("y", 0)) + float(rect.get("height")) <= height
        for path in root.iter(f"{SVG}path"):
            assert max(map(float, re.findall(r"[MH]([\d.]+)", path.get("d")))) <= width


def test_a_range_is_drawn_only_where_there_is_one(measured):
    one_round = chart.family(measured, "latency")
    assert 'stroke="#1a1a1a"' not in one_round
    assert 'stroke="#1a1a1a"' in chart.family(measured, "tcp")


def test_far_apart_values_get_a_logarithmic_scale(measured):
    assert "logarithmic" in chart.family(measured, "latency")
    assert "logarithmic" not in chart.family(measured, "tcp")


@pytest.mark.parametrize("values", [[0.0], [0.0, 0.0], [1e-9], [1e12], [0.0, 5.0]])
def test_odd_values(values):
    found = results.Results()
    found.add_engine("an engine <of> nobody's", "", "")
    found.add_row(Row("row", "udp-loss", "row", "%", LESS))
    for number, value in enumerate(values):
        found.put("row", "an engine <of> nobody's", number, value)
    tree.fromstring(chart.family(found, "udp-loss"))


@pytest.mark.parametrize("most", [0.003, 0.9, 1, 7, 46.1, 100, 123456])
def test_the_scale_has_round_steps_and_room(most):
    axis = chart.Linear(most)
    assert axis.ticks[-1] >= most
    assert 4 <= len(axis.ticks) <= 10
    assert axis.share(most) <= 1


def test_engines_have_colours_of_their_own():
    names = ["kernel", "ours", "pasta", "one", "two"]
    assert len(set(chart.colours(names).values())) == len(names)

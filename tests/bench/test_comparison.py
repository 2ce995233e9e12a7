import copy
import subprocess

import pytest

import comparison
from conftest import ROOT


def summary(median, least=None, greatest=None, rounds=1):
    return {"median": median, "min": least or median, "max": greatest or median, "rounds": rounds}


@pytest.mark.parametrize(("old", "new", "better", "expected"), [
    (summary(100), summary(104), "less", comparison.WORSE),
    (summary(100), summary(104), "more", comparison.BETTER),
    (summary(100), summary(96), "less", comparison.BETTER),
    (summary(100), summary(102), "less", comparison.SAME),
    (summary(100), summary(100), "less", comparison.SAME),
    (summary(0), summary(1), "less", comparison.WORSE),
    (summary(0), summary(0), "less", comparison.SAME),
    (summary(100, 80, 120, 5), summary(118), "less", comparison.SAME),
    (summary(100, 80, 120, 5), summary(121), "less", comparison.WORSE),
])
def test_judge(old, new, better, expected):
    assert comparison.judge(old, new, better, 3)[1] == expected


def test_only_ours_is_judged_unless_asked(measured):
    moves, lost = comparison.compare(measured, measured, 3)
    assert [(move.row, move.engine) for move in moves] == [("tcp-up", "ours"), ("rr-p50", "ours")]
    assert not lost
    moves, _ = comparison.compare(measured, measured, 3, engines=("*",))
    assert len(moves) == 5


def test_what_is_gone_is_told(measured):
    new = copy.deepcopy(measured)
    del new.values["rr-p50"]["ours"]
    moves, lost = comparison.compare(measured, new, 3)
    assert lost == [("rr-p50", "ours")]
    assert len(moves) == 1


def run(*argv):
    return subprocess.run([ROOT / "bench/compare", *argv], check=False, text=True, capture_output=True)


def test_the_program(measured, tmp_path):
    old, new = tmp_path / "old.json", tmp_path / "new.json"
    old.write_text(measured.as_json())
    measured.put("rr-p50", "ours", 0, 26500.0)
    new.write_text(measured.as_json())
    worse = run(old, new)
    assert worse.returncode == 1
    assert "rr-p50" in worse.stdout and "+6.0 %" in worse.stdout and "1 worse" in worse.stdout
    assert run(old, new, "--threshold", "7").returncode == 0
    assert run(old, new, "--rows", "tcp-*").returncode == 0
    assert run(new, old).returncode == 0
    assert run(old, tmp_path / "none").returncode == 64
    (tmp_path / "odd").write_text("{}")
    assert run(old, tmp_path / "odd").returncode == 64

import pytest

import report
import results


@pytest.mark.parametrize(("value", "expected"), [
    (None, "-"), (0, "0.00"), (0.0004, "0.0004"), (0.5, "0.50"), (12.34, "12.3"), (123.4, "123"),
    (12345.6, "12,346"),
])
def test_number(value, expected):
    assert report.number(value) == expected


def test_every_engine_has_its_ratio_to_every_other(measured):
    lines = report.row_lines(measured, "tcp-up")
    assert lines[0].split()[-3:] == ["/kernel", "/ours", "/pasta"]
    assert lines[1].split() == ["kernel", "12.0", "10.0", "14.0", "3", "1.00", "1.41", "24.00"]
    assert lines[2].split() == ["ours", "8.50", "8.00", "9.00", "2", "(1", "failed)", "0.71", "1.00", "17.00"]


def test_text_says_what_was_skipped_and_what_failed(measured):
    text = report.text(measured)
    assert "engine gvproxy: skipped, it is not installed" in text
    assert "ours, bulk, round 2: it stalled" in text
    assert "net.ipv4.tcp_rmem = 4096 131072 6291456" in text
    assert "never measured" not in text


def test_text_of_nothing():
    assert report.text(results.Results()) == "\n"

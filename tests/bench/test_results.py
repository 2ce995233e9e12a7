import json

import pytest

import results


def test_written_and_read_again(measured):
    again = results.load(measured.as_json())
    assert again.as_json() == measured.as_json()
    assert again.summary("tcp-up", "ours") == {"median": 8.5, "min": 8, "max": 9, "rounds": 2}


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": 99}', "1"])
def test_what_is_none_of_ours_is_refused(text):
    with pytest.raises(ValueError):
        results.load(text)


def test_rounds_keep_their_places(measured):
    measured.put("rr-p50", "pasta", 2, 5)
    assert measured.of("rr-p50", "pasta") == [None, None, 5]


def test_a_failed_round_counts_where_there_are_values(measured):
    measured.fill(["tcp-up", "rr-p50", "never"], "ours", 3)
    measured.fill(["tcp-up"], "ours", 1)
    assert measured.of("tcp-up", "ours") == [9, None, 8, None]
    assert measured.of("rr-p50", "ours") == [25000.0, None, None, None]
    assert measured.of("never", "ours") == []


def test_families_have_only_rows_with_values(measured):
    assert measured.families() == {"tcp": ["tcp-up"], "latency": ["rr-p50"]}


def test_a_failed_value_is_null(measured):
    assert json.loads(measured.as_json())["values"]["tcp-up"]["ours"] == [9, None, 8]

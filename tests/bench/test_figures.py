import pytest

import figures


@pytest.mark.parametrize(("values", "expected"), [
    ([3], 3), ([3, 1], 2), ([5, 1, 3], 3), ([4, 1, 3, 2], 2.5), ([-1, -1, 7], -1),
])
def test_median(values, expected):
    assert figures.median(values) == expected


def test_median_of_nothing_is_an_error():
    with pytest.raises(ValueError):
        figures.median([])


def test_summary_leaves_failed_rounds_out():
    assert figures.summary([4, None, 2]) == {"median": 3, "min": 2, "max": 4, "rounds": 2}
    assert figures.summary([None, None]) is None
    assert figures.summary([]) is None


@pytest.mark.parametrize(("values", "expected"), [
    ([5, 5, 5, 5], 1.0), ([8, 0, 0, 0], 0.25), ([1, 1, 0, 0], 0.5), ([0, 0], 0.0), ([3], 1.0),
])
def test_fairness_is_jains_index(values, expected):
    assert figures.fairness(values) == pytest.approx(expected)


def test_ratio_needs_a_reference():
    assert figures.ratio(6, 3) == 2
    assert figures.ratio(6, 0) is None
    assert figures.ratio(None, 3) is None


class Path:
    """Passes up to a rate; its sender cannot do more than another."""

    def __init__(self, limit, sender=1e9):
        self.limit, self.sender, self.tried = limit, sender, []

    def __call__(self, rate):
        self.tried.append(rate)
        reached = min(rate, self.sender)
        return reached <= self.limit, reached if reached <= self.limit else 0.0


@pytest.mark.parametrize("limit", [900, 39_000, 41_000, 60_000, 177_000, 1_999_000])
def test_highest_rate_finds_the_limit(limit):
    path = Path(limit)
    found = figures.highest_rate(path, 40_000, 2_000_000, 0.06)
    assert limit / 1.06 <= found <= limit
    assert len(path.tried) < 20


def test_highest_rate_is_what_the_sender_can_do():
    path = Path(limit=1e9, sender=100_000)
    assert figures.highest_rate(path, 40_000, 2_000_000, 0.06) == 100_000
    assert path.tried == [40_000, 80_000, 160_000]


def test_highest_rate_ends_at_the_most():
    path = Path(limit=1e9)
    assert figures.highest_rate(path, 40_000, 100_000, 0.06) == 100_000


def test_highest_rate_of_a_dead_path_is_0():
    path = Path(limit=0)
    assert figures.highest_rate(path, 40_000, 2_000_000, 0.06) == 0
    assert len(path.tried) < 12

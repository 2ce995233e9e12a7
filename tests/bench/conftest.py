"""The pure parts of bench/, and its probes over loopback.

    /usr/bin/python3 -m pytest tests/bench [--probes DIR]

DIR holds the probes as meson builds them with -Dbench=true (BUILD/bench/probe); without it their tests are
skipped.
"""

import pathlib
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "bench"))

import results  # noqa: E402
from rows.row import LESS, MORE, Row  # noqa: E402


def pytest_addoption(parser):
    parser.addoption("--probes", help="folder of the probes")


@pytest.fixture
def probes(request):
    folder = request.config.getoption("--probes")
    if not folder:
        pytest.skip("no --probes: they are built with -Dbench=true")
    return pathlib.Path(folder)


@pytest.fixture
def measured():
    """Three engines, two families, a round that failed and a value that nobody has."""
    found = results.Results()
    found.machine = {"kernel": "6.1", "sysctls": {"net.ipv4.tcp_rmem": "4096 131072 6291456"}}
    for name in ("kernel", "ours", "pasta"):
        found.add_engine(name, f"the engine {name}", "1.0")
    found.add_row(Row("tcp-up", "tcp", "TCP up & away <fast>", "Gbit/s", MORE))
    found.add_row(Row("rr-p50", "latency", "request and response", "us", LESS))
    found.add_row(Row("never", "tcp", "never measured", "Gbit/s", MORE))
    for engine, values in {"kernel": [10, 12, 14], "ours": [9, None, 8], "pasta": [0.5, 1.0, 0.25]}.items():
        for number, value in enumerate(values):
            found.put("tcp-up", engine, number, value)
    found.put("rr-p50", "kernel", 0, 16.5)
    found.put("rr-p50", "ours", 0, 25000.0)
    found.fail("ours", "bulk", 1, "it stalled")
    found.skipped["gvproxy"] = "it is not installed"
    return found

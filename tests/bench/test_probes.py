"""The probes themselves, over loopback, and the relay between namespaces of the test's own."""

import contextlib
import errno
import json
import os
import socket
import subprocess
import time

import pytest

import process
import topology
from engines import engine
from engines.virtio import OursVirtio
from namespace import Namespace, join


def free_port():
    with contextlib.closing(socket.socket(socket.AF_INET6)) as probe:
        probe.bind(("::", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def server(probes, name, *options):
    port = free_port()
    started = process.Process([probes / f"bench-{name}", "--server", "--port", port, "--limit", 20, *options])
    try:
        assert json.loads(started.line(5)) == {"ready": port}
        yield port
    finally:
        started.release()


def ask(probes, name, *argv):
    return process.ask([probes / f"bench-{name}", *map(str, argv)], 10)


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
@pytest.mark.parametrize("options", [[], ["--udp"], ["--size", 1000], ["--udp", "--size", 1000]])
def test_rr(probes, address, options):
    with server(probes, "rr") as port:
        found = ask(probes, "rr", address, "--port", port, "--seconds", 0.5, "--warm-up", 0.01, *options)
    assert found["exchanges"] > 0 and found["unanswered"] == 0
    assert 0 < found["p50_us"] <= found["p90_us"] <= found["p99_us"] <= found["max_us"]


def test_rr_counts_what_is_not_answered(probes):
    with contextlib.closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as silent:
        silent.bind(("127.0.0.1", 0))
        found = ask(probes, "rr", "127.0.0.1", "--port", silent.getsockname()[1], "--udp", "--seconds", 0.2,
                    "--warm-up", 0)
    assert found["exchanges"] == found["unanswered"] == 1
    assert found["p50_us"] > 50_000


@pytest.mark.parametrize("parallel", [1, 16])
def test_connect(probes, parallel):
    with server(probes, "connect") as port:
        found = ask(probes, "connect", "127.0.0.1", "--port", port, "--seconds", 0.5, "--parallel", parallel)
    assert found["connections"] > 0 and found["failed"] == 0


def test_connect_counts_failures(probes):
    found = ask(probes, "connect", "127.0.0.1", "--port", free_port(), "--seconds", 0.5)
    assert found["connections"] == 0 and found["failed"] > 0
    assert found["failure"] == os.strerror(errno.ECONNREFUSED)


@pytest.mark.parametrize("direction", [[], ["--down"]])
def test_udp(probes, direction):
    with server(probes, "udp") as port:
        found = ask(probes, "udp", "127.0.0.1", "--port", port, "--seconds", 0.5, "--rate", 1000, "--size", 64,
                    *direction)
    assert 0 < found["received"] <= found["sent"] <= 520
    assert found["loss_percent"] == pytest.approx(100 * (1 - found["received"] / found["sent"]), abs=0.001)


def test_udp_starts_each_run_at_0(probes):
    with server(probes, "udp") as port:
        sent = [ask(probes, "udp", "127.0.0.1", "--port", port, "--seconds", 0.05, "--rate", 2000)["received"]
                for _ in range(2)]
    assert max(sent) <= 110


def test_idle_holds_until_its_input_ends(probes):
    with server(probes, "idle") as port:
        client = process.Process([probes / "bench-idle", "127.0.0.1", "--port", port, "--count", 200,
                                  "--limit", 20], stdin=subprocess.PIPE)
        try:
            assert json.loads(client.line(5))["open"] == 200
            assert client.running()
            client.child.stdin.close()
            assert client.child.wait(5) == 0
        finally:
            client.release()


def test_a_server_ends_by_itself(probes):
    started = process.Process([probes / "bench-rr", "--server", "--port", free_port(), "--limit", 0.05])
    with pytest.raises(process.Failure, match="the time limit is over"):
        started.finish(5)
    started.release()


@pytest.mark.parametrize("name", ["rr", "connect", "udp", "idle", "relay", "wire"])
def test_usage(probes, name):
    program = probes / f"bench-{name}"
    assert "Example" in subprocess.run([program, "--help"], check=True, text=True, capture_output=True).stdout
    bad = subprocess.run([program, "--limit", "soon"], check=False, text=True, capture_output=True)
    assert bad.returncode == 64 and 'invalid value "soon" for --limit' in bad.stderr


def test_not_an_address(probes):
    bad = subprocess.run([probes / "bench-rr", "nowhere"], check=False, text=True, capture_output=True)
    assert bad.returncode == 1 and '"nowhere" is not an IP address' in bad.stderr


def test_relay_delays(probes):
    if os.geteuid() != 0:
        pytest.skip("needs root: it makes network namespaces")
    near, path, far = (Namespace(f"test-{role}") for role in ("near", "path", "far"))
    with contextlib.ExitStack() as stack:
        for namespace in (near, path, far):
            stack.callback(namespace.destroy)
            namespace.create()
        join(near, "n0", path, "p0")
        join(path, "p1", far, "f0")
        near.ip("address add 198.51.100.1/24 dev n0")
        far.ip("address add 198.51.100.2/24 dev f0")
        relay = process.Process(path.argv(probes / "bench-relay", "p0", "p1", "--delay-ms", 20, "--limit", 20))
        stack.callback(relay.release)
        relay.line(5)
        listener = far.socket(socket.AF_INET, socket.SOCK_STREAM)
        client = near.socket(socket.AF_INET, socket.SOCK_STREAM)
        stack.enter_context(listener)
        stack.enter_context(client)
        listener.bind(("198.51.100.2", 7))
        listener.listen()
        client.settimeout(5)
        client.connect(("198.51.100.2", 7))  # ARP first, so only what comes next is timed
        connection, _ = listener.accept()
        stack.enter_context(connection)
        start = time.monotonic()
        client.sendall(bytes(300_000))
        received = 0
        while received < 300_000:
            received += len(connection.recv(65536))
        assert time.monotonic() - start >= 0.02
        relay.child.terminate()
        assert relay.child.wait(5) == 0
        counts = [json.loads(relay.line(1)) for _ in range(2)]
    assert counts[0]["from"] == "p0" and counts[0]["passed"] > 3
    assert counts[0]["dropped"] == counts[0]["refused"] == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="namespaces need root")
def test_guest_by_virtqueues(probes):
    """Small frames and super-frames, both ways, through bench-network and bench-virtio."""
    with topology.Topology(probes) as made:
        made.serve(made.server, "rr", "connect")
        with engine.run(OursVirtio(probes.parent.parent), made, 1500):
            for name, options in (("connect", []), ("rr", []), ("rr", ["--size", 16384])):
                argv = [probes / f"bench-{name}", topology.SERVER, "--port", topology.PORTS[name],
                        "--seconds", "0.3", *options]
                found = process.ask(made.guest.argv(*argv), 10)
                assert found.get("connections", 0) + found.get("exchanges", 0) > 10, (name, found)
                assert found.get("failed", 0) == found.get("unanswered", 0) == 0, (name, found)

"""`tartlet run` built with ThreadSanitizer, with the real guest: its main thread, the network's and the
control server's meet in every command here, and none of it is a data race. ./check builds it."""

import concurrent.futures
import json
import os
import pathlib
import signal

import pytest
from lab import pattern, servers, topology
from lab.guest import answers
from lab.tartlet import qemu_pids

SPECS = ["0:2", "0:7", "0:53/udp"]


@pytest.fixture(scope="module")
def sanitized(request):
    path = pathlib.Path(request.config.getoption("--tsan-dir")) / "src/cli/tartlet"
    if not path.exists():
        pytest.skip(f"{path} is not there: ./check builds it")
    assert b"__tsan_init" in path.read_bytes(), f"{path} is not built with ThreadSanitizer"
    return path.resolve()


class Watched:
    """A tartlet whose processes write what ThreadSanitizer finds to files."""

    def __init__(self, tartlet, reports):
        self.tartlet = tartlet
        self.reports = reports
        tartlet.environment["TSAN_OPTIONS"] = f"log_path={reports}/report"

    def assert_ends(self, running, expect):
        """With its own exit code, and nothing reported by it or by any command."""
        code = running.wait()
        assert [path.read_text() for path in self.reports.glob("report*")] == []
        assert code == expect, running.output


@pytest.fixture
def watched(homes, sanitized, tmp_path, guest):
    tartlet = homes.tartlet()
    tartlet.program = sanitized
    made = Watched(tartlet, tmp_path)
    tartlet.create("watched", guest)
    yield made
    tartlet.stop_all()


def counters(tartlet):
    """What the control server says of the network, which its own thread has to be asked for."""
    socket = tartlet.home / "vms/watched/control.sock"
    return json.loads(tartlet.namespace.run("curl", "-sS", "--max-time", "100", "--unix-socket", socket,
                                            "http://vm/v1/statistics").stdout)


def churn(tartlet, number):
    """Forwards come and go, while others list them, ask for the state, and send through them."""
    for _ in range(3):
        port = 25000 + number
        tartlet.command("forward", "add", "watched", f"{port}:7,{port}:53/udp")
        assert port in [forward["externalPort"] for forward in tartlet.json("forward", "list", "watched")]
        assert tartlet.json("get", "watched")["State"] == "running"
        assert answers(tartlet.namespace, "127.0.0.1", port)[0] == b"hello"
        assert counters(tartlet)["framesToGuests"] > 0
        assert tartlet.command("ip", "watched", "--resolver", "arp").stdout
        tartlet.command("forward", "remove", "watched", f"{port}:7,{port}:53/udp")


def traffic(lab, running):
    """The network's thread is kept busy: there and back to a server, and by a ping socket."""
    count = 10_000_000
    with servers.TcpEcho(lab.server) as echo:
        said = running.agent().run(f"pattern {count} 3 | tcp-ask {topology.SERVER} {echo.port} | sha256sum && "
                                   f"ping -c 2 -W 30 {topology.SERVER}")
    assert said.split()[0] == pattern.sha256(count, 3)
    assert "2 packets received" in said


@pytest.mark.parametrize("attach", ["stream", "vhost-user"])
def test_commands_on_a_running_vm(lab, watched, attach):
    tartlet = watched.tartlet
    running = tartlet.run("watched", "--net-attach", attach, "--net-pcap", tartlet.home / "watched.pcapng",
                          expose=SPECS)
    running.up()
    assert tartlet.command("ip", "watched", "--wait", 100).stdout.strip() == running.address
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        jobs = [pool.submit(churn, tartlet, number) for number in range(3)]
        jobs.append(pool.submit(traffic, lab, running))
        for job in jobs:
            job.result()
    tartlet.command("stop", "watched")
    watched.assert_ends(running, 0)


def test_qemu_ends_by_itself(watched):
    """The network's thread finds that its guest has left while the main thread reaps QEMU."""
    running = watched.tartlet.run("watched", expose=SPECS)
    [qemu] = qemu_pids(running.pids())
    os.kill(qemu, signal.SIGKILL)
    watched.assert_ends(running, 1)


def test_stopped_while_clients_come(watched):
    """The control server and the forwards are in use when it all ends."""
    tartlet = watched.tartlet
    running = tartlet.run("watched", expose=SPECS)
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        asked = [pool.submit(tartlet.command, "get", "watched", "--format", "json", expect=None)
                 for _ in range(6)]
        running.process.send_signal(signal.SIGTERM)
        running.wait()
        for job in asked:
            done = job.result()
            assert done.returncode in (0, 1, 2), done.stderr
            assert done.returncode != 0 or json.loads(done.stdout)["State"] in ("running", "stopped")
    watched.assert_ends(running, 0)

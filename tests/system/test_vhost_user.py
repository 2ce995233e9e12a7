"""vhost-user with front ends of others: DPDK's virtio_user, and QEMU 10 with the real guest. The socket
listens, and serves one front end after the other, also where one was killed."""

import contextlib
import json
import pathlib
import shutil
import signal
import socket
import subprocess
import sys

import pytest
from lab import pattern, report, servers, topology
from lab.guest import GuestAgent
from lab.waiting import until

HELPER = pathlib.Path(__file__).resolve().parent / "lab/vhost_network.py"
MAC = "02:00:00:00:00:01"
BYTES = 100_000_000


class VhostNetwork:
    """lab/vhost_network.py in the host's namespace."""

    def __init__(self, lab, program, folder, *options):
        library = pathlib.Path(program).parents[1] / "network/libvmnet.so"
        self.path = folder / "vhost.sock"
        self.process = lab.host.popen("/usr/bin/python3", HELPER, library, self.path, folder, MAC,
                                      *options, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout.readline() == "ready\n"

    def log(self):
        return (self.path.parent / "log").read_text(encoding="utf-8")

    def ask(self, *words):
        print(*words, file=self.process.stdin, flush=True)
        return json.loads(self.process.stdout.readline())

    def end(self):
        self.process.stdin.close()
        assert self.process.wait(100) == 0


@contextlib.contextmanager
def vhost_network(lab, program, scratch, name, *options):
    folder = scratch / name
    folder.mkdir(mode=0o700)
    network = VhostNetwork(lab, program, folder, *options)
    try:
        yield network
    finally:
        with contextlib.suppress(BrokenPipeError):
            network.process.stdin.close()
        try:
            assert network.process.wait(100) == 0
        finally:
            network.process.kill()


# --- DPDK -----------------------------------------------------------------------------------


@contextlib.contextmanager
def packet_mill(lab, network, mode):
    """DPDK's packet mill behind its vhost-user front end; its memory is not sealed."""
    command = ["dpdk-testpmd", "--no-huge", "-m", "128", "--no-pci", "--single-file-segments", "--no-telemetry",
               "--file-prefix", f"tartlet-{network.process.pid}", "-l", "0-1",
               "--vdev", f"net_virtio_user0,mac={MAC},path={network.path},queues=1",
               "--", f"--forward-mode={mode}", "--total-num-mbufs=2048", "-a"]
    # Its input stays open: at the end of that it would stop.
    process = lab.host.popen(*command, stdin=subprocess.PIPE, stdout=sys.stderr, stderr=sys.stderr)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def dpdk(lab, program, scratch):
    assert shutil.which("dpdk-testpmd"), "package dpdk-dev is missing"
    with vhost_network(lab, program, scratch, "dpdk", "--unsealed") as network:
        yield network


def address_of_guest(network):
    return network.ask("source").rsplit(".", 1)[0] + ".77"


@pytest.mark.parametrize("how", ["first", "after SIGKILL"])
def test_dpdk_answers(lab, dpdk, how):
    """Frames both ways, of every size; the second front end comes after the first was killed."""
    address = address_of_guest(dpdk)
    with packet_mill(lab, dpdk, "icmpecho"):
        until(lambda: dpdk.ask("arp", address, 1) == MAC, 150, f"DPDK's answer ({how})")
        for size in (0, 1, 46, 500, 1472):
            assert dpdk.ask("echo", MAC, address, 500, size) == 500, size


def test_dpdk_floods(lab, dpdk):
    """As much as it can send, to nobody: everything is dropped and counted, and the others go on."""
    before = dpdk.ask("stats")["dropped"]
    with packet_mill(lab, dpdk, "txonly"):
        until(lambda: dpdk.ask("stats")["dropped"] > before + 100_000, 150, "100,000 frames of DPDK's")
        assert dpdk.ask("arp", gateway_of(dpdk)) is not None


def gateway_of(network):
    return network.ask("source").rsplit(".", 1)[0] + ".1"


def test_dpdk_is_refused_unless_trusted(lab, program, scratch):
    """Its memory may shrink."""
    with vhost_network(lab, program, scratch, "sealed") as network:
        with packet_mill(lab, network, "txonly"):
            until(lambda: "F_SEAL_SHRINK" in network.log(), 150, "the refusal")
        assert network.ask("arp", gateway_of(network)) is not None
        statistics = network.ask("stats")
        assert statistics["ports"] == 2
        assert statistics["frames_from_guests"] < 100  # the neighbour's


# --- QEMU -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def qemu_network(lab, dns, program, scratch):
    with vhost_network(lab, program, scratch, "qemu", "--forwards") as network:
        yield network


@contextlib.contextmanager
def qemu(lab, network, guest, program, folder, *more):
    """A guest of 512 MB at the network; kills it at the end. Where a test fails, its console is told."""
    memory = 512
    command = [program / "qemu-system-x86_64", "-nodefaults", "-no-user-config", "-machine", "q35,memory-backend=mem",
               "-object", f"memory-backend-memfd,id=mem,size={memory}M,share=on", "-m", f"{memory}M",
               "-accel", "tcg,thread=single", "-cpu", "max", "-smp", "2", "-display", "none",
               "-kernel", guest["vmlinux"], "-initrd", guest["initrd"], "-append", "console=ttyS0 loglevel=5 no_timer_check",
               "-chardev", f"socket,id=c,path={network.path}", "-netdev", "vhost-user,id=n,chardev=c",
               "-device", f"virtio-net-pci,netdev=n,mac={MAC},romfile=,rx_queue_size=1024,"
               "tx_queue_size=1024", "-device", "virtio-rng-pci",
               "-serial", f"file:{folder}/console", "-qmp", f"unix:{folder}/qmp.sock,server=on,wait=off", *more]
    process = lab.host.popen(*command, stdin=subprocess.DEVNULL, stdout=sys.stderr, stderr=sys.stderr)
    try:
        yield process
    except BaseException:
        print(report.chapters(("the guest's console", report.tail(report.read(folder / "console"))),
                              ("processes", report.processes([process.pid])), ("machine", report.machine())))
        raise
    finally:
        process.kill()
        process.wait()


def transfers(lab, agent):
    """100 MB each way, with their checksums."""
    with servers.Source(lab.server, BYTES) as source:
        said = agent.run(f"tcp-ask {topology.SERVER} {source.port} </dev/null | sha256sum", timeout=400)
    assert said.split()[0] == pattern.sha256(BYTES)
    with servers.Sink(lab.server) as sink:
        said = agent.run(f"pattern {BYTES} 9 | tcp-ask {topology.SERVER} {sink.port}", timeout=400)
    assert said == f"{BYTES} {pattern.sha256(BYTES, 9)}"


def test_qemu10_and_its_restart(lab, qemu_network, qemu10, guest, scratch):
    """The same socket serves QEMU again after it was killed in the middle; then with memory above 4 GB,
    which is a region of its own."""
    agent = GuestAgent(lab.host, "127.0.0.1", 8002)
    big = ("-m", "5G", "-object", "memory-backend-memfd,id=big,size=5G,share=on",
           "-machine", "memory-backend=big")
    leases = []
    for more in ((), big):
        with qemu(lab, qemu_network, guest, qemu10, scratch / "qemu", *more):
            agent.wait()
            leases.append(agent.lease())
            memory = int(agent.run("sed -n 's/^MemTotal: *\\([0-9]*\\).*/\\1/p' /proc/meminfo"))
            assert (memory > 4_500_000) == (more == big)
            page = lab.host.run("curl", "-sS", "--max-time", "100", "http://127.0.0.1:8080/")
            assert "a guest of Tartlet" in page.stdout
            transfers(lab, agent)
            # Killed while bytes are on their way to it.
            with lab.host.connect("127.0.0.1", 8002) as connection:
                connection.sendall(b"pattern 1000000000 1\n")
                connection.recv(65536)
    assert leases[0] == leases[1]
    assert qemu_network.ask("arp", gateway_of(qemu_network)) is not None


def test_memory_changes_under_traffic(lab, qemu_network, qemu10, guest, scratch):
    """Memory is plugged in while frames move: the regions are mapped again."""
    agent = GuestAgent(lab.host, "127.0.0.1", 8002)
    with qemu(lab, qemu_network, guest, qemu10, scratch / "qemu", "-m", "512M,slots=4,maxmem=2G") as process:
        agent.wait()
        monitor = Monitor(scratch / "qemu/qmp.sock")
        with servers.Source(lab.server, BYTES) as source:
            agent.run(f"(tcp-ask {topology.SERVER} {source.port} </dev/null | sha256sum >/tmp/sum) &")
            for i in range(3):
                monitor.run("object-add", **{"qom-type": "memory-backend-memfd", "id": f"m{i}",
                                             "size": 128 << 20, "share": True})
                monitor.run("device_add", driver="pc-dimm", id=f"d{i}", memdev=f"m{i}")
            until(lambda: agent.ask("test -s /tmp/sum")[0] == 0, 400, "all bytes in the guest")
            assert agent.run("cat /tmp/sum").split()[0] == pattern.sha256(BYTES)
        assert process.poll() is None


class Monitor:
    """QEMU's control socket."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(str(path))
        self.stream = self.socket.makefile("rw")
        json.loads(self.stream.readline())
        self.run("qmp_capabilities")

    def run(self, command, **arguments):
        print(json.dumps({"execute": command, "arguments": arguments}), file=self.stream, flush=True)
        while True:
            answer = json.loads(self.stream.readline())
            if "return" in answer:
                return answer["return"]
            assert "error" not in answer, answer


def test_saved_and_resumed(lab, qemu_network, qemu10, guest, scratch):
    """The guest goes into a file and comes back with the next QEMU: what we write is in its log."""
    agent = GuestAgent(lab.host, "127.0.0.1", 8002)
    state = scratch / "qemu/state"
    with qemu(lab, qemu_network, guest, qemu10, scratch / "qemu"):
        agent.wait()
        agent.run("echo kept >/tmp/kept")
        with servers.Source(lab.server, BYTES) as source:
            # Bytes come in while the memory is being written out: their pages are written again.
            agent.run(f"(tcp-ask {topology.SERVER} {source.port} </dev/null | sha256sum >/tmp/sum) &")
            monitor = Monitor(scratch / "qemu/qmp.sock")
            monitor.run("migrate", uri=f"file:{state}")
            until(lambda: monitor.run("query-migrate").get("status") in ("completed", "failed"), 200,
                  "the guest in its file")
            assert monitor.run("query-migrate")["status"] == "completed"
            monitor.run("quit")
    with qemu(lab, qemu_network, guest, qemu10, scratch / "qemu", "-incoming", f"file:{state}"):
        until(lambda: alive(agent), 200, "the resumed guest")
        assert agent.run("cat /tmp/kept") == "kept"
        transfers(lab, agent)


def alive(agent):
    try:
        return agent.ask("true", timeout=15)[0] == 0
    except OSError:
        return False


@pytest.mark.parametrize("attach, words", [("auto", "vhost-user,id=net0"), ("vhost-user", "vhost-user,id=net0"),
                                           ("stream", "stream,id=net0")])
def test_run_attaches(lab, tartlet, guest, attach, words):
    """What --net-attach says; the socket that QEMU connected to is gone at once, and so is all at the end."""
    name = f"attach-{attach}"
    tartlet.create(name, guest)
    running = tartlet.run(name, "--net-attach", attach, expose=["0:2"])
    try:
        agent = running.up()
        assert agent.lease()["address"] == running.address
        command = [pathlib.Path(f"/proc/{pid}/cmdline").read_bytes() for pid in running.pids()]
        assert any(words.encode() in line for line in command)
        assert not (tartlet.home / "vms" / name / "net.sock").exists()
        running.process.send_signal(signal.SIGINT)
        assert running.wait() == 0
    finally:
        running.end()

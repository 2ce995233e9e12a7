"""The sandbox of softnet as a program: which system calls its engine makes under traffic, by each attachment, and what
it says where a kernel lacks a layer (strace stands in for such a kernel). What it tries in vain:
test_softnet_sandbox.py; the layers one by one: tests/unit/sidecar/test_sandbox*.c."""

import contextlib
import os
import pathlib
import re
import socket
import subprocess

import pytest
from lab import servers, topology, vm_ends
from lab.softnet import Softnet
from lab.waiting import until
from scapy.all import DNS, DNSQR, ICMP, TCP, Raw

NOBODY = 65534


@pytest.fixture(params=["root", "ordinary user"])
def user(request, place):
    """What starts a program as that user."""
    if request.param == "root":
        return ()
    (place / "softnet").mkdir(mode=0o700)
    for path in place, place / "softnet":
        os.chown(path, NOBODY, NOBODY)
    return ("setpriv", "--reuid", NOBODY, "--regid", NOBODY, "--clear-groups")


# --- system calls under traffic -------------------------------------------------------------------


def listed(softnet_program):
    printer = pathlib.Path(softnet_program).parents[2] / "tests/unit/sidecar/print-system-calls"
    lines = subprocess.run([printer], check=True, capture_output=True, text=True).stdout.splitlines()
    return {line.split()[1] for line in lines} | {"tgkill"}  # abort(), of this process alone


CALL = re.compile(r"(\d+) +(?:<\.\.\. )?(\w+)(?:\(| resumed>)")


def filter_set(trace):
    """Where the filter was set: in one line, or in two where another thread came in between."""
    interrupted = set()
    for i, line in enumerate(trace):
        pid = line.split()[0]
        asked = "seccomp(SECCOMP_SET_MODE_FILTER" in line
        if asked and line.endswith("<unfinished ...>"):
            interrupted.add(pid)
        elif asked or ("<... seccomp resumed>" in line and pid in interrupted):
            interrupted.discard(pid)
            if line.endswith("= 0"):
                return i
    raise AssertionError("no filter was set")


def calls_of_engine(trace):
    """Lines (name, line) of all but the process that forked the engine, from the filter on."""
    keeper = trace[0].split()[0]
    begin = filter_set(trace)
    engine = trace[begin].split()[0]
    assert engine != keeper
    for line in trace[begin + 1:]:
        call = CALL.match(line)
        if call and call[1] != keeper:
            yield call[2], line


def talk(vm, port, source_port):
    """Some segments each way, by a server that echoes, and their end."""
    def segment(flags, seq, ack, data=b""):
        vm.send(vm.ip(topology.SERVER) / TCP(sport=source_port, dport=port, flags=flags, seq=seq, ack=ack) / Raw(data))

    def answer(wanted):
        return vm.receive(lambda frame: TCP in frame and frame[TCP].dport == source_port and wanted(frame[TCP]))[TCP]

    data = b"x" * 500
    segment("S", 1000, 0)
    seen = answer(lambda tcp: tcp.flags == "SA").seq + 1
    sent = 1001
    for _ in range(3):
        segment("PA", sent, seen, data)
        sent += len(data)
        got = answer(lambda tcp: Raw in tcp)
        assert (got.seq, bytes(got[Raw])) == (seen, data)
        seen += len(data)
    segment("FA", sent, seen)
    assert answer(lambda tcp: "F" in tcp.flags).seq == seen
    segment("A", sent + 1, seen + 1)


def work(vm, lab):
    """What a VM and its clients do, of each kind some."""
    with servers.TcpEcho(lab.server) as echo:
        vm.lease()
        allowed = [f"{topology.SERVER}/32"]
        assert "result" in vm.ask("softnet.policy.set", allow=allowed, block=[], desiredRevision="1")
        assert vm.tcp(topology.SERVER, echo.port, 2000) == "SA"
        talk(vm, echo.port, 2003)
        vm.tcp(topology.SERVER, 1, 2001)
        vm.udp(topology.SERVER, 9, b"discarded")
        vm.udp(topology.SERVER, 9, b"discarded", source_port=1002)
        vm.send(vm.ip(topology.SERVER) / ICMP(type=8, id=1, seq=1) / Raw(b"x" * 32))
        question = bytes(DNS(id=1, qd=DNSQR(qname="www.test")))
        vm.udp(vm.gateway, 53, question, source_port=1001)
        assert vm.receive(lambda frame: DNS in frame)
        assert vm.tcp(vm.gateway, 53, 2002) == "SA"
        with contextlib.closing(lab.router_a.socket(socket.AF_INET, socket.SOCK_STREAM)) as client:
            client.setblocking(False)
            client.connect_ex((topology.HOST, vm.report["forwards"][0]["externalPort"]))
            assert vm.receive(lambda frame: TCP in frame and frame[TCP].dport == 22)
        assert "result" in vm.ask("softnet.policy.set", allow=[], block=allowed, desiredRevision="2")
        assert vm.ask("softnet.policy.get")["result"]["ruleCount"] == 1
        vm.settle()


@pytest.mark.parametrize("attach", vm_ends.KINDS)
def test_calls_are_listed(softnet, softnet_program, lab, place, user, scratch, attach):
    """None is made that is not on a list, so none is refused."""
    trace_path = scratch / f"trace-{place.name}"
    vm = softnet("--expose", "0:22", attach=attach, wrapper=("strace", "-D", "-f", "-o", trace_path, *user))
    work(vm, lab)
    if attach == "vhost-user":  # its socket listens: the next VM comes
        vm.vm.leave()
        vm.vm.begin()
        vm.lease()
    assert vm.end() == (0, "")
    ended = re.compile(rf"^{vm.process.pid} +\+\+\+ exited", re.MULTILINE)
    trace = until(lambda: ended.search(text := trace_path.read_text(errors="replace")) and text, 120,
                  "the trace's end").splitlines()
    names = listed(softnet_program)
    made = list(calls_of_engine(trace))
    assert len(made) > 100
    assert [line for name, line in made if name not in names] == []
    assert [line for _, line in made if "= -1 EPERM" in line] == []
    print("listed, but not made:", *sorted(names - {name for name, _ in made}))


# --- kernels that lack something ------------------------------------------------------------------

ANYWAY = "; the sandbox goes on without it"
NO_LANDLOCK = "no Landlock: Function not implemented"
LACKING = [
    ("landlock_create_ruleset:error=ENOSYS", [NO_LANDLOCK]),
    ("unshare:error=ENOSPC", ["no PID namespace: No space left on device",
                              "no mount namespace, and no empty root in it: No space left on device",
                              "no IPC namespace: No space left on device",
                              "no UTS namespace: No space left on device"]),
    ("pivot_root:error=EINVAL", ["no empty root: Invalid argument"]),
]


def strace_that_refuses(what, trace):
    return ("strace", "-D", "-f", "-o", trace, "-e", f"trace={what.split(':')[0]}", "-e", f"inject={what}")


@pytest.mark.parametrize("what, sentences", LACKING)
def test_goes_on_without_a_layer(softnet, place, what, sentences):
    vm = softnet(wrapper=strace_that_refuses(what, place / "trace"))
    vm.lease()
    code, said = vm.end()
    assert code == 0
    for sentence in sentences:
        assert said.count(sentence + ANYWAY) == 1
    assert len([line for line in said.splitlines() if not line.startswith("no user namespace: ")]) == len(sentences)


@pytest.mark.parametrize("what, said", [
    *((what, sentences[0].replace("no ", "the sandbox has no ", 1)) for what, sentences in LACKING),
    ("seccomp:error=EINVAL", "cannot restrict the system calls: "),
])
def test_strict_does_not_start(softnet_program, lab, place, what, said):
    with pytest.raises(AssertionError, match="did not start: .*" + said):
        Softnet(softnet_program, lab.host, place, "--sandbox", "strict",
                wrapper=strace_that_refuses(what, place / "trace"))


def test_seccomp_is_needed_anyway(softnet_program, lab, place):
    with pytest.raises(AssertionError, match="did not start: .*cannot restrict the system calls: "):
        Softnet(softnet_program, lab.host, place,
                wrapper=strace_that_refuses("seccomp:error=EINVAL", place / "trace"))

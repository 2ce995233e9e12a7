"""`tartlet netns`: a program, or a whole namespace, as guest.

     COMMAND's namespace          host (lab/topology.py)                     server
    +--------------------+       +------------------------+               +----------+
    |  eth0, a TAP       |-------| tartlet: gateway, NAT  |---[router]----| servers  |
    |  subnet's second   |       | first of the subnet    |               |          |
    +--------------------+       +------------------------+               +----------+
"""

import contextlib
import ctypes
import json
import os
import pathlib
import pty
import re
import select
import signal
import socket
import subprocess

import pytest
from lab import netns, pattern, servers, topology, tun, udp_segments
from lab.guest import answers
from lab.tartlet import FACT, FORWARD, children, wait_gone
from lab.waiting import until

BYTES = 100_000_000
CLIENT = pathlib.Path(__file__).resolve().parent / "lab" / "netns_client.py"
PYTHON = "/usr/bin/python3"
USO_SINCE = 6, 2  # Linux: a TAP carries super-frames of UDP
UDHCPC_SCRIPT = """#!/bin/sh
case $1 in
bound)
    ip address add "$ip/$mask" dev "$interface"
    ip link set "$interface" mtu "$mtu"
    ip route add default via "$router"
    for server in $dns; do echo "nameserver $server"; done >/etc/resolv.conf;;
esac
"""


class Lines:
    """Lines of a pipe as they come, each waited for."""

    def __init__(self, file):
        self.file = file
        self.rest = b""

    def next(self, timeout=120):
        """The next one without its end; None when there is no more."""
        while b"\n" not in self.rest:
            assert select.select([self.file], [], [], timeout)[0], f"nothing comes after {self.rest}"
            data = os.read(self.file.fileno(), 4096)
            if not data:
                return None
            self.rest += data
        line, _, self.rest = self.rest.partition(b"\n")
        return line.decode()


class Running:
    """A `tartlet netns` that the test talks to."""

    def __init__(self, tartlet, *argv):
        argv = tartlet.argv("netns", *argv)
        self.process = subprocess.Popen(argv, env=tartlet.environment, bufsize=0, start_new_session=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.output = Lines(self.process.stdout)
        self.errors = Lines(self.process.stderr)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()

    def line(self):
        return self.output.next()

    def facts(self, last, stream):
        """Lines until the fact LAST came."""
        found = []
        while not found or not found[-1].startswith(f"{last}: "):
            line = stream.next()
            assert line is not None, f"it ended: {found} {self.process.stderr.read()}"
            found.append(line)
        return found

    def write(self, text):
        self.process.stdin.write(text.encode())

    def end(self, number=None, timeout=120):
        """Exit code, and what was not read yet."""
        if number:
            self.process.send_signal(number)
        output, errors = self.process.communicate(timeout=timeout)
        return self.process.returncode, (self.output.rest + output).decode(), \
            (self.errors.rest + errors).decode()


def fact(lines, name):
    found = [match["value"] for match in map(FACT.match, lines) if match and match["name"] == name]
    assert len(found) == 1, lines
    return found[0]


def forwards(lines):
    return [match.groupdict() for match in map(FORWARD.match, lines) if match]


def without_ping(errors):
    return re.sub(r"^.*: host: ping is not allowed here.*\n", "", errors, flags=re.MULTILINE)


@pytest.fixture(scope="module")
def rooted(homes):
    return homes.tartlet()


@pytest.fixture(scope="module")
def user(homes, person):
    """An ordinary user of a machine where /dev/net/tun is open to all, as it usually is."""
    made = homes.tartlet(person)
    made.wrapper = tun.with_mode("0666")
    return made


@pytest.fixture(scope="module", params=["root", "user"])
def anybody(request, rooted, user):
    return rooted if request.param == "root" else user


@pytest.fixture(scope="module", autouse=True)
def subreaper():
    """What a program leaves behind becomes a child of this process, so that `nothing_left` sees it."""
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.prctl(36, 1, 0, 0, 0) == 0  # PR_SET_CHILD_SUBREAPER
    yield
    libc.prctl(36, 0, 0, 0, 0)


def links(namespace):
    done = namespace.run("ip", "-j", "link")
    return {link["ifname"] for link in json.loads(done.stdout)}


@pytest.fixture
def nothing_left(lab):
    """After the test: no process, no interface in the host's namespace, no mount."""
    def mounts():
        return [line.split()[4] for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines()
                if " /etc" in line or line.split()[4] in ("/", "/dev", "/dev/net", "/dev/net/tun", "/mnt")]

    before = set(children(os.getpid())), links(lab.host), mounts()
    yield
    # What was killed with its parent is ours to bury, once it has gone; what runs on does not go.
    left = set(children(os.getpid())) - before[0]
    wait_gone(left)
    for pid in left:
        assert os.waitpid(pid, os.WNOHANG)[0] == pid
    assert (links(lab.host), mounts()) == before[1:]


@pytest.fixture
def blue(lab):
    """A namespace of somebody else, with a name below /run/netns."""
    made = netns.Namespace("blue")
    made.create()
    yield made
    made.destroy()


def test_the_interface(anybody, nothing_left):
    """Address, route, MTU, loopback, resolv.conf and /sys; the facts on stderr, and stdout is COMMAND's."""
    before = pathlib.Path("/etc/resolv.conf").read_bytes()
    done = anybody.command("netns", "--mtu", "1400", "--", "sh", "-c", "ip -j address; ip -j route; id -u; "
                           "cat /etc/resolv.conf; echo mine >/etc/resolv.conf && cat /etc/resolv.conf; "
                           "cd /sys/class/net; echo *; cat eth0/mtu lo/mtu")
    address, routes, uid, server, mine, *in_sys = done.stdout.splitlines()
    lines = without_ping(done.stderr).splitlines()
    assert [line.split(":")[0] for line in lines] == ["subnet", "address"]
    subnet = fact(lines, "subnet")
    assert subnet.endswith("/30")
    loopback, interface = json.loads(address)
    assert "UP" in loopback["flags"]
    assert (interface["ifname"], interface["mtu"]) == ("eth0", 1400) and "UP" in interface["flags"]
    [ipv4] = [info for info in interface["addr_info"] if info["family"] == "inet"]
    assert (ipv4["local"], ipv4["prefixlen"]) == (fact(lines, "address"), 30)
    default, own = json.loads(routes)
    assert default["dst"] == "default" and own["dst"] == subnet
    assert server == f"nameserver {default['gateway']}"
    assert (uid, mine) == ("0", "mine")
    assert in_sys == ["eth0 lo", "1400", "65536"]
    assert pathlib.Path("/etc/resolv.conf").read_bytes() == before


def test_the_rest_of_sys_stays(homes, nothing_left):
    """Control groups, for one, are mounted in it. Where something is hidden, the kernel allows no other sysfs:
    then all of it stays, and nothing is said."""
    shown = {}
    for hidden in "false", "true":
        tartlet = homes.tartlet()
        tartlet.wrapper = ["unshare", "-m", "sh", "-c",
                           "mount -t tmpfs here /sys/fs/cgroup && echo >/sys/fs/cgroup/file && "
                           f"if {hidden}; then mount -t tmpfs none /sys/kernel; fi && exec \"$@\"", "sh"]
        done = tartlet.command("netns", "--", "sh", "-c", "echo /sys/class/net/*; ls /sys/fs/cgroup")
        assert [line.split(":")[0] for line in without_ping(done.stderr).splitlines()] == ["subnet", "address"]
        shown[hidden], file = done.stdout.splitlines()
        assert file == "file"
    assert shown["false"] == "/sys/class/net/eth0 /sys/class/net/lo"
    assert "/sys/class/net/a0" in shown["true"]  # the lab's host


def test_options(rooted, lab, nothing_left, tmp_path):
    capture = tmp_path / "all.pcapng"
    done = rooted.command("netns", "--ifname", "guest-0", "--net-vmnet-subnet", "10.201.34.0/28", "--net-pcap",
                          capture, "sh", "-c", "cat /sys/class/net/x 2>/dev/null; ip -4 -o address show guest-0; "
                          "ping -c 1 -W 60 10.201.34.1 >/dev/null")
    assert "10.201.34.2/28" in done.stdout
    assert fact(done.stderr.splitlines(), "subnet") == "10.201.34.0/28"
    assert capture.read_bytes()[:4] == b"\x0a\x0d\x0d\x0a" and capture.stat().st_size > 300


def test_names(anybody, dns, nothing_left):
    done = anybody.command("netns", "--", "getent", "ahostsv4", "www.test")
    assert done.stdout.startswith("198.51.100.80 ")


def test_nobody_is_root_outside(user, person, nothing_left):
    with Running(user, "--", "sh", "-c", "id -u; read end") as running:
        assert running.line() == "0"
        for pid in [running.process.pid, *children(running.process.pid)]:
            status = pathlib.Path(f"/proc/{pid}/status").read_text()
            assert set(re.search(r"^Uid:\s+(.*)$", status, re.MULTILINE)[1].split()) == {str(person.uid)}
        assert running.end()[0] == 1  # read at the end of input


def congestion_controls():
    words = pathlib.Path("/proc/sys/net/ipv4/tcp_available_congestion_control").read_text().split()
    return [None, *words]


class Watched:
    """A server that sees which congestion control each connection really has, while it is there."""

    def __init__(self, lab, *args):
        self.lab = lab
        self.controls = []
        super().__init__(lab.server, *args)

    def engine_control(self):
        """That of the engine's socket, among the words of ss(8)."""
        said = self.lab.host.run("ss", "-Htni", f"dst {topology.SERVER}:{self.port}").stdout
        return set(said.split()) & set(congestion_controls()[1:])

    def handle(self, connection):
        own = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 16).rstrip(b"\0").decode()
        self.controls.append((own, self.engine_control()))
        super().handle(connection)


class WatchedSource(Watched, servers.Source):
    pass


class WatchedSink(Watched, servers.Sink):
    pass


def transfer(tartlet, lab, mtu, control):
    with lab.congestion_control(control), WatchedSource(lab, BYTES) as source, WatchedSink(lab) as sink:
        done = tartlet.command("netns", "--mtu", mtu, "--", PYTHON, CLIENT, topology.SERVER, source.port,
                               sink.port, BYTES, *([control] if control else []), timeout=400)
    expected = f"{BYTES} {pattern.sha256(BYTES)}"
    assert done.stdout.splitlines() == [expected, expected]
    in_force = control or lab.host.run("cat", "/proc/sys/net/ipv4/tcp_congestion_control").stdout.strip()
    assert source.controls == sink.controls == [(in_force, {in_force})]


@pytest.mark.parametrize("mtu", [576, 1500, 9000, 65520])
@pytest.mark.parametrize("control", congestion_controls())
def test_both_ways(anybody, lab, mtu, control):
    """Debian's sysctls on both sides (lab/sysctls.py); the host's congestion control (None), and each that the machine offers, which an
    ordinary user's COMMAND may take, too: it is root in its namespace."""
    transfer(anybody, lab, mtu, control)


def test_udp_and_ping(anybody, lab, nothing_left):
    script = f"""import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(60)
for size in 1, 1400, 9000, 60000:
    s.sendto(bytes(size), ("{topology.SERVER}", PORT))
    print(len(s.recv(65536)))
"""
    with servers.UdpEcho(lab.server) as echo:
        done = anybody.command("netns", "--", PYTHON, "-c", script.replace("PORT", str(echo.port)))
    assert done.stdout.split() == ["1", "1400", "9000", "60000"]
    done = anybody.command("netns", "--", "ping", "-c", "1", "-W", "60", topology.SERVER)
    assert "1 received" in done.stdout


def test_udp_in_one_piece(anybody, lab, nothing_left):
    """Super-frames of UDP through the TAP and to the far end: 40 datagrams by one system call, each way."""
    with lab.server.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        udp_segments.prepare(server)
        server.bind((topology.SERVER, 0))
        with Running(anybody, "--", PYTHON, udp_segments.__file__, topology.SERVER, server.getsockname()[1]) \
                as running:
            up, peer = udp_segments.receive(server, 1)
            udp_segments.send(server, 2, peer)
            down = json.loads(running.line())
            assert running.end()[0] == 0
    for found in up, down:
        assert found["right"] and found["sizes"] == [udp_segments.SIZE], found
    if tuple(map(int, os.uname().release.split(".")[:2])) >= USO_SINCE:
        # Whole on each way, into the engine and out of it: no datagram went by itself.
        assert max(up["pieces"], down["pieces"]) <= 4 and down["sent"] < 20, (up, down)


@pytest.mark.parametrize("script, code", [
    ("exit 0", 0), ("exit 1", 1), ("exit 77", 77), ("exit 255", 255), ("kill -TERM $$", 128 + 15),
    ("kill -KILL $$", 128 + 9), ("kill -SEGV $$", 128 + 11),
])
def test_exit_code(anybody, nothing_left, script, code):
    anybody.command("netns", "--", "sh", "-c", script, expect=code)


def test_exit_code_where_children_are_ignored(rooted, nothing_left):
    """As some supervisors start their programs."""
    done = subprocess.run(["sh", "-c", "trap '' CHLD; exec \"$@\"", "sh",
                           *rooted.argv("netns", "--", "sh", "-c", "exit 9")], env=rooted.environment,
                          stderr=subprocess.PIPE, check=False)
    assert done.returncode == 9


def test_no_such_program(anybody, nothing_left, scratch):
    said = anybody.command("netns", "--", "no-such-program", expect=127).stderr
    assert said == 'cannot run "no-such-program": no such program\n'
    said = anybody.command("netns", "--", "/etc/passwd", expect=126).stderr
    assert said == 'cannot run "/etc/passwd": it is not a program, or not for this user\n'
    # What only exec can find out.
    nonsense = scratch / "nonsense"
    nonsense.write_text("#!/no/such/interpreter\n")
    nonsense.chmod(0o755)
    said = anybody.command("netns", "--", nonsense, expect=127).stderr
    assert f'cannot run "{nonsense}": No such file or directory\n' in said


def test_command_inherits(rooted, nothing_left):
    """Standard input, the environment, a descriptor of the caller's, its folder; none of our own."""
    reading, writing = os.pipe()
    script = (f"cat; echo $WORD; pwd; ls -l /proc/self/fd | grep -cE 'socket:|anon_inode|net/tun|ns/'; "
              f"echo through >/proc/self/fd/{writing}; ulimit -n")
    limit = subprocess.run(["sh", "-c", "ulimit -n"], stdout=subprocess.PIPE, text=True, check=True).stdout
    done = subprocess.run(rooted.argv("netns", "--", "sh", "-c", script), input="in\n", text=True, cwd="/usr",
                          env=rooted.environment | {"WORD": "word"}, pass_fds=[writing],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=True)
    os.close(writing)
    assert done.stdout == f"in\nword\n/usr\n0\n{limit}"
    assert os.read(reading, 100) == b"through\n"
    os.close(reading)


COUNTER = """import os, signal, sys, time
count = {}
def caught(number, _):
    count[number] = count.get(number, 0) + 1
    # print() must not be entered again by the next signal, which may come before it has returned
    os.write(1, f"{signal.Signals(number).name} {count[number]}\\n".encode())
for number in signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2:
    signal.signal(number, caught)
print("ready", flush=True)
sys.stdin.readline()
print("end", flush=True)
sys.exit(3)
"""


def test_signals_are_passed_on(anybody, nothing_left):
    with Running(anybody, "--", PYTHON, "-c", COUNTER) as running:
        assert running.line() == "ready"
        for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGTERM"):
            running.process.send_signal(getattr(signal, name))
            assert running.line().split()[0] == name
        # It decides itself whether it ends.
        running.write("\n")
        assert running.line() == "end"
        assert running.end()[0] == 3


def test_signal_that_kills(anybody, nothing_left):
    with Running(anybody, "--", "sleep", "1000") as running:
        running.facts("address", running.errors)
        # sleep has no handler: once it is what runs, the signal is its end
        until(lambda: [pid for pid in children(running.process.pid)
                       if pathlib.Path(f"/proc/{pid}/comm").read_text() == "sleep\n"], 60, "sleep runs")
        assert running.end(signal.SIGTERM)[0] == 128 + signal.SIGTERM


def read_until(fd, text, timeout=120):
    """What a terminal says until TEXT is there."""
    said = ""
    while text not in said:
        assert select.select([fd], [], [], timeout)[0], f"{text} is not in {said!r}"
        said += os.read(fd, 4096).decode()
    return said


def test_ctrl_c_comes_once(rooted, nothing_left):
    """The terminal sends to the whole foreground group: COMMAND has it already."""
    pid, terminal = pty.fork()
    if pid == 0:
        argv = rooted.argv("netns", "--", PYTHON, "-c", COUNTER)
        os.execvpe(argv[0], argv, rooted.environment)
    read_until(terminal, "ready")
    os.write(terminal, b"\x03")
    read_until(terminal, "SIGINT 1")
    # What comes next is the next one, and not the same once more.
    os.write(terminal, b"\x1c")
    assert "SIGINT" not in read_until(terminal, "SIGQUIT 1")
    os.write(terminal, b"\n")
    read_until(terminal, "end")
    with contextlib.suppress(OSError):  # EIO: the last one has closed it
        while os.read(terminal, 4096):
            pass
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 3
    os.close(terminal)


def test_ctrl_c_where_command_left_the_group(rooted, nothing_left):
    """Then the terminal does not know of it, and only we can tell."""
    # In the background it must not read from the terminal: that would stop it.
    counter = "import os\nos.setpgid(0, 0)\n" + COUNTER.replace("sys.stdin.readline()", "time.sleep(600)")
    pid, terminal = pty.fork()
    if pid == 0:
        argv = rooted.argv("netns", "--", PYTHON, "-c", counter)
        os.execvpe(argv[0], argv, rooted.environment)
    read_until(terminal, "ready")
    os.write(terminal, b"\x03")
    read_until(terminal, "SIGINT 1")
    inside = children(pid)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    wait_gone(inside)
    os.close(terminal)


def test_dies_with_us(anybody, nothing_left):
    with Running(anybody, "--net-vmnet-expose", "127.0.0.1:0:7", "--", "sh", "-c", "echo $$; exec sleep 1000") \
            as running:
        inside = int(running.line())
        lines = running.facts("forward", running.errors)
        [tartlet] = [pid for pid in [running.process.pid, *children(running.process.pid)]
                     if inside in children(pid)]
        os.kill(tartlet, signal.SIGKILL)
        wait_gone([inside])
    # Everything is free again at once.
    port = forwards(lines)[0]["external"]
    subnet = fact(lines, "subnet")
    anybody.command("netns", "--net-vmnet-expose", f"127.0.0.1:{port}:7", "--net-vmnet-subnet", subnet, "true")


ECHO = """import socket, sys
tcp = socket.create_server(("", 7))
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.bind(("", 7))
print("ready", flush=True)
data, peer = udp.recvfrom(100)
udp.sendto(data + b" from " + peer[0].encode(), peer)
for _ in range(2):
    connection, peer = tcp.accept()
    connection.sendall(connection.recv(100) + b" from " + peer[0].encode())
    connection.close()
sys.stdin.readline()
"""


def ask_tcp(namespace, address, port):
    with namespace.connect(address, port) as connection:
        connection.sendall(b"hello")
        connection.shutdown(socket.SHUT_WR)
        return connection.makefile().read()


def test_forwards(anybody, lab, nothing_left):
    with Running(anybody, "--net-vmnet-expose", f"0:7,{topology.HOST}:0:7/udp", "--", PYTHON, "-c", ECHO) \
            as running:
        lines = running.facts("forward", running.errors)
        lines += [running.errors.next() for _ in range(3)]
        assert running.line() == "ready"
        tcp4, tcp6, udp = forwards(lines)
        assert (tcp4["address"], tcp6["address"], udp["address"]) == ("0.0.0.0", "[::]", topology.HOST)
        assert "reachable from the network" in lines[-1]
        # again where need be: a guest that has not said a word yet is asked for its MAC first
        asked = (topology.HOST, int(udp["external"]))
        assert answers(lab.server, *asked) == (f"hello from {topology.SERVER}".encode(), asked)
        port = int(tcp4["external"])
        assert ask_tcp(lab.server, topology.HOST, port) == f"hello from {topology.SERVER}"
        gateway = fact(lines, "subnet").split("/")[0].rpartition(".")
        assert ask_tcp(lab.host, "127.0.0.1", port) == f"hello from {gateway[0]}.{int(gateway[2]) + 1}"
        assert running.end()[0] == 0


def test_conflicts_are_named(anybody, nothing_left):
    with Running(anybody, "--net-vmnet-expose", "127.0.0.1:0:7", "--", "cat") as running:
        lines = running.facts("forward", running.errors)
        port = forwards(lines)[0]["external"]
        done = anybody.command("netns", "--net-vmnet-expose", f"127.0.0.1:{port}:7", "--", "true", expect=1)
        assert re.fullmatch(rf'TCP port {port} on 127\.0\.0\.1 is in use by VM "netns \d+"\n',
                            without_ping(done.stderr)), done.stderr
        subnet = fact(lines, "subnet")
        done = anybody.command("netns", "--net-vmnet-subnet", subnet, "--", "true", expect=1)
        assert subnet in done.stderr and done.stdout == ""
        assert running.end()[0] == 0


def test_host_access(rooted, lab, nothing_left):
    with servers.Greeter(lab.host) as greeter:
        script = f"""import socket
try:
    print(socket.create_connection(("{topology.HOST}", {greeter.port}), 60).makefile().read())
except OSError:
    print("closed")
"""
        assert rooted.command("netns", "--", PYTHON, "-c", script).stdout == "closed\n"
        done = rooted.command("netns", "--net-host-access", "lan", "--", PYTHON, "-c", script)
        assert topology.HOST in done.stdout


def test_join_by_path(rooted, lab, blue, nothing_left):
    """Stays until a signal; then the namespace is what it was."""
    before = links(blue)
    path = f"/run/netns/{blue.name}"
    with servers.Greeter(lab.server) as greeter, \
            Running(rooted, "--netns", path, "--net-vmnet-expose", "127.0.0.1:0:7", "--mtu", "9000") as running:
        lines = running.facts("ready", running.output)
        assert lines[-1] == "ready: eth0"
        address = fact(lines, "address")
        link = json.loads(blue.run("ip", "-j", "address", "show", "eth0").stdout)[0]
        assert link["mtu"] == 9000
        assert [info["local"] for info in link["addr_info"] if info["family"] == "inet"] == [address]
        with blue.connect(topology.SERVER, greeter.port) as connection:
            assert connection.makefile().read() == f"{topology.HOST}\n"
        with blue.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
            listener.bind(("", 7))
            listener.listen()
            with lab.host.connect("127.0.0.1", int(forwards(lines)[0]["external"])):
                listener.settimeout(60)
                listener.accept()[0].close()
        assert children(running.process.pid) == []
        code, output, errors = running.end(signal.SIGTERM)
        assert (code, output, without_ping(errors)) == (0, "", "")
    assert links(blue) == before


@contextlib.contextmanager
def inhabitant(tartlet):
    """A process of that user in namespaces of its own."""
    argv = tartlet.argv()[:-1] + ["unshare", "--user", "--map-root-user", "--net", "sh", "-c", "echo; read end"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        process.stdout.readline()
        yield process.pid
        process.stdin.close()


def inside(pid, *argv):
    return subprocess.run(["nsenter", "-t", str(pid), "-n", *map(str, argv)], check=True, text=True,
                          stdout=subprocess.PIPE, timeout=120).stdout


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_join_by_process(anybody, nothing_left, number):
    with inhabitant(anybody) as pid, Running(anybody, "--netns", pid, "--ifname", "vm0") as running:
        lines = running.facts("ready", running.output)
        assert lines[-1] == "ready: vm0"
        gateway = fact(lines, "name server")
        assert "1 received" in inside(pid, "ping", "-c", "1", "-W", "60", gateway)
        assert running.end(number)[0] == 0
        assert "vm0" not in inside(pid, "ip", "link")


def proc_numbers(path, *names):
    """Of a file of /proc with a name and a number a line."""
    found = dict(re.findall(r"^(\w+):\s+(\d+)", pathlib.Path(path).read_text(), re.MULTILINE))
    return [int(found[name]) for name in names]


def wakeups(pid):
    return sum(proc_numbers(task / "status", "voluntary_ctxt_switches")[0]
               for task in pathlib.Path(f"/proc/{pid}/task").iterdir())


def test_idle_costs_little(rooted, blue, nothing_left):
    """A network that carries nothing: 2 MB of its own, 6 MB with its share of the libraries, and less
    than one wake-up a second."""
    blue.run("sysctl", "-q", "-w", "net.ipv6.conf.all.disable_ipv6=1")  # its neighbour discovery talks
    with Running(rooted, "--netns", f"/run/netns/{blue.name}") as running:
        running.facts("ready", running.output)
        pid = running.process.pid
        anonymous, = proc_numbers(f"/proc/{pid}/status", "RssAnon")
        assert anonymous <= 2048, f"{anonymous} kB of private memory"
        share, = proc_numbers(f"/proc/{pid}/smaps_rollup", "Pss")
        assert share <= 6144, f"{share} kB in all"

        def in_5_s():
            before = wakeups(pid)
            select.select([running.process.stdout], [], [], 5)  # nothing comes
            return wakeups(pid) - before

        # "ready" may be printed before a busy machine lets its threads go to sleep.
        assert any(in_5_s() < 5 for _ in range(3))


def test_join_is_killed(rooted, blue, nothing_left):
    with Running(rooted, "--netns", f"/run/netns/{blue.name}") as running:
        running.facts("ready", running.output)
        running.process.kill()
        running.process.wait(120)
    until(lambda: "eth0" not in links(blue), 60, "the interface is gone")


def test_interface_is_deleted(rooted, blue, nothing_left):
    """Somebody in the namespace may. There is nothing left to do for who has no program to watch."""
    with Running(rooted, "--netns", f"/run/netns/{blue.name}") as running:
        running.facts("ready", running.output)
        blue.ip("link delete eth0")
        code, _, errors = running.end()
        assert code == 1 and errors.endswith("the TAP interface is gone\n")
    # A program is told, and goes on.
    with Running(rooted, "--", "sh", "-c", "ip link delete eth0; read end; exit 4") as running:
        running.facts("the network namespace has lost its network", running.errors)
        assert running.end()[0] == 4


def test_join_beside_what_is_there(rooted, lab, blue, nothing_left):
    """An interface of that name, and a default route, are somebody else's."""
    path = f"/run/netns/{blue.name}"
    blue.ip("link add eth0 type bridge")
    said = rooted.command("netns", "--netns", path, expect=1)
    assert said.stderr == "there is an interface eth0 already: give another name (--ifname)\n"
    blue.ip("address add 192.0.2.9/24 dev eth0")
    blue.ip("link set eth0 up")
    blue.ip("route add default via 192.0.2.1")
    before = links(blue)
    said = rooted.command("netns", "--netns", path, "--ifname", "eth1", expect=1)
    assert "has a default route already" in said.stderr and said.stdout == ""
    assert links(blue) == before
    with Running(rooted, "--netns", path, "--ifname", "eth1", "--no-config") as running:
        running.facts("ready", running.output)
        assert running.end(signal.SIGTERM)[0] == 0


def test_dhcp(anybody, dns, nothing_left, scratch):
    """--no-config: a real client gets what we would have configured, and writes a resolv.conf that
    nobody else sees."""
    script = scratch / "udhcpc"
    script.write_text(UDHCPC_SCRIPT)
    script.chmod(0o755)
    before = pathlib.Path("/etc/resolv.conf").read_bytes()
    done = anybody.command("netns", "--mtu", "9000", "--no-config", "--", "sh", "-c",
                           "ip -4 -o address show eth0; cat /etc/resolv.conf; "
                           f"busybox udhcpc -f -q -n -t 10 -T 5 -i eth0 -O mtu -s {script} >&2; echo =; "
                           "ip -4 -o address show eth0; cat /sys/class/net/eth0/mtu /etc/resolv.conf; "
                           "ip link show eth0; getent ahostsv4 www.test")
    nothing, _, configured = done.stdout.partition("=\n")
    assert nothing == ""
    lines = done.stderr.splitlines()
    address = fact([line for line in lines if line.startswith("address: ")], "address")
    assert f"inet {address}/30" in configured and " mtu 9000 " in configured
    assert "198.51.100.80 " in configured
    assert pathlib.Path("/etc/resolv.conf").read_bytes() == before


# Bad input: a sentence, and nothing left behind.

@pytest.mark.parametrize("argv", [
    ["--mtu", "575", "true"], ["--mtu", "65521", "true"], ["--mtu", "-1", "true"], ["--mtu", "x", "true"],
    ["--mtu", "", "true"], ["--ifname", "a" * 16, "true"], ["--ifname", "", "true"],
    ["--ifname", "a/b", "true"], ["--ifname", "a b", "true"], ["--ifname", "eth%d", "true"],
    [], ["--no-config"], ["--netns", ""], ["--netns", "1", "true"], ["--nonsense", "true"],
    ["--net-vmnet-subnet", "8.8.8.0/30", "true"], ["--net-vmnet-expose", "1", "true"],
    ["--net-host-access", "all", "true"],
])
def test_usage_errors(anybody, nothing_left, argv):
    done = anybody.command("netns", *argv, expect=64)
    assert done.stdout == "" and done.stderr.startswith("tartlet netns: ")


@pytest.mark.parametrize("where, sentence", [
    ("/etc/passwd", "/etc/passwd is not a network namespace\n"),
    ("/dev/null", "/dev/null is not a network namespace\n"),
    ("/proc/self/ns/uts", "/proc/self/ns/uts is not a network namespace\n"),
    ("/no/such/path", "cannot open the network namespace /no/such/path: No such file or directory\n"),
    ("2147483647", "process 2147483647 does not exist\n"),
    ("12345678901234567890", "process 12345678901234567890 does not exist\n"),
    ("/proc/self/ns/net", "the network namespace of /proc/self/ns/net is the one that tartlet itself is in: a "
                          "guest needs another\n"),
])
def test_no_such_namespace(anybody, nothing_left, where, sentence):
    done = anybody.command("netns", "--netns", where, expect=1)
    assert (done.stdout, done.stderr) == ("", sentence)


def test_process_is_gone(anybody, nothing_left):
    with subprocess.Popen(["true"]) as gone:
        gone.wait()
    assert anybody.command("netns", "--netns", gone.pid, expect=1).stderr == \
        f"process {gone.pid} does not exist\n"


def test_namespace_of_others(user, blue, nothing_left):
    """Root's is not for everybody, by its path or by a process in it."""
    done = user.command("netns", "--netns", f"/run/netns/{blue.name}", expect=1)
    assert done.stderr == "no right to join that network namespace: it belongs to another user or to root\n"
    with blue.popen("cat", stdin=subprocess.PIPE) as process:
        done = user.command("netns", "--netns", process.pid, expect=1)
        process.stdin.close()
    assert done.stderr == f"no right to the network namespace of process {process.pid}\n"
    assert links(blue) == {"lo"}


def test_no_tun(rooted, user, homes, person, blue, nothing_left):
    missing = homes.tartlet(person)
    missing.wrapper = tun.missing()
    done = missing.command("netns", "--", "true", expect=1)
    assert done.stderr == "/dev/net/tun is missing: the kernel's module tun makes it\n"
    closed = homes.tartlet(person)
    closed.wrapper = tun.with_mode("0600")
    done = closed.command("netns", "--", "true", expect=1)
    assert done.stderr == "no right to open /dev/net/tun: it is usually open to every user (mode 0666)\n"
    root = homes.tartlet()
    root.wrapper = tun.missing()
    done = root.command("netns", "--netns", f"/run/netns/{blue.name}", expect=1)
    assert "is missing" in done.stderr
    assert links(blue) == {"lo"}


def test_no_user_namespaces(rooted, nothing_left):
    """The sysctl that some machines set: below a user namespace of the test's own it binds nobody else."""
    argv = rooted.argv("netns", "--", "true")
    at = argv.index(rooted.program)
    wrapped = argv[:at] + ["unshare", "--user", "--map-root-user", "sh", "-c",
                           "echo 0 >/proc/sys/user/max_user_namespaces && exec \"$@\"", "sh", *argv[at:]]
    done = subprocess.run(wrapped, env=rooted.environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.startswith("cannot make user, network and mount namespaces: No space left on device")

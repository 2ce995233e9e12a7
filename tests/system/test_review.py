"""Other rules under very many connections, with real sockets: what they forbid ends, both sides hear RST, and nobody
else waits or loses anything.

The VM is this process: frames by softnet's socket. As many connections as the limit of open files lets the engine have,
100,000 where it can be raised.
"""

import json
import resource
import socket
import struct
import subprocess
import time
import warnings

import pytest
from lab import servers, topology
from lab.softnet import MAC
from lab.waiting import until

PYTHON = "/usr/bin/python3"
WANTED = 100_000
FILES = 140_000
KEPT = 1024        # for what is no connection (network/stages.c, and the servers' own)
PER_PORT = 12_000  # of the host's ephemeral ports
BATCH = 100
FIRST_PORT = 10_000
ISS = 1000
FIN, SYN, RST, ACK = 1, 2, 4, 16
CPU_MOST_S = 100e-6  # for each end: seven times what it takes here

# Takes connections and says, when asked, how many were open and reset, how many ended otherwise, and what they said.
SERVER = """import json, resource, select, socket, sys
limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
listeners = {}
for _ in range(int(sys.argv[1])):
    listener = socket.create_server(("", 0), backlog=4096)
    listener.setblocking(False)
    listeners[listener.fileno()] = listener
print(json.dumps([listener.getsockname()[1] for listener in listeners.values()]), flush=True)
poll = select.epoll()
for number in listeners:
    poll.register(number, select.EPOLLIN)
poll.register(0, select.EPOLLIN)
opened, said = {}, {"opened": 0, "reset": 0, "ended": 0, "bytes": 0}
while True:
    for number, _ in poll.poll(maxevents=1024):
        if number == 0:
            if not sys.stdin.buffer.raw.read(1):
                sys.exit()
            print(json.dumps(said), flush=True)
        elif number in listeners:
            try:
                connection = listeners[number].accept()[0]
            except BlockingIOError:
                continue
            opened[connection.fileno()] = connection
            poll.register(connection.fileno(), select.EPOLLIN | select.EPOLLRDHUP | select.EPOLLET)
            said["opened"] += 1
        else:
            try:
                data = opened[number].recv(100)
            except ConnectionResetError:
                said["reset"] += 1
            else:
                said["bytes" if data else "ended"] += 1
                if data:
                    continue
            opened.pop(number).close()
"""


class Server:
    def __init__(self, namespace, listeners, wrapper):
        self.process = subprocess.Popen([*wrapper, *namespace.argv(PYTHON, "-c", SERVER, listeners)], bufsize=0,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.answers = self.process.stdout
        self.ports = json.loads(self.answers.readline())

    def says(self):
        self.process.stdin.write(b"?")
        return json.loads(self.answers.readline())

    def close(self):
        self.process.stdin.close()
        assert self.process.wait(timeout=60) == 0
        self.answers.close()


def folded(total):
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


class Crowd:
    """TCP by hand, as far as it is needed to open connections and to say a few bytes."""

    def __init__(self, vm):
        self.vm = vm
        self.source = socket.inet_aton(vm.address)
        self.server = socket.inet_aton(topology.SERVER)
        mac = bytes.fromhex(vm.gateway_mac.replace(":", "")) + bytes.fromhex(MAC.replace(":", ""))
        self.ethernet = mac + b"\x08\x00"
        self.numbers = {}  # (own port, server's port) -> what both sides say next
        self.resets = set()

    def send(self, own, port, flags, sequence, acknowledgement=0, data=b""):
        tcp = struct.pack("!HHLLBBHHH", own, port, sequence, acknowledgement, 5 << 4, flags, 65535, 0, 0) + data
        pseudo = self.source + self.server + struct.pack("!HH", 6, len(tcp)) + tcp + b"\0" * (len(tcp) % 2)
        checksum = folded(sum(struct.unpack(f"!{len(pseudo) // 2}H", pseudo)))
        ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(tcp), 0, 0x4000, 64, 6, 0, self.source, self.server)
        header = struct.pack("!H", folded(sum(struct.unpack("!10H", ip))))
        self.vm.vm.send(self.ethernet + ip[:10] + header + ip[12:] + tcp[:16] + struct.pack("!H", checksum) + tcp[18:])

    def hear(self):
        """The next segment: (own port, server's port, flags, sequence, acknowledgement, data)."""
        while True:
            frame = self.vm.vm.recv(65536)
            if frame[12:14] == b"\x08\x00" and frame[23] == 6:
                port, own, sequence, acknowledgement, offset, flags = struct.unpack("!HHLLBB", frame[34:48])
                size = struct.unpack("!H", frame[16:18])[0] - 20 - (offset >> 4) * 4
                return own, port, flags, sequence, acknowledgement, frame[14 + 20 + (offset >> 4) * 4:][:size]

    def open(self, pairs):
        """A connection for each (own port, server's port)."""
        for first in range(0, len(pairs), BATCH):
            batch = set(pairs[first:first + BATCH])
            for own, port in batch:
                self.send(own, port, SYN, ISS)
            while batch:
                own, port, flags, sequence, _, _ = self.hear()
                assert flags & (SYN | ACK | RST) == SYN | ACK, flags
                self.numbers[own, port] = [ISS + 1, sequence + 1]
                self.send(own, port, ACK, ISS + 1, sequence + 1)
                batch.discard((own, port))

    def say(self, own, port, data):
        numbers = self.numbers[own, port]
        self.send(own, port, ACK, *numbers, data)
        numbers[0] += len(data)

    def take(self):
        """One segment; True where the server has answered something on it."""
        own, port, flags, sequence, _, data = self.hear()
        if flags & RST:
            self.resets.add((own, port))
            return False
        if data and sequence == self.numbers[own, port][1]:
            self.numbers[own, port][1] += len(data)
            self.send(own, port, ACK, *self.numbers[own, port])
            return True
        return False


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / resource_ticks()


def resource_ticks():
    return int(subprocess.run(["getconf", "CLK_TCK"], check=True, stdout=subprocess.PIPE).stdout)


@pytest.fixture(scope="module")
def files():
    """(a command before each program, how many files it may open)."""
    wrapper = ["prlimit", f"--nofile={FILES}:{FILES}"]
    if subprocess.run([*wrapper, "true"], check=False, stderr=subprocess.DEVNULL).returncode == 0:
        return wrapper, FILES
    return [], resource.getrlimit(resource.RLIMIT_NOFILE)[1]


def test_connections_end(softnet, lab, files):
    wrapper, limit = files
    count = min(WANTED, (limit - KEPT) * 7 // 8)
    if count < WANTED:
        warnings.warn(f"{count} connections instead of {WANTED}: at most {limit} files may be open, and this machine "
                      "does not let us raise that", stacklevel=1)
    assert count > 0
    server = Server(lab.server, -(-count // PER_PORT), wrapper)
    with servers.TcpEcho(lab.server) as echo:
        everywhere = f"{topology.SERVER}/32"
        vm = softnet("--allow", everywhere, wrapper=wrapper)
        vm.lease()
        crowd = Crowd(vm)
        pairs = [(FIRST_PORT + i % PER_PORT, server.ports[i // PER_PORT]) for i in range(count)]
        crowd.open(pairs)
        friend = FIRST_PORT - 1, echo.port
        crowd.open([friend])
        until(lambda: server.says()["opened"] == count, 60, "all are open")
        crowd.say(*friend, b"a")
        while not crowd.take():
            pass

        before, began = cpu_seconds(vm.engine()), time.monotonic()
        block = [f"{everywhere}:{port}" for port in server.ports]
        answer = vm.ask("softnet.policy.set", allow=[everywhere], block=block, desiredRevision="1")
        assert "result" in answer, answer
        answered = time.monotonic()
        # From here on no byte passes, though most of them are still there.
        crowd.say(*pairs[-1], b"forbidden")
        longest, questions = 0, 0
        while len(crowd.resets) < count:
            asked = time.monotonic()
            crowd.say(*friend, b"a")
            while not crowd.take():
                pass
            longest, questions = max(longest, time.monotonic() - asked), questions + 1
        until(lambda: server.says()["reset"] == count, 60, "all peers heard RST")
        ended = time.monotonic()
        spent = (cpu_seconds(vm.engine()) - before) / count
        assert crowd.resets == set(pairs)
        assert server.says() == {"opened": count, "reset": count, "ended": 0, "bytes": 0}
        print(f"{count} connections: rules in force after {answered - began:.3f} s, all ended after {ended - began:.3f} s, "
              f"{spent * 1e6:.1f} us of CPU each; {questions} questions meanwhile, {longest * 1e3:.1f} ms at most")
        assert questions > 0
        assert spent < CPU_MOST_S
        assert vm.end() == (0, "")
        server.close()

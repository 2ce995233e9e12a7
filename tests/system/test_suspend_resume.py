"""A VM that is suspended and goes on where it was, with its network made anew."""

import os
import signal
import subprocess

import pytest
from lab import guest as guests
from lab import servers, topology
from lab.tartlet import qemu_pids, wait_gone
from lab.waiting import until

NAME = "heron"
EXPOSE = ["0:2", "0:7", "0:7/udp"]
STATE = "suspend.state"
# By another name: who looks is not to find it empty.
COUNTER = "i=0; while :; do i=$((i+1)); echo $i >/run/count.new; mv /run/count.new /run/count; sleep 0.1; done"
AWAIT_GO = "while [ ! -e /run/go ]; do sleep 0.1; done"


class Bird:
    """The VM of these tests, which runs or is suspended as a test wants it."""

    def __init__(self, tartlet):
        self.tartlet = tartlet
        self.folder = tartlet.home / "vms" / NAME
        self.running = None

    def state(self):
        return self.tartlet.json("get", NAME)["State"]

    def run(self, *options):
        self.running = self.tartlet.run(NAME, *options, expose=EXPOSE)
        return self.running

    def up(self):
        """It runs and answers, however the test before left it."""
        if self.running is None or self.running.process.poll() is not None:
            self.run()
        return self.running.up()

    def suspend(self):
        self.tartlet.command("suspend", NAME)
        assert self.running.wait() == 0
        assert self.state() == "suspended"

    def leftovers(self):
        return sorted(path.name for path in self.folder.glob("suspend.*"))


@pytest.fixture(scope="module")
def bird(homes, guest):
    """In a home with a file system of its own, which a test can fill."""
    tartlet = homes.tartlet()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=600m", "tmpfs", tartlet.home], check=True)
    tartlet.create(NAME, guest)
    made = Bird(tartlet)
    yield made
    if made.running:
        made.running.end()
    subprocess.run(["umount", tartlet.home], check=True)


class Listener(servers.Server):
    """Keeps the connection, and never says a word."""

    def handle(self, connection):
        connection.recv(1)


def check_network(lab, running, agent):
    """Forwards of both protocols, and the way out, as the guest knows its network from before."""
    assert agent.lease()["address"] == running.address
    answer, _ = guests.answers(lab.host, "127.0.0.1", running.port(7, "udp"))
    assert answer.endswith(b"hello")
    with servers.Greeter(lab.server) as greeter, servers.UdpEcho(lab.server) as echo:
        assert agent.run(f"tcp-ask {topology.SERVER} {greeter.port} 60 </dev/null") == topology.HOST
        assert "6 bytes from" in agent.run(f"udp-ask {topology.SERVER} {echo.port} 6")


def test_goes_on_twice(lab, bird):
    agent = bird.up()
    agent.tell(COUNTER)
    listener = Listener(lab.server)
    agent.tell(f"({AWAIT_GO}; echo late; sleep 1) | tcp-ask {topology.SERVER} {listener.port} "
               f"2>/run/old; echo $? >/run/old.exit")
    until(lambda: listener.peers, 120, "connection of before")
    facts = {name: bird.running.fact(name) for name in ("subnet", "address")}
    uptime, count = agent.uptime(), 0
    for _ in range(2):
        bird.suspend()
        assert bird.leftovers() == [STATE]
        assert "is suspended" in bird.running.output
        said = bird.tartlet.command("get", NAME).stdout
        assert ["State", "suspended"] in [line.split() for line in said.splitlines()]
        assert [vm["State"] for vm in bird.tartlet.json("list") if vm["Name"] == NAME] == ["suspended"]
        refused = bird.tartlet.command("suspend", NAME, expect=2)
        assert refused.stderr == f'VM "{NAME}" is not running: it is suspended already\n'
        running = bird.run("--suspendable")
        assert {name: running.fact(name) for name in facts} == facts
        words = running.output
        assert words.index("restoring VM state") < words.index("resuming VM") < words.index("subnet:")
        assert bird.leftovers() == []
        assert bird.state() == "running"
        agent = bird.up()
        assert uptime < agent.uptime()
        uptime = agent.uptime()
        counted = int(agent.run("cat /run/count"))
        assert counted > count
        count = counted
        agent.run(f"while [ $(cat /run/count) = {counted} ]; do sleep 0.1; done")
        check_network(lab, running, agent)
    agent.run("touch /run/go; while [ ! -s /run/old.exit ]; do sleep 0.1; done")
    assert "reset" in agent.run("cat /run/old")
    listener.__exit__()


def test_clone_goes_on(lab, bird):
    """Where the other was: its guest has the address of that."""
    tartlet, place = bird.tartlet, bird.running.fact("subnet")
    bird.suspend()
    tartlet.command("clone", NAME, "egret")
    clone = tartlet.run("egret", expose=EXPOSE)
    assert "restoring VM state" in clone.output and clone.fact("subnet") == place
    check_network(lab, clone, clone.up())
    said = tartlet.command("run", NAME, "--net-vmnet-subnet", place, *tartlet.console(NAME), expect=1).stderr
    assert place.split("/")[0] in said
    clone.end()
    tartlet.command("delete", "egret")


def test_refuses_another_machine(bird, tmp_path):
    if bird.state() != "suspended":
        bird.up()
        bird.suspend()
    disk = tmp_path / "more.img"
    disk.write_bytes(bytes(1 << 20))
    attached = "stream" if bird.tartlet.net_attach != "stream" else "vhost-user"
    for options, difference in [(["--disk", disk], "its number of disks was 0"),
                                (["--net-attach", attached], "its network attachment was"),
                                ([], "its machine was"),  # without a console
                                (["--net-vmnet-subnet", "10.99.88.0/30"], "its subnet was")]:
        console = bird.tartlet.console(NAME) if options else ()
        said = bird.tartlet.command("run", NAME, *options, *console, expect=1).stderr
        assert difference in said and f"`tartlet stop {NAME}' gives it up" in said
        assert bird.state() == "suspended"
    header = (bird.folder / STATE).open("r+b")
    with header:
        header.write(b"X")
    assert "is damaged" in bird.tartlet.command("run", NAME, *bird.tartlet.console(NAME), expect=1).stderr
    with (bird.folder / STATE).open("r+b") as header:
        header.write(b"t")
    bird.run()
    bird.up()
    assert bird.leftovers() == []


def fill(folder, left):
    """A file that leaves but so many bytes of the file system."""
    filler = folder / "filler"
    room = os.statvfs(folder)
    with filler.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, room.f_bavail * room.f_frsize - left)
    return filler


def test_no_room(lab, bird):
    """The guest goes on, nothing is left of the attempt, and the next one is a new one."""
    agent = bird.up()
    uptime = agent.uptime()
    (qemu,) = qemu_pids(bird.running.pids())
    filler = fill(bird.tartlet.home, 4 << 20)
    refused = bird.tartlet.command("suspend", NAME, expect=1).stderr
    assert f'VM "{NAME}" was not suspended and goes on: ' in refused and "No space left" in refused
    assert f"{STATE}.new" not in bird.leftovers()
    assert agent.uptime() > uptime
    assert qemu_pids(bird.running.pids()) == [qemu]
    check_network(lab, bird.running, agent)
    filler.unlink()
    bird.suspend()
    assert bird.leftovers() == [STATE]


def save_that_waits(bird):
    """A save under way, whose QEMU does not answer until it is told to. The guest may be booting."""
    if bird.running.process.poll() is not None:
        bird.run()
    (qemu,) = qemu_pids(bird.running.pids())
    os.kill(qemu, signal.SIGSTOP)
    bird.tartlet.command("suspend", "--no-wait", NAME)
    bird.running.wait_for(lambda: "creating a snapshot" in bird.running.output, 120,
                          "beginning of the save")
    return qemu


def test_stopped_while_saving(bird):
    qemu = save_that_waits(bird)
    stop = subprocess.Popen(bird.tartlet.argv("stop", NAME), env=bird.tartlet.environment)
    bird.running.wait_for(lambda: "a second signal stops it at once" in bird.running.output, 120,
                          "word on the signal")
    os.kill(qemu, signal.SIGCONT)
    assert bird.running.wait() == 0
    assert stop.wait(120) == 0
    assert bird.state() == "stopped" and bird.leftovers() == []


def test_second_signal_while_saving(bird):
    qemu = save_that_waits(bird)
    for words in ("a second signal stops it at once", "Stopping VM..."):
        bird.running.process.send_signal(signal.SIGTERM)
        bird.running.wait_for(lambda words=words: words in bird.running.output, 120, words)
    os.kill(qemu, signal.SIGCONT)
    assert bird.running.wait() == 0
    assert bird.state() == "stopped" and bird.leftovers() == []


def test_killed_while_saving(bird):
    save_that_waits(bird)
    pids = bird.running.pids()
    bird.running.kill()
    wait_gone(pids)
    assert bird.state() == "stopped"
    assert bird.leftovers() == [f"{STATE}.new"]
    bird.run()
    assert "restoring" not in bird.running.output
    assert bird.leftovers() == []


def test_stop_gives_the_state_up(bird):
    bird.suspend()
    bird.tartlet.command("stop", NAME)
    assert bird.state() == "stopped" and bird.leftovers() == []
    said = bird.tartlet.command("suspend", NAME, expect=2).stderr
    assert said == f'VM "{NAME}" is not running\n'
    bird.tartlet.command("delete", NAME)
    assert not bird.folder.exists()

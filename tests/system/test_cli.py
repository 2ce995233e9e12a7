"""The program as it is used: options, messages, exit codes, files. No guest is booted: where one would
be, lab/fake_qemu.py stands in QEMU's place."""

import contextlib
import fcntl
import hashlib
import itertools
import json
import os
import pathlib
import re
import resource
import shutil
import signal
import socket
import sqlite3
import stat
import struct
import subprocess
import tempfile
import time

import pytest
from lab.report import cpu_seconds
from lab.tartlet import FACT, FORWARD, children, wait_gone

FAKE_QEMU = pathlib.Path(__file__).resolve().parent / "lab" / "fake_qemu.py"
COMMANDS = ["create", "clone", "run", "exec", "ip", "list", "get", "stop", "delete", "prune", "forward", "netns",
            "nc", "ssh", "rename", "export", "import", "set"]
VERSION = re.compile(r"^tartlet \d+\.\d+\.\d+\n$")


def free_ports(count):
    """The first of so many on loopback that nobody listens on, below those the kernel gives away."""
    with open("/proc/net/tcp", encoding="ascii") as table:
        used = {int(line.split()[1].rpartition(":")[2], 16) for line in list(table)[1:]}
    return next(first for first in range(10000, 32000 - count, count)
                if used.isdisjoint(range(first, first + count)))


def without_ping(errors):
    """Without what an ordinary user is told of ping on some hosts: test_user.py has that."""
    return re.sub(r"^.*: host: ping is not allowed here.*\n", "", errors, flags=re.MULTILINE)


class Running:
    """A `tartlet run` over the fake, after its guest was started."""

    def __init__(self, cli, argv, environment, **options):
        options = {"stdin": subprocess.DEVNULL, "stderr": subprocess.PIPE} | options
        self.process = subprocess.Popen([cli.program, "run", *argv], env=environment, text=True,
                                        stdout=subprocess.PIPE, start_new_session=True, **options)
        cli.running.append(self)
        self.lines = []
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))
            if line.startswith("address: "):
                break
        else:
            errors = self.process.stderr.read() if self.process.stderr else ""
            raise AssertionError(f"tartlet run {argv} ended by itself:\n{self.lines}\n{errors}")

    def fact(self, name):
        found = [match["value"] for match in map(FACT.match, self.lines) if match and match["name"] == name]
        assert len(found) == 1, self.lines
        return found[0]

    def end(self, number=None, timeout=120):
        """Exit code, the rest of standard output, standard error."""
        if number:
            self.process.send_signal(number)
        output, errors = self.process.communicate(timeout=timeout)
        return self.process.returncode, output, without_ping(errors)


class Cli:
    """The program with a home of its own below SCRATCH."""

    def __init__(self, program, path):
        self.program = program
        self.path = path
        self.home = path / "home"
        self.running = []
        (path / "bin").mkdir()
        (path / "runtime").mkdir(mode=0o700)
        shutil.copyfile(FAKE_QEMU, path / "bin/qemu-system-x86_64")
        (path / "bin/qemu-system-x86_64").chmod(0o755)
        (path / "kernel").write_bytes(b"kernel" * 100)
        (path / "initrd").write_bytes(b"initrd" * 100)
        self.environment = os.environ | {
            "TARTLET_HOME": str(self.home), "HOME": str(path), "LC_ALL": "C.UTF-8",
            "XDG_RUNTIME_DIR": str(path / "runtime"), "PATH": f"{path}/bin:{os.environ['PATH']}",
        }

    def run(self, *argv, expect=0, cwd=None, **environment):
        """stdout, stderr of a command that ends by itself."""
        done = subprocess.run([self.program, *map(str, argv)], env=self.environment | environment,
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=150,
                              cwd=cwd, check=False)
        assert done.returncode == expect, f"{argv}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout, without_ping(done.stderr)

    def refused(self, *argv, expect=64):
        """What it says on standard error, when it says nothing else."""
        output, errors = self.run(*argv, expect=expect)
        assert output == "" and errors
        return errors

    def create(self, name, *options):
        self.run("create", name, "--kernel", self.path / "kernel", "--initrd", self.path / "initrd",
                 *options)
        return self.home / "vms" / name

    def start(self, *argv, **environment):
        return Running(self, [str(word) for word in argv], self.environment | environment)

    def config(self, name):
        return json.loads((self.home / "vms" / name / "config.json").read_text())


@pytest.fixture
def cli(program, tmp_path):
    made = Cli(program, tmp_path)
    yield made
    for running in made.running:
        if running.process.poll() is None:
            running.process.kill()
            running.process.communicate()


@pytest.fixture
def vm(cli):
    cli.create("one")
    return "one"


def test_version_and_help(cli):
    assert VERSION.match(cli.run("--version")[0])
    output = cli.run("--help")[0]
    for command in COMMANDS:
        assert re.search(rf"^  {command} +\S", output, re.MULTILINE)
    assert not cli.home.exists()


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command(cli, command):
    output = cli.run(command, "--help")[0]
    assert output.startswith(f"Usage: tartlet {command} ")
    assert f"\n  tartlet {command} " in output.partition("Examples:")[2]
    assert VERSION.match(cli.run(command, "--version")[0])
    assert not cli.home.exists()


@pytest.mark.parametrize(("argv", "instead"), [
    (["pull", "--insecure", "ghcr.example/debian:latest"], "--from-disk"),
    (["push", "one", "ghcr.example/debian:latest", "--chunk-size", "4"], "tartlet export"),
    (["login"], "no registry"), (["logout", "ghcr.example"], "no registry"), (["fqn", "one"], "local"),
])
def test_registry_command(cli, argv, instead):
    said = cli.refused(*argv, expect=1)
    assert said.startswith(f"tartlet {argv[0]} is not available yet: ") and instead in said
    assert cli.run(argv[0], "--help")[0].startswith(f"Usage: tartlet {argv[0]} ")
    assert not cli.home.exists()
    listed = cli.run("--help")[0].partition("Not available yet: ")[2].partition("\n")[0]
    assert (argv[0] in listed) == (argv[0] != "fqn")  # which Tart hides, too


@pytest.mark.parametrize("argv", [
    [], ["--nonsense"], ["nonsense"], ["create"], ["run"], ["ip"], ["get"], ["stop"], ["delete"],
    ["forward"], ["forward", "add"], ["forward", "add", "x"], ["forward", "remove", "x"],
    ["forward", "list"], ["forward", "change", "x", "1:1"], ["forward", "list", "x", "1:1"],
    ["create", "x"], ["create", "x", "--kernel", "k"], ["create", "x", "--initrd", "i"],
    ["create", "x", "--kernel", "", "--initrd", "i"], ["create", "x", "--kernel", "k", "--initrd", ""],
    ["create", "x", "--kernel", "k", "--initrd", "i", "--disk", ""],
    ["create", "x", "--from-disk", ""], ["create", "x", "--backing"], ["create", "x", "--disk-size", "1"],
    ["create", "x", "--linux", "--from-disk", "d"], ["create", "x", "--linux", "--kernel", "k", "--initrd", "i"],
    ["create", "x", "--linux", "--cmdline", "a"], ["create", "x", "--from-disk", "d", "--kernel", "k"],
    ["run", "x", "--disk", ""], ["run", "x", "--disk", ":ro"], ["run", "x", "--disk", "d:rw"],
    ["run", "x", "--disk", "d:sync=never"], ["run", "x", "--root-disk-opts", "rw"],
    ["create", "x", "--kernel", "k", "--initrd", "i", "--cpu", "0"],
    ["create", "x", "--kernel", "k", "--initrd", "i", "--cpu", "256"],
    ["create", "x", "--kernel", "k", "--initrd", "i", "--cpu", "two"],
    ["create", "x", "--kernel", "k", "--initrd", "i", "--memory", "31"],
    ["create", "x", "--kernel", "k", "--initrd", "i", "--disk-size", "0"],
    ["create", "x", "--kernel", "k", "--initrd", "i", "--disk-size", "-1"],
    ["create", "x", "--kernel", "k", "--initrd", "i", "--cmdline", "a\nb"],
    ["create", "x", "y", "--kernel", "k", "--initrd", "i"],
    ["run", "x", "--serial-path", ""], ["run", "x", "--serial", "--serial-path", "p"],
    ["run", "x", "y"], ["run", "x", "--accel", "hvf"], ["run", "x", "--nonsense"],
    ["run", "x", "--net-pcap", ""], ["run", "x", "--net-attach", "tap"],
    ["run", "x", "--net-host-access", "all"],
    ["run", "x", "--mtu", "575"], ["run", "x", "--mtu", "65521"], ["run", "x", "--net-tcp-backlog", "none"],
    ["run", "x", "--net-busy-poll", "1001"], ["run", "x", "--net-busy-poll", "-1"],
    ["run", "x", "--net-vmnet-expose"], ["run", "x", "--net-vmnet-expose", "0:0"],
    ["ip", "x", "--wait", "-1"], ["ip", "x", "--wait", "soon"], ["ip", "x", "--resolver", "mdns"],
    ["list", "x"], ["list", "--format", "yaml"], ["list", "--source", "cloud"], ["get", "x", "-f", "xml"],
    ["get", "x", "y"], ["stop", "x", "-t", "x"], ["stop", "x", "y"],
    ["forward", "add", "x", ""], ["forward", "add", "x", "1"], ["forward", "remove", "x", "0:1"],
    ["set"], ["set", "x", "--cpu", "0"], ["set", "x", "--memory", "31"], ["set", "x", "--disk", ""],
    ["set", "x", "--display", "1024"], ["set", "x", "--display", "1024x63"], ["set", "x", "--disk-size", "0"],
    ["set", "x", "y", "--cpu", "2"], ["set", "--cpu", "2"],
    ["rename"], ["rename", "x"], ["rename", "x", "y", "z"], ["rename", "x", "y", "--nonsense"],
    ["clone"], ["clone", "x"], ["clone", "x", "y", "z"], ["clone", "x", "x"], ["clone", "x", "y", "--nonsense"],
    ["nc"], ["nc", "x"], ["nc", "x", "0"], ["nc", "x", "65536"], ["nc", "x", "ssh"], ["nc", "x", "22", "23"],
    ["nc", "x", "22", "--nonsense"], ["nc", "x", "-1"],
    ["ssh"], ["ssh", "-l"], ["ssh", "-l", "", "x"], ["ssh", "-p", "0", "x"], ["ssh", "-p", "x", "x"],
    ["ssh", "--nonsense", "x"],
    ["netns"], ["netns", "--mtu", "575", "true"], ["netns", "--mtu", "65521", "true"],
    ["netns", "--ifname", "0123456789abcdef", "true"], ["netns", "--netns", "1", "true"],
    ["netns", "--nonsense", "true"], ["netns", "--net-vmnet", "true"],
])
def test_usage_errors(cli, argv):
    said = cli.refused(*argv)
    assert said.startswith("tartlet")
    assert not cli.home.exists(), "something was made for a command that was wrong"


@pytest.mark.parametrize("name", ["", ".", "..", ".x", "a/b", "/etc", "a\nb", "\x1b[2J", "\udcff", "x" * 256])
@pytest.mark.parametrize("command", [["run"], ["create"], ["clone"], ["clone", "x"], ["rename"], ["rename", "x"], ["delete"], ["get"], ["forward", "list"], ["nc"], ["ssh"]])
def test_bad_names(cli, command, name):
    said = cli.refused(*command, name)
    assert "VM name" in said and "\x1b" not in said
    assert not cli.home.exists()


@pytest.mark.parametrize("spec, piece", [
    ("2222", "2222"), ("80:80,2222:0", "2222:0"), ("99999:22", "99999:22"), ("2222:22, 80:80", " 80:80"),
])
def test_expose_names_the_bad_piece(cli, spec, piece):
    said = cli.refused("run", "x", "--net-vmnet-expose", spec)
    assert (f'invalid port forwarding spec "{piece}": expected EXTERNAL_PORT:INTERNAL_PORT[/PROTOCOL] '
            "with non-zero ports") in said


def test_expose_names_the_unknown_protocol(cli):
    said = cli.refused("run", "x", "--net-vmnet-expose", "2222:22/sctp")
    assert 'spec "2222:22/sctp": unknown protocol "sctp", expected tcp or udp' in said


@pytest.mark.parametrize("argv", [["run", "x", "--net-vmnet-expose"], ["forward", "add", "x"]])
def test_as_many_forwards_as_there_can_be(cli, argv):
    said = cli.refused(*argv, "1-4000:1-4000,5001-5097:1-97")
    assert 'spec "5001-5097:1-97": with it there are 4097 forwards, at most 4096 are possible' in said


def test_spec_with_control_characters(cli):
    assert 'spec "\\u001b[2J": expected' in cli.refused("run", "x", "--net-vmnet-expose", "\x1b[2J")


def test_expose_twice_over_two_options(cli):
    said = cli.refused("run", "x", "--net-vmnet-expose", "80:80", "--net-vmnet-expose", "80:81")
    assert 'spec "80:81"' in said and "80/tcp" in said


# One line a kind of network; each option means its kind.
KINDS = [
    [["--net-vmnet"], ["--net-vmnet-expose", "0:22"], ["--net-vmnet-subnet", "10.9.8.0/30"],
     ["--net-vmnet-allow", "@host"], ["--net-vmnet-block", "@host"]],
    [["--net-bridged", "eth0"]],
    [["--net-softnet"], ["--net-softnet-allow", "@host"], ["--net-softnet-block", "@host"],
     ["--net-softnet-expose", "2222:22"], ["--net-softnet-control-fd", "3"]],
    [["--net-host"]],
]
OTHERS = [["--net-bridged", "eth0"]]
NO_VM = 'the specified VM "x" does not exist\n'
EXCLUSIVE = "--net-bridged, --net-softnet, --net-host and --net-vmnet are mutually exclusive"


def test_exclusive(cli):
    """All pairs, in either order."""
    for kind, others in itertools.permutations(KINDS, 2):
        for one, other in itertools.product(kind, others):
            said = cli.refused("run", "x", *one, *other)
            assert said.splitlines()[0] == f"tartlet run: {EXCLUSIVE}", (one, other)


def test_options_of_one_kind_go_together(cli):
    """Whichever they are: what is missing is the VM."""
    for kind in KINDS[0], KINDS[3]:
        assert cli.refused("run", "x", *itertools.chain(*kind), *kind[0], expect=1) == NO_VM
    for option in ["--mtu", "9000"], ["--net-pcap", "x"], ["--net-host-access", "lan"], ["--net-busy-poll", "0"]:
        assert cli.refused("run", "x", "--net-host", *option, expect=1) == NO_VM
        if option[0] != "--net-host-access":
            assert cli.refused("run", "x", "--net-softnet", *option, expect=1) == NO_VM
    assert cli.refused("run", "x", *itertools.chain(*KINDS[2][:-1]), expect=1) == NO_VM


@pytest.mark.parametrize(("argv", "said"), [
    (["--net-softnet-allow", "@guest"], '"@guest"'), (["--net-softnet-block", "10.0.0.0/33"], '"10.0.0.0/33"'),
    (["--net-softnet-allow", ""], '""'), (["--net-softnet-expose", "2222"], '"2222"'),
    (["--net-softnet-expose", "80:80", "--net-softnet-expose", "80:81"], 'spec "80:81"'),
    (["--net-softnet", "--net-host-access", "lan"], "--net-softnet-allow @host"),
    (["--net-softnet-control-fd", "x"], '"x"')])
def test_what_softnet_would_refuse(cli, argv, said):
    """It is refused before there is a softnet, or anything else."""
    first = cli.refused("run", "x", *argv).splitlines()[0]
    assert first.startswith("tartlet run: ") and said in first
    assert not cli.home.exists()


def test_control_channel_that_is_none(cli):
    with contextlib.ExitStack() as stack:
        def own(*sockets):
            return [stack.enter_context(one) for one in sockets]
        datagram = own(*socket.socketpair(type=socket.SOCK_DGRAM))[0]
        unconnected = own(socket.socket(socket.AF_UNIX))[0]
        internet = own(socket.create_server(("127.0.0.1", 0)))[0]
        tcp = own(socket.create_connection(internet.getsockname()))[0]
        file = stack.enter_context(open(cli.path / "kernel", "rb"))
        good = own(*socket.socketpair())[0]
        for fd in 0, 2, 400, *(one.fileno() for one in (datagram, unconnected, tcp, file)):
            done = subprocess.run([cli.program, "run", "x", "--net-softnet-control-fd", str(fd)], env=cli.environment,
                                  pass_fds=[fd] if 2 < fd < 400 else [], stdin=good, capture_output=True, text=True, check=False)
            assert (done.returncode, done.stdout) == (64, "")
            assert done.stderr.startswith(f'tartlet run: invalid value "{fd}" for --net-softnet-control-fd: expected an ')
        done = subprocess.run([cli.program, "run", "x", "--net-softnet-control-fd", str(good.fileno())],
                              env=cli.environment, pass_fds=[good.fileno()], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (1, NO_VM)


def softnet_in_path(cli, script):
    """tartlet away from its own softnet, with another in PATH. Where tartlet is then."""
    alone = cli.path / "alone"
    alone.mkdir(exist_ok=True)
    shutil.copy(cli.program, alone / "tartlet")
    (cli.path / "bin/softnet").write_text(f"#!/bin/sh\n{script}\n", encoding="ascii")
    (cli.path / "bin/softnet").chmod(0o755)
    cli.program = alone / "tartlet"


REPORT = "for word; do case $word in --report-fd=*) echo '{}' >/proc/self/fd/${word#*=};; esac; done; exec sleep 60"


@pytest.mark.parametrize(("script", "last"), [
    ("echo because >&2; exit 3", "softnet ended with exit status 3 before there was a network"),
    ("kill -9 $$", "softnet ended with signal 9 (Killed) before there was a network"),
    (REPORT, "softnet's report is not what this version of tartlet expects")])
def test_softnet_that_fails(cli, vm, script, last):
    softnet_in_path(cli, script)
    before = sorted(os.listdir(cli.home / "vms" / vm))
    said = cli.refused("run", vm, "--net-softnet", expect=1).splitlines()
    assert said[-1] == last and ("because" in said) == ("because" in script)
    assert sorted(os.listdir(cli.home / "vms" / vm)) == sorted([*before, "qemu.log"])
    assert json.loads(cli.run("get", vm, "-f", "json")[0])["State"] == "stopped"


def test_softnet_is_not_found(cli, vm):
    softnet_in_path(cli, "")
    (cli.path / "bin/softnet").unlink()
    said = cli.refused("run", vm, "--net-softnet", expect=1).splitlines()[-1]
    assert said.startswith("softnet is found neither beside tartlet (libexec/tartlet) nor in PATH")


def test_softnet_is_told_to_end(cli, vm):
    """A VM is stopped while its network is not there yet: softnet, which would not answer, does not keep it."""
    pid_file = cli.path / "softnet.pid"
    os.mkfifo(pid_file)
    softnet_in_path(cli, f"trap 'exit 0' INT; echo $$ >{pid_file}; while :; do sleep 0.1; done")
    with subprocess.Popen([cli.program, "run", vm, "--net-softnet"], env=cli.environment, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        with open(pid_file, encoding="ascii") as stream:
            pid = int(stream.readline())
        process.send_signal(signal.SIGINT)
        assert process.wait(120) == 0
        assert process.stdout.read() == "Stopping VM...\n"
    wait_gone([pid])


@pytest.mark.parametrize("attach", ["stream", "vhost-user"])
def test_softnet_is_lost(cli, vm, attach):
    """QEMU says what no network understands: softnet ends, and with it the run."""
    running = cli.start(vm, "--net-softnet", "--net-attach", attach, FAKE_QEMU="babble")
    code, _, errors = running.end()
    assert code == 1 and errors.splitlines()[-1] == "Softnet process terminated prematurely"


def test_softnet_and_the_terminal(cli, vm):
    """Ctrl-C there is for tartlet, which ends QEMU before it ends softnet."""
    running = cli.start(vm, "--net-softnet")
    os.killpg(running.process.pid, signal.SIGINT)
    assert running.end()[:2] == (0, "Stopping VM...\n")


@pytest.mark.parametrize("attach", ["stream", "vhost-user"])
def test_softnet_ends_with_qemu(cli, vm, attach):
    """It is no loss that it has left when QEMU has."""
    running = cli.start(vm, "--net-softnet-expose", "127.0.0.1:0:22", "--net-attach", attach, FAKE_QEMU="poweroff")
    code, _, errors = running.end()
    assert code == 0 and "Softnet" not in errors
    assert not (cli.home / "vms" / vm / "net.sock").exists()


def test_exclusive_of_a_namespace(cli):
    for option in KINDS[0][1:]:
        said = cli.refused("netns", "--net-host", *option, "--", "true")
        assert said.splitlines()[0] == ("tartlet netns: --net-host and the options that begin with --net-vmnet are "
                                        "mutually exclusive")


@pytest.mark.parametrize("other", OTHERS)
def test_not_available_yet(cli, other):
    assert cli.refused("run", "x", *other, expect=1) == f"{other[0]} is not available yet: --net-vmnet is the network there is\n"
    assert not cli.home.exists()


def test_create(cli):
    directory = cli.create("debian", "--cpu", 4, "--memory", 512, "--cmdline", "a=b ä")
    assert (directory / "kernel").read_bytes() == b"kernel" * 100
    assert (directory / "initrd").read_bytes() == b"initrd" * 100
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    config = cli.config("debian")
    assert config["version"] == 1
    assert (config["cpuCount"], config["memorySize"], config["cmdline"]) == (4, 512 << 20, "a=b ä")
    first = int(config["macAddress"].split(":")[0], 16)
    assert first & 3 == 2, "not unicast and locally administered"
    assert config["disks"] == []
    assert list((cli.home / "tmp").iterdir()) == []


def test_create_with_an_empty_disk(cli):
    disk = (cli.create("one", "--disk-size", 2) / "disk.img").stat()
    assert disk.st_size == 2_000_000_000
    assert disk.st_blocks < 100, "not sparse"


def test_create_with_a_disk_that_grows(cli):
    source = cli.path / "source.img"
    with source.open("wb") as file:
        file.write(b"data")
        file.truncate(100_000_256)
    disk = cli.create("one", "--disk", source, "--disk-size", 1) / "disk.img"
    assert disk.stat().st_size == 1_000_000_000
    assert disk.stat().st_blocks < 1000
    with disk.open("rb") as file:
        assert file.read(5) == b"data\0"
    assert (cli.create("two", "--disk", source) / "disk.img").stat().st_size == 100_000_256


def create_refused(cli, *options, **files):
    files = {"kernel": cli.path / "kernel", "initrd": cli.path / "initrd"} | files
    said = cli.refused("create", "one", "--kernel", files["kernel"], "--initrd", files["initrd"],
                       *options, expect=1)
    assert not (cli.home / "vms/one").exists()
    assert list((cli.home / "tmp").iterdir()) == []
    return said


def test_create_refuses_bad_files(cli):
    (cli.path / "empty").touch()
    (cli.path / "qcow").write_bytes(b"QFI\xfb" + bytes(100))
    assert str(cli.path / "none") in create_refused(cli, kernel=cli.path / "none")
    assert "not a regular file with content" in create_refused(cli, initrd=cli.path / "empty")
    assert "not a regular file with content" in create_refused(cli, kernel=cli.path)
    assert "not a regular file with content" in create_refused(cli, kernel="/dev/zero")
    assert "qcow2" in create_refused(cli, "--disk", cli.path / "qcow")


def test_create_does_not_shrink(cli):
    source = cli.path / "source.img"
    source.touch()
    os.truncate(source, 1_000_000_512)
    assert "should be larger than" in create_refused(cli, "--disk", source, "--disk-size", 1)


def test_create_with_a_full_disk(cli):
    """A write that fails leaves nothing behind."""
    def small_files():
        resource.setrlimit(resource.RLIMIT_FSIZE, (300, 300))

    done = subprocess.run([cli.program, "create", "one", "--kernel", cli.path / "kernel", "--initrd",
                           cli.path / "initrd"], env=cli.environment, preexec_fn=small_files,
                          capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert not (cli.home / "vms/one").exists()


def test_create_leaves_the_existing_vm(cli, vm):
    before = (cli.home / "vms/one/config.json").read_bytes()
    assert cli.refused("create", "one", "--kernel", cli.path / "kernel", "--initrd", cli.path / "initrd",
                       expect=1) == 'VM "one" already exists: --force replaces it\n'
    assert (cli.home / "vms/one/config.json").read_bytes() == before


def test_create_by_force(cli, vm):
    before = cli.config("one")["macAddress"]
    (cli.home / "vms/one/known_hosts").touch()
    cli.create("one", "--force", "--cpu", 3)
    assert cli.config("one")["cpuCount"] == 3 and cli.config("one")["macAddress"] != before
    assert not (cli.home / "vms/one/known_hosts").exists()
    cli.create("two", "--force")  # where there is none
    assert list((cli.home / "tmp").iterdir()) == []
    running = cli.start("one", "--accel", "tcg")
    assert cli.refused("create", "one", "--linux", "--force", expect=2) == 'VM "one" is running\n'
    assert running.end(signal.SIGTERM)[0] == 0
    assert cli.config("one")["cpuCount"] == 3


def test_home_cannot_be_made(cli):
    (cli.path / "file").touch()
    said = cli.run("list", expect=1, TARTLET_HOME=str(cli.path / "file/home"))[1]
    assert said.startswith("TARTLET_HOME is invalid: ") and "we can't create it" in said


NOT_WRITABLE = [["run", "one", "--accel", "tcg"], ["delete", "one"], ["clone", "one", "two"], ["create", "two", "--linux"]]


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts")
@pytest.mark.parametrize("argv", NOT_WRITABLE)
def test_home_on_a_read_only_file_system(cli, vm, argv):
    script = 'mount --bind "$TARTLET_HOME" "$TARTLET_HOME"; mount -o remount,bind,ro "$TARTLET_HOME"; exec "$@"'
    done = subprocess.run(["unshare", "--mount", "sh", "-ec", script, "sh", cli.program, *argv],
                          env=cli.environment, capture_output=True, text=True, timeout=150, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert re.fullmatch(f"home directory {cli.home} is not writable: .*: Read-only file system\n", done.stderr)
    assert done.stderr.count("not writable") == 1
    assert cli.run("list", "-q")[0] == "one\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts")
def test_no_room_for_a_draft(cli, vm):
    """Which is another reason than that nobody may write there."""
    script = 'mount -t tmpfs -o nr_inodes=20 none "$TARTLET_HOME"; "$1" list -q; ' \
             'i=0; while mkdir "$TARTLET_HOME/$i" 2>/dev/null; do i=$((i + 1)); done; exec "$1" create two --linux'
    done = subprocess.run(["unshare", "--mount", "sh", "-ec", script, "sh", cli.program], env=cli.environment,
                          capture_output=True, text=True, timeout=150, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert re.fullmatch(f"cannot make {cli.home}/tmp/tartlet-[0-9a-f]*.draft: No space left on device\n", done.stderr)


@pytest.mark.skipif(os.geteuid() != 0, reason="changes its user")
@pytest.mark.parametrize("argv", NOT_WRITABLE)
@pytest.mark.parametrize("lockable", [False, True])
def test_home_of_another_user(program, argv, lockable):
    """Which may be read; config.json too, or it may even be locked, but nothing be made."""
    with tempfile.TemporaryDirectory(prefix="tartlet-") as scratch:  # pytest's own are for root alone
        path = pathlib.Path(scratch)
        shutil.copyfile(program, path / "tartlet")
        cli = Cli(program, path)
        for file in (path, path / "tartlet"):
            file.chmod(0o755)
        cli.create("one")
        cli.run("run", "one", "--accel", "tcg", FAKE_QEMU="poweroff")  # makes the rest of the home
        for file in [cli.home, *cli.home.rglob("*")]:
            file.chmod(0o755 if file.is_dir() else 0o644)
        if lockable:
            (cli.home / "vms/one/config.json").chmod(0o666)
        done = subprocess.run([path / "tartlet", *argv], env=cli.environment | {"XDG_RUNTIME_DIR": ""},
                              user="nobody", group="nogroup", extra_groups=[], capture_output=True, text=True,
                              timeout=40, check=False)
        assert (done.returncode, done.stdout) == (1, "")
        assert re.fullmatch(f"home directory {cli.home} is not writable: .*: Permission denied\n", done.stderr)
        assert done.stderr.count("not writable") == 1
        assert cli.run("list", "-q")[0] == "one\n"


def test_default_home(cli):
    environment = cli.environment.copy()
    del environment["TARTLET_HOME"]
    subprocess.run([cli.program, "list"], env=environment, check=True, stdout=subprocess.DEVNULL)
    assert (cli.path / ".tartlet/vms").is_dir()


def test_what_was_left_in_tmp_is_swept(cli, vm):
    left = cli.home / "tmp/tartlet-0123456789abcdef.draft"
    left.mkdir()
    (left / "disk.img").touch()
    cli.run("list")
    assert not left.exists()


def test_foreign_files_are_not_swept(cli):
    """Where TARTLET_HOME has a tmp/ of the user's own, or a link of that name."""
    (cli.home / "tmp/thesis").mkdir(parents=True)
    (cli.home / "tmp/thesis/ch1").touch()
    cli.run("list")
    assert (cli.home / "tmp/thesis/ch1").exists()
    (cli.home / "tmp").rename(cli.path / "elsewhere")
    (cli.home / "tmp").symlink_to(cli.path / "elsewhere")
    assert cli.run("list", expect=1)[1] == (
        f"{cli.home}/tmp is a symbolic link, which is not followed: the whole home may be one, or set TARTLET_HOME\n")
    assert (cli.path / "elsewhere/thesis/ch1").exists()


def test_list(cli):
    assert cli.run("list")[0] == "\n"
    assert cli.run("list", "--quiet")[0] == ""
    assert json.loads(cli.run("list", "--format", "json")[0]) == []
    cli.create("ubuntu", "--disk-size", 3)
    cli.create("debian")
    assert cli.run("list", "--source", "local", "--quiet")[0] == "debian\nubuntu\n"
    # The blocks that a file takes are the file system's choice: what `list` should say is counted here.
    sizes = {name: sum(path.stat().st_blocks * 512 for path in (cli.home / "vms" / name).iterdir())
             for name in ("debian", "ubuntu")}
    used = time.time() - 3 * 86400 - 60
    os.utime(cli.home / "vms/ubuntu", (used, used))
    assert cli.run("list")[0] == (
        "Source Name   Disk   Size    Accessed   State\n"
        f"local  debian 0 B    {sizes['debian'] / 1000:.1f} kB just now   stopped\n"
        f"local  ubuntu 3.0 GB {sizes['ubuntu'] / 1000:.1f} kB 3 days ago stopped\n")
    entries = json.loads(cli.run("list", "--format", "json")[0])
    moment = entries[0].pop("Accessed")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", moment)
    assert entries == [
        {"Source": "local", "Name": "debian", "Disk": 0, "Size": 0, "Running": False, "State": "stopped"},
        {"Source": "local", "Name": "ubuntu", "Disk": 3, "Size": 0, "Running": False, "State": "stopped",
         "Accessed": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(used))}]


def test_list_of_a_registry(cli, vm):
    """A script of Tart may ask for it; there is none."""
    assert cli.run("list", "--source", "oci", "--quiet")[0] == ""
    assert cli.run("list", "--source", "oci")[0] == "\n"
    assert json.loads(cli.run("list", "--source", "oci", "--format", "json")[0]) == []
    assert "expected local or oci" in cli.refused("list", "--source", "remote")


def test_list_shows_only_vms(cli, vm):
    (cli.home / "vms/empty").mkdir()
    (cli.home / "vms/file").touch()
    assert cli.run("list", "--quiet")[0] == "one\n"


def test_get(cli, vm):
    found = json.loads(cli.run("get", "one", "--format", "json")[0])
    assert found == {"OS": "linux", "CPU": 2, "Memory": 1024, "Disk": 0, "DiskFormat": "raw",
                     "Size": found["Size"], "Display": "1024x768", "Running": False, "State": "stopped",
                     "MAC": cli.config("one")["macAddress"], "Network": None, "Subnet": None, "Address": None,
                     "Forwards": [], "Hostname": "one", "Seed": False}
    assert re.fullmatch(r"\d+\.\d{3}", found["Size"])
    assert cli.run("get", "one")[0] == (
        f"OS         linux\nCPU        2\nMemory     1024 MB\nDisk       0 GB\nDiskFormat raw\n"
        f"Size       {found['Size']} GB\nDisplay    1024x768\nState      stopped\nMAC        {found['MAC']}\n"
        f"Network    -\nSubnet     -\nAddress    -\nHostname   one\nSeed       no\n")


@pytest.mark.parametrize("argv, code", [
    (["run", "none"], 1), (["ip", "none"], 2), (["get", "none"], 2), (["stop", "none"], 2),
    (["delete", "none"], 2), (["forward", "list", "none"], 2), (["forward", "add", "none", "0:1"], 2),
    (["nc", "none", "22"], 2), (["ssh", "none"], 2),
])
def test_missing_vm(cli, argv, code):
    assert cli.refused(*argv, expect=code) == 'the specified VM "none" does not exist\n'


@pytest.mark.parametrize("argv", [
    ["stop", "one"], ["forward", "list", "one"], ["forward", "add", "one", "0:1"],
    ["forward", "remove", "one", "1"], ["nc", "one", "22"],
    ["ssh", "one", "true"],
])
def test_not_running(cli, vm, argv):
    assert cli.refused(*argv, expect=2) == 'VM "one" is not running\n'


@pytest.mark.parametrize("argv, more", [
    ([], ""), (["--resolver", "dhcp"], ""),
    (["--resolver", "arp"], " (not all Linux distributions are compatible with the ARP resolver)"),
    (["--resolver", "agent"], " (also make sure that the QEMU guest agent is running inside of a VM)"),
])
def test_ip_of_a_vm_that_never_ran(cli, vm, argv, more):
    begin = time.monotonic()
    assert cli.refused("ip", "one", *argv, expect=1) == f"no IP address found, is your VM running?{more}\n"
    assert 1 <= time.monotonic() - begin < 30, "a second for the first lease, and not for ever without --wait"


@pytest.mark.parametrize("text, said", [
    ("{", "config.json: line 1"), ("{}", 'config.json: "version" is missing'),
    ('{"version": 2}', 'config.json: "version" is 2'),
])
def test_damaged_config(cli, vm, text, said):
    (cli.home / "vms/one/config.json").write_text(text)
    for argv in (["get", "one"], ["run", "one"], ["ip", "one"], ["set", "one", "--cpu", 2], ["clone", "one", "two"],
                 ["export", "one", cli.path / "one.tvm"]):
        assert cli.refused(*argv, expect=1).startswith(f'VM "one": {said}'), argv
    assert not (cli.path / "one.tvm").exists()
    assert cli.run("list", "--quiet")[0] == "one\n"
    cli.run("delete", "one")


def test_missing_kernel(cli, vm):
    (cli.home / "vms/one/kernel").unlink()
    assert cli.refused("run", "one", expect=1) == "VM is missing files for a supported layout: kernel\n"


def test_delete(cli):
    for name in ("a", "b", "c"):
        cli.create(name)
    assert cli.refused("delete", "a", "none", "c", expect=2) == 'the specified VM "none" does not exist\n'
    assert cli.run("list", "-q")[0] == "b\nc\n"
    assert "VM name" in cli.refused("delete", "b", "../c")
    assert cli.run("list", "-q")[0] == "b\nc\n"
    cli.run("delete", "b", "c")
    assert cli.run("list", "-q")[0] == ""
    assert list((cli.home / "tmp").iterdir()) == []


# In a mount namespace of its own: a home of 1 MB that is filled to the last byte.
FULL_HOME = """
mount -t tmpfs -o size=1M tmpfs "$TARTLET_HOME"
head -c 299520 /dev/zero >disk
"$1" create one --kernel kernel --initrd initrd --disk disk
"$1" run one --accel tcg
cp "$TARTLET_HOME/networks/assignments.db" before.db
head -c 2M /dev/zero >"$TARTLET_HOME/fill" || true
"$1" delete one
"$1" list --quiet
find "$TARTLET_HOME/vms" "$TARTLET_HOME/tmp" -mindepth 1
cp "$TARTLET_HOME/networks/assignments.db" after.db
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts")
def test_delete_on_a_full_disk(cli):
    def assigned(path):
        with contextlib.closing(sqlite3.connect(path)) as database:
            return database.execute("SELECT count(*) FROM assignment").fetchone()

    cli.home.mkdir()
    done = subprocess.run(["unshare", "--mount", "sh", "-ec", FULL_HOME, "sh", cli.program], cwd=cli.path,
                          env=cli.environment | {"FAKE_QEMU": "poweroff"}, stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=150, check=False)
    assert done.returncode == 0, done
    assert done.stdout.endswith("guest has stopped the virtual machine\n")
    assert (assigned(cli.path / "before.db"), assigned(cli.path / "after.db")) == ((1,), (0,))


def test_no_qemu(cli, vm):
    (cli.path / "bin/qemu-system-x86_64").unlink()
    said = cli.run("run", "one", expect=1, PATH=str(cli.path / "bin"))[1]
    assert said.startswith("QEMU is missing: ")


def test_old_qemu(cli, vm):
    said = cli.run("run", "one", expect=1, FAKE_QEMU="old")[1]
    assert said == "QEMU 6.2 is too old: 7.2 or newer is needed\n"


def test_run_prints_the_facts(cli, vm):
    running = cli.start("one", "--accel", "tcg", "--net-vmnet-expose", "0:22,127.0.0.1:0:53/udp")
    assert running.lines[0] == "label: one"
    subnet, address = running.fact("subnet"), running.fact("address")
    assert subnet.endswith("/30") and address.rpartition(".")[0] == subnet.rpartition(".")[0]
    forwards = [match.groupdict() for match in
                (FORWARD.match(running.process.stdout.readline().rstrip()) for _ in range(3))]
    assert [(f["protocol"], f["address"], f["internal"]) for f in forwards] == [
        ("tcp", "0.0.0.0", "22"), ("tcp", "[::]", "22"), ("udp", "127.0.0.1", "53")]
    assert forwards[0]["external"] == forwards[1]["external"] != "0"
    assert "reachable from the network" in running.process.stdout.readline()

    state = json.loads(cli.run("get", "one", "--format", "json")[0])
    assert (state["State"], state["Network"], state["Subnet"], state["Address"]) == ("running", "nat", subnet, address)
    assert [(f["protocol"], f["externalAddress"], f["internalPort"]) for f in state["Forwards"]] == [
        ("tcp", "0.0.0.0", 22), ("tcp", "::", 22), ("udp", "127.0.0.1", 53)]
    assert json.loads(cli.run("list", "-f", "json")[0])[0]["State"] == "running"
    directory = cli.home / "vms/one"
    assert stat.S_IMODE((directory / "control.sock").stat().st_mode) == 0o600

    assert cli.refused("run", "one", expect=2) == 'VM "one" is already running!\n'
    assert cli.refused("delete", "one", expect=1) == 'VM "one" is running\n'
    assert cli.refused("ip", "one", expect=1) == "no IP address found\n"  # nothing is leased

    code, output, errors = running.end(signal.SIGINT)
    assert (code, output, errors) == (0, "Stopping VM...\n", "")
    assert not (directory / "control.sock").exists() and not (directory / "run.json").exists()
    # The assignment stays: the VM gets the same again.
    assert cli.run("ip", "one")[0] == f"{address}\n"
    again = cli.start("one", "--accel", "tcg")
    assert again.fact("subnet") == subnet
    again.end(signal.SIGTERM)
    cli.run("delete", "one")
    cli.create("one")
    cli.refused("ip", "one", expect=1)


def test_not_exposed_by_default(cli, vm):
    running = cli.start("one", "--accel", "tcg")
    assert running.end(signal.SIGTERM)[:2] == (0, "Stopping VM...\n")


def test_expose_address_of_the_home(cli, vm):
    (cli.home / "config.json").write_text('{"expose_address": "127.0.0.1"}')
    running = cli.start("one", "--accel", "tcg", "--net-vmnet-expose", "0:22")
    assert running.process.stdout.readline().startswith("forward: tcp 127.0.0.1:")
    assert cli.run("forward", "add", "one", "0:80")[0].startswith("tcp 127.0.0.1:")
    assert running.end(signal.SIGTERM)[1] == "Stopping VM...\n", "said to be reachable"
    (cli.home / "config.json").write_text('{"expose_address": "eth0"}')
    assert "expose_address should be" in cli.refused("run", "one", "--accel", "tcg", expect=1)


def test_forward_commands(cli, vm):
    running = cli.start("one", "--accel", "tcg")
    lines = cli.run("forward", "add", "one", "127.0.0.1:0:22,127.0.0.1:0:53/udp")[0].splitlines()
    assert [re.sub(r":\d+ ", ":N ", line) for line in lines] == ["tcp 127.0.0.1:N -> 22",
                                                                "udp 127.0.0.1:N -> 53"]
    assert cli.run("forward", "list", "one")[0].splitlines() == lines
    listed = json.loads(cli.run("forward", "list", "one", "--format", "json")[0])
    assert listed == json.loads(cli.run("get", "one", "-f", "json")[0])["Forwards"]
    tcp, udp = (entry["externalPort"] for entry in listed)
    # All or none: the second is taken, so the first is given back.
    cli.refused("forward", "add", "one", f"127.0.0.1:0:80,127.0.0.1:{tcp}:80", expect=1)
    assert cli.run("forward", "list", "one")[0].splitlines() == lines
    said = cli.refused("forward", "remove", "one", f"{tcp},9/udp", expect=1)
    assert "9/udp" in said
    cli.refused("forward", "remove", "one", f"{tcp}:23", expect=1)  # another internal port
    cli.refused("forward", "remove", "one", f"127.0.0.2:{tcp}", expect=1)
    assert cli.run("forward", "list", "one")[0].splitlines() == lines
    assert cli.run("forward", "remove", "one", f"{tcp}:22,127.0.0.1:{udp}/udp")[0] == ""
    assert cli.run("forward", "list", "one")[0] == ""
    running.end(signal.SIGTERM)


def work(running):
    """CPU seconds, of a run and of all commands so far: how busy the machine is does not count."""
    times = os.times()
    return cpu_seconds(running.process.pid) + times.children_user + times.children_system


def test_forward_of_a_thousand_ports(cli, vm):
    """One request, which is little work; with a port in the middle that is taken nothing is added."""
    running = cli.start("one", "--accel", "tcg")
    first = free_ports(1000)
    ports = f"127.0.0.1:{first}-{first + 999}:1-1000"
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", first + 500))
        taken.listen()
        said = cli.refused("forward", "add", "one", ports, expect=1)
    assert said == f"TCP port {first + 500} on 127.0.0.1 is in use by another program\n"
    assert cli.run("forward", "list", "one")[0] == ""
    begin = work(running)
    lines = cli.run("forward", "add", "one", ports)[0].splitlines()
    assert work(running) - begin < 2
    assert len(lines) == 1000 and lines[999] == f"tcp 127.0.0.1:{first + 999} -> 1000"
    assert cli.run("forward", "list", "one")[0].splitlines() == lines
    assert len(json.loads((cli.home / "vms/one/run.json").read_text())["forwards"]) == 1000
    begin = work(running)
    cli.run("forward", "remove", "one", f"{first}-{first + 998}")
    assert work(running) - begin < 2
    assert cli.run("forward", "list", "one")[0].splitlines() == lines[999:]
    assert running.end(signal.SIGTERM)[0] == 0


def test_forward_remove_takes_only_what_is_meant(cli, vm):
    """One port of two addresses, to two ports of the guest."""
    running = cli.start("one", "--accel", "tcg")
    port = cli.run("forward", "add", "one", "127.0.0.1:0:80")[0].split()[1].rpartition(":")[2]
    cli.run("forward", "add", "one", f"127.0.0.2:{port}:81,127.0.0.3:{port}:80,127.0.0.1:{port}:53/udp")
    cli.run("forward", "remove", "one", f"{port}:80")
    left = [f"tcp 127.0.0.2:{port} -> 81", f"udp 127.0.0.1:{port} -> 53"]
    assert cli.run("forward", "list", "one")[0].splitlines() == left
    state = json.loads((cli.home / "vms/one/run.json").read_text())
    assert [entry["internalPort"] for entry in state["forwards"]] == [81, 53]
    # Without an internal port: whatever has this external one, each once.
    cli.run("forward", "remove", "one", f"{port},{port}/udp")
    assert cli.run("forward", "list", "one")[0] == ""
    running.end(signal.SIGTERM)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals(cli, vm, number):
    running = cli.start("one", "--accel", "tcg")
    pids = children(running.process.pid)
    assert running.end(number)[0] == 0
    wait_gone(pids)


def test_started_with_sigint_ignored(cli, vm):
    """As a shell without job control starts what is in the background."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        running = cli.start("one", "--accel", "tcg")
    finally:
        signal.signal(signal.SIGINT, before)
    cli.run("stop", "one")
    assert running.end()[0] == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, "stop"])
@pytest.mark.parametrize("ignored", [False, True])
def test_stopped_before_there_is_a_guest(cli, vm, number, ignored):
    """While QEMU is asked for its version, which it never says."""
    asked = cli.path / "asked"
    os.mkfifo(asked)
    before = signal.signal(signal.SIGINT, signal.SIG_IGN if ignored else signal.SIG_DFL)
    try:
        process = subprocess.Popen([cli.program, "run", "one"], text=True, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, start_new_session=True,
                                   env=cli.environment | {"FAKE_QEMU": "slow", "FAKE_QEMU_ASKED": str(asked)})
    finally:
        signal.signal(signal.SIGINT, before)
    with process:
        try:
            assert asked.read_text() == "x"
            pids = children(process.pid)
            assert len(pids) == 1
            begin = time.monotonic()
            if number == "stop":
                cli.run("stop", "one")
            else:
                process.send_signal(number)
            assert process.communicate(timeout=60) == ("Stopping VM...\n", "")
            # The fake waits for 60 s, and we would for 10 (VERSION_WAIT_MS).
            assert time.monotonic() - begin < 9 and process.returncode == 0
            wait_gone(pids)
        finally:
            process.kill()
    assert cli.start("one", "--accel", "tcg").end(signal.SIGTERM)[0] == 0


def test_guest_that_does_not_answer(cli, vm):
    """The fake has no guest at all, as a real one before it is up."""
    running = cli.start("one", "--accel", "tcg")
    begin = time.monotonic()
    said = cli.refused("nc", "one", "22", expect=1)
    assert 2.5 < time.monotonic() - begin < 60
    assert said.startswith('VM "one": the guest does not answer on TCP port 22 of ') and said.count("\n") == 1
    # who waits for it does not hold up the end of the run
    waiting = subprocess.Popen([cli.program, "nc", "one", "22"], env=cli.environment, text=True,
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert running.end(signal.SIGINT)[0] == 0
    output, said = waiting.communicate(timeout=120)
    assert (output, waiting.returncode) in (("", 1), ("", 2)) and said.count("\n") == 1


def test_control_socket_that_does_not_answer(cli, vm):
    """The run is under way, and somebody removed the socket."""
    running = cli.start("one", "--accel", "tcg")
    (cli.home / "vms/one/control.sock").unlink()
    assert cli.refused("nc", "one", "22", expect=1) == 'VM "one": the VM\'s control socket does not answer\n'
    running.end(signal.SIGINT)


def test_stop(cli, vm):
    running = cli.start("one", "--accel", "tcg")
    cli.run("stop", "one", "-t", "10")
    assert running.end()[0] == 0
    assert cli.refused("stop", "one", expect=2) == 'VM "one" is not running\n'


def test_stop_of_a_stubborn_qemu(cli, vm):
    """SIGTERM does not end QEMU: the time is over first, and tartlet is killed with it."""
    running = cli.start("one", "--accel", "tcg", FAKE_QEMU="stubborn")
    pids = children(running.process.pid)
    cli.run("stop", "one", "--timeout", "0")
    assert running.process.wait(120) == -signal.SIGKILL
    wait_gone(pids)


def test_second_signal_kills_at_once(cli, vm):
    def took():
        running = cli.start("one", "--accel", "tcg", FAKE_QEMU="stubborn")
        begin = time.monotonic()
        running.process.send_signal(signal.SIGINT)
        assert running.process.stdout.readline() == "Stopping VM...\n"
        assert running.end(signal.SIGINT)[0] == 0
        return time.monotonic() - begin

    # After 5 s it would be killed in any case; a busy machine may need as long once.
    assert any(took() < 4 for _ in range(5))


def test_power_button(cli, vm):
    running = cli.start("one", "--accel", "tcg")
    code, output, _ = running.end(signal.SIGUSR2)
    assert (code, output) == (0, "guest has stopped the virtual machine\n")


def test_guest_turns_itself_off(cli, vm):
    output, errors = cli.run("run", "one", "--accel", "tcg", FAKE_QEMU="poweroff")
    assert output.endswith("guest has stopped the virtual machine\n") and errors == ""


def test_qemu_is_stopped_by_others(cli, vm):
    errors = cli.run("run", "one", "--accel", "tcg", FAKE_QEMU="signalled", expect=1)[1]
    assert errors == 'QEMU of VM "one" ended by itself with exit status 0 (host-signal); it left no message\n'


def test_console_is_left(cli, vm):
    """Ctrl-A X is an end in order on a console, which nobody has without --serial."""
    output, errors = cli.run("run", "one", "--accel", "tcg", "--serial", FAKE_QEMU="quit")
    assert output.startswith("label: one\n") and errors == ""
    errors = cli.run("run", "one", "--accel", "tcg", FAKE_QEMU="quit", expect=1)[1]
    assert errors == 'QEMU of VM "one" ended by itself with exit status 0 (host-qmp-quit); it left no message\n'


def test_no_kvm_is_said(cli, vm):
    """One line, exactly where --accel was left to us and KVM cannot be had."""
    running = cli.start("one")
    [qemu] = children(running.process.pid)
    argv = pathlib.Path(f"/proc/{qemu}/cmdline").read_text().split("\0")
    accel = argv[argv.index("-accel") + 1].partition(",")[0]
    assert accel in ("tcg", "kvm")
    code, _, errors = running.end(signal.SIGTERM)
    said = re.fullmatch(r"using TCG, which is slow, instead of KVM: .+\n", errors)
    assert code == 0 and bool(said) == (accel == "tcg") and (said or errors == "")
    assert cli.start("one", "--accel", "tcg").end(signal.SIGTERM)[2] == ""


def test_qemu_fails_at_once(cli, vm):
    output, errors = cli.run("run", "one", "--accel", "tcg", FAKE_QEMU="fail", expect=1)
    assert output == ""
    assert errors == ('QEMU of VM "one" ended by itself with exit status 1; its last words:\n'
                      "qemu: first line\nqemu: the disk is on fire\n")


def test_qemu_crashes(cli, vm):
    errors = cli.run("run", "one", "--accel", "tcg", FAKE_QEMU="crash", expect=1)[1]
    assert 'QEMU of VM "one" ended by itself with signal 6 (Aborted)' in errors


@pytest.mark.parametrize("attach, sentence", [("stream", "impossible frame length"),
                                              ("vhost-user", "closed: its front end is wrong")])
def test_network_attachment_fails(cli, vm, attach, sentence):
    """A frame length of 4 GB, or a message that there is not, ends the attachment; nothing of that size is
    awaited or allocated."""
    errors = cli.run("run", "one", "--accel", "tcg", "--net-attach", attach, FAKE_QEMU="babble", expect=1)[1]
    assert "virtual machine's network attachment has been disconnected with error: " in errors
    assert sentence in errors
    assert cli.start("one", "--accel", "tcg").end(signal.SIGTERM)[0] == 0


def test_killed(cli, vm):
    running = cli.start("one", "--accel", "tcg", "--net-vmnet-expose", "127.0.0.1:0:22")
    pids = children(running.process.pid)
    assert len(pids) == 1
    running.process.kill()
    running.process.wait()
    # The next run waits for what is left of the former by itself.
    again = cli.start("one", "--accel", "tcg")
    assert again.fact("address") == running.fact("address")
    wait_gone(pids)
    assert again.end(signal.SIGTERM)[0] == 0


def test_same_mac(cli):
    """The one about to run gets a new MAC; what runs is left alone."""
    cli.create("first")
    cli.create("second")
    shutil.copyfile(cli.home / "vms/first/config.json", cli.home / "vms/second/config.json")
    mac = cli.config("first")["macAddress"]
    first = cli.start("first", "--accel", "tcg")
    second = cli.start("second", "--accel", "tcg")
    assert second.lines[:2] == ["There is already a running VM with the same MAC address!",
                                "Resetting VM to assign a new MAC address..."]
    assert cli.config("first")["macAddress"] == mac != cli.config("second")["macAddress"]
    assert first.fact("subnet") != second.fact("subnet")
    # The new file is the one that is locked.
    assert cli.refused("run", "second", expect=2) == 'VM "second" is already running!\n'
    assert first.end(signal.SIGTERM)[0] == 0 and second.end(signal.SIGTERM)[0] == 0


def test_subnet_is_had_as_asked_for(cli, vm):
    running = cli.start("one", "--accel", "tcg", "--net-vmnet-subnet", "10.201.33.0/28")
    assert (running.fact("subnet"), running.fact("address")) == ("10.201.33.0/28", "10.201.33.2")
    running.end(signal.SIGTERM)


def test_log_lines_name_the_vm(cli):
    """Here the one that says that another subnet than before had to be taken."""
    cli.create("first")
    cli.create("second")
    first = cli.start("first", "--accel", "tcg")
    subnet = first.fact("subnet")
    assert first.end(signal.SIGTERM)[2] == ""
    second = cli.start("second", "--accel", "tcg", "--net-vmnet-subnet", subnet)
    first = cli.start("first", "--accel", "tcg")
    assert first.fact("subnet") != subnet == second.fact("subnet")
    errors = first.end(signal.SIGTERM)[2].splitlines()
    assert errors and all(line.startswith("first: ") for line in errors)
    assert any("another subnet" in line for line in errors)
    [line] = second.end(signal.SIGTERM)[2].splitlines()
    assert line.startswith(f'second: subnet {subnet} is assigned to "first" too')


@pytest.mark.parametrize("name, begins", [("  padded ", "padded: "), ("x" * 80, "x" * 64 + ": "), ("  ", "  : ")])
def test_log_lines_begin_with_the_label(cli, name, begins):
    cli.create("first")
    cli.create(name)
    first = cli.start("first", "--accel", "tcg")
    subnet = first.fact("subnet")
    assert first.end(signal.SIGTERM)[0] == 0
    running = cli.start(name, "--accel", "tcg", "--net-vmnet-subnet", subnet)
    [line] = running.end(signal.SIGTERM)[2].splitlines()
    assert line.startswith(f'{begins}subnet {subnet} is assigned to "first" too')


@pytest.mark.parametrize("name, holder", [("  ", "another network"), (" a b ", 'VM "a b"')])
def test_sentence_names_the_holder(cli, vm, name, holder):
    cli.create(name)
    running = cli.start(name, "--accel", "tcg", "--net-vmnet-expose", "127.0.0.1:0:22")
    port = FORWARD.match(running.process.stdout.readline().rstrip())["external"]
    said = cli.refused("run", "one", "--accel", "tcg", "--net-vmnet-expose", f"127.0.0.1:{port}:22", expect=1)
    assert said == f"TCP port {port} on 127.0.0.1 is in use by {holder}\n"
    threads = {path.read_text().rstrip("\n")
               for path in pathlib.Path(f"/proc/{running.process.pid}/task").glob("*/comm")}
    assert (name.strip() or "vmnet") in threads
    assert running.end(signal.SIGTERM)[0] == 0


def test_own_port_by_another_address(cli, vm):
    running = cli.start("one", "--accel", "tcg", "--net-vmnet-expose", "0.0.0.0:0:22")
    port = FORWARD.match(running.process.stdout.readline().rstrip())["external"]
    for address in ("0.0.0.0", "127.0.0.1"):
        assert cli.refused("forward", "add", "one", f"{address}:{port}:10", expect=1) == (
            f"TCP port {port} on {address} is forwarded already\n")
    assert running.end(signal.SIGTERM)[0] == 0


def test_closed_standard_streams(cli):
    """No file of ours gets the number of a standard stream, so nothing is printed into one."""
    def close(*numbers):
        def closing():
            for number in numbers:
                os.close(number)
        return closing

    subprocess.run([cli.program, "create", "one", "--kernel", cli.path / "kernel", "--initrd",
                    cli.path / "initrd"], env=cli.environment, preexec_fn=close(0, 1, 2), check=True)
    config = (cli.home / "vms/one/config.json").read_bytes()
    done = subprocess.run([cli.program, "create", "one", "--kernel", "k", "--initrd", "i"],
                          env=cli.environment, preexec_fn=close(0, 1, 2), check=False)
    assert done.returncode == 1
    running = Running(cli, ["one", "--accel", "tcg"], cli.environment, preexec_fn=close(0, 2))
    [qemu] = children(running.process.pid)
    for number in (0, 2):
        assert os.readlink(f"/proc/{running.process.pid}/fd/{number}") == "/dev/null"
    assert os.readlink(f"/proc/{running.process.pid}/fd/1").startswith("pipe:")
    assert os.readlink(f"/proc/{qemu}/fd/0") == "/dev/null"
    running.process.send_signal(signal.SIGTERM)
    assert running.process.wait(120) == 0
    assert (cli.home / "vms/one/config.json").read_bytes() == config


def test_file_limit_is_raised(cli, vm):
    """The soft limit of open files follows the hard one: flows are as many as that leaves."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    running = Running(cli, ["one", "--accel", "tcg"], cli.environment,
                      preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard)))
    assert resource.prlimit(running.process.pid, resource.RLIMIT_NOFILE) == (hard, hard)
    assert running.end(signal.SIGTERM)[0] == 0


def test_lock_of_a_process_that_is_not_visible(cli, vm):
    """As when the VM runs in another container: no pid comes with the lock, but it is locked."""
    with (cli.home / "vms/one/config.json").open("r+b") as file:
        # struct flock: l_type, l_whence, l_start, l_len, l_pid
        fcntl.fcntl(file, fcntl.F_OFD_SETLK, struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0))
        assert json.loads(cli.run("list", "-f", "json")[0])[0]["State"] == "running"
        assert json.loads(cli.run("get", "one", "-f", "json")[0])["State"] == "running"
        assert cli.refused("run", "one", expect=2) == 'VM "one" is already running!\n'
        assert cli.refused("delete", "one", expect=1) == 'VM "one" is running\n'
        assert "not visible" in cli.refused("stop", "one", expect=1)
    assert cli.refused("stop", "one", expect=2) == 'VM "one" is not running\n'


def state_of(home):
    """Every file of the home with its mode, its time and content, and the rows of the assignments."""
    files = {}
    for path in sorted(home.rglob("*")):
        if path.is_file() and ".db" not in path.name:
            status = path.stat()
            # what runs now may be written again, as it was
            written = None if path.name == "run.json" else status.st_mtime_ns
            files[str(path.relative_to(home))] = (status.st_mode, written,
                                                  hashlib.sha256(path.read_bytes()).hexdigest())
    database = sqlite3.connect(f"file:{home}/networks/assignments.db?mode=ro", uri=True)
    with contextlib.closing(database):
        rows = set(database.execute("SELECT * FROM assignment"))
    return files, rows


def test_nothing_is_lost_by_what_is_refused(cli):
    """Two VMs with disks that ran before, a third that runs; all manner of commands fail."""
    source = cli.path / "disk"
    source.write_bytes(b"precious" * 1024)
    for name in ("one", "two", "three"):
        cli.create(name, "--disk", source)
        running = cli.start(name, "--accel", "tcg", "--net-vmnet-expose", "127.0.0.1:0:22")
        if name != "three":
            assert running.end(signal.SIGTERM)[0] == 0
    port = json.loads(cli.run("get", "three", "-f", "json")[0])["Forwards"][0]["externalPort"]
    subnet = running.fact("subnet")
    before = state_of(cli.home)
    assert len(before[1]) == 3 and "vms/one/disk.img" in before[0]
    kernel = ["--kernel", cli.path / "kernel", "--initrd", cli.path / "initrd"]
    for expect, argv in [
            (1, ["create", "one", *kernel]), (1, ["create", "one", *kernel, "--disk", source]),
            (1, ["create", "new", "--kernel", cli.path / "none", "--initrd", cli.path / "initrd"]),
            (64, ["create", "../one", *kernel]), (64, ["create", "one", *kernel, "--cpu", "0"]),
            (1, ["run", "one", "--net-vmnet-expose", f"127.0.0.1:0:80,127.0.0.1:{port}:22"]),
            (1, ["run", "one", "--net-vmnet-subnet", subnet]), (64, ["run", "one", "--net-vmnet-subnet", "1.2.3.4"]),
            (64, ["run", "two", "--net-vmnet-expose", "0:0"]), (1, ["run", "one", "--net-softnet-expose", f"0:80,{port}:22"]),
            (64, ["run", "one", "--net-softnet-allow", "1.2.3.4"]),
            (1, ["run", "two", "--net-pcap", cli.path / "none/x"]), (2, ["run", "three"]), (1, ["run", "none"]),
            (1, ["delete", "three"]), (2, ["delete", "none"]), (64, ["delete", "one", ".."]),
            (2, ["stop", "one"]), (2, ["forward", "add", "one", "0:1"]), (64, ["forward", "add", "three", "0:0"]),
            (1, ["forward", "add", "three", f"127.0.0.1:0:80,127.0.0.1:{port}:80"]),
            (1, ["forward", "remove", "three", "9"])]:
        cli.refused(*argv, expect=expect)
        assert state_of(cli.home) == before, argv
    cli.run("run", "one", "--accel", "tcg", FAKE_QEMU="old", expect=1)
    assert state_of(cli.home) == before
    assert running.end(signal.SIGTERM)[0] == 0


def test_last_words_outlive_a_refused_run(cli, vm):
    cli.run("run", "one", "--accel", "tcg", FAKE_QEMU="fail", expect=1)
    log = cli.home / "vms/one/qemu.log"
    assert "the disk is on fire" in log.read_text()
    cli.refused("run", "one", "--accel", "tcg", "--net-vmnet-expose", "192.0.2.77:0:22", expect=1)
    assert "the disk is on fire" in log.read_text()
    assert cli.start("one", "--accel", "tcg").end(signal.SIGTERM)[0] == 0
    assert log.read_text() == ""


def test_capture(cli, vm):
    path = cli.path / "x.pcapng"
    running = cli.start("one", "--accel", "tcg", "--net-pcap", path)
    running.end(signal.SIGTERM)
    assert path.read_bytes()[:4] == b"\x0a\x0d\x0d\x0a"  # a section header block
    said = cli.refused("run", "one", "--accel", "tcg", "--net-pcap", cli.path / "none/x", expect=1)
    assert str(cli.path / "none/x") in said


def test_label(cli):
    name = "  My VM, Größe=1 " + "x" * 80
    cli.create(name)
    running = cli.start(name, "--accel", "tcg")
    label = name.strip()[:64]
    assert running.lines[0] == f"label: {label}"
    [qemu] = children(running.process.pid)
    argv = pathlib.Path(f"/proc/{qemu}/cmdline").read_text().split("\0")
    value = argv[argv.index("-name") + 1]
    safe = re.sub(r"[^A-Za-z0-9._-]", "-", label)
    assert value == f"guest={label.replace(',', ',,')},process={safe},debug-threads=on"
    running.end(signal.SIGTERM)


def test_blank_label(cli):
    cli.create("  ")
    running = cli.start("  ", "--accel", "tcg")
    assert running.lines[0].startswith("subnet: ")
    [qemu] = children(running.process.pid)
    assert "-name" not in pathlib.Path(f"/proc/{qemu}/cmdline").read_text().split("\0")
    running.end(signal.SIGTERM)


def test_scope_where_systemd_is(cli, vm):
    """The exact call, made where the user has a manager; its failure hinders nothing."""
    runtime = cli.path / "runtime"
    (runtime / "systemd").mkdir()
    (cli.path / "bin/busctl").write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" >{cli.path}/asked\nexit 1\n')
    (cli.path / "bin/busctl").chmod(0o755)
    here = os.open(runtime / "systemd", os.O_PATH)
    with socket.socket(socket.AF_UNIX) as manager:
        manager.bind(f"/proc/self/fd/{here}/private")
        running = cli.start("one", "--accel", "tcg")
        [qemu] = children(running.process.pid)
        code, _, errors = running.end(signal.SIGTERM)
    os.close(here)
    asked = (cli.path / "asked").read_text().split("\n")
    assert asked[7:] == ["StartTransientUnit", "ssa(sv)a(sa(sv))", f"tartlet-one-{qemu}.scope", "fail", "3",
                         "PIDs", "au", "1", str(qemu), "Description", "s", "Virtual machine one", "CollectMode",
                         "s", "inactive-or-failed", "0", ""]
    assert code == 0 and f"tartlet-one-{qemu}.scope could not be made" in errors


@pytest.mark.parametrize("argv", [("list",), ("get", "one"), ("list", "--format", "json")])
def test_output_that_is_not_taken(cli, argv):
    """A script must not take half of a list for the whole."""
    cli.create("one")
    with open("/dev/full", "wb") as full:
        done = subprocess.run([cli.program, *argv], env=cli.environment, stdin=subprocess.DEVNULL, stdout=full,
                              stderr=subprocess.PIPE, text=True, timeout=40, check=False)
    assert (done.returncode, done.stderr) == (1, "standard output did not take all that there is to say\n")

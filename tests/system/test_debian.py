"""Debian 12 as people have it: systemd, OpenSSH, cloud-init, the QEMU guest agent, booted by UEFI from a
partitioned disk.

A boot takes a minute under TCG, so there are few: the tests stand in the order that needs the fewest. Each asks
for the state that it needs (`up`, `down`), so that one can run alone, too.
"""

import json
import re
import shlex
import signal
import subprocess
import tempfile

import pytest
from conftest import ROOT
from lab import debian, pattern, servers, topology
from lab.tartlet import wait_gone

FILE_BYTES = 20_000_000


@pytest.fixture(scope="module")
def directory(scratch):
    """Of this module, on the disk rather than in memory."""
    with tempfile.TemporaryDirectory(prefix="debian-", dir=scratch) as name:
        yield type(scratch)(name)


@pytest.fixture(scope="module")
def key(directory):
    return debian.make_key(directory)


@pytest.fixture(scope="module")
def home(homes):
    """A tartlet with no other VMs."""
    made = homes.tartlet()
    yield made
    made.stop_all()


@pytest.fixture(scope="module")
def plover(home, directory, key):
    """Created, and not started."""
    user_data = directory / "user-data"
    user_data.write_text("#cloud-config\nwrite_files:\n- {path: /etc/told, content: by user data}\n")
    home.command("create", "plover", "--from-disk", debian.make_disk(ROOT), "--disk-size", 3, "--memory", 512,
                 "--ssh-key", key.with_suffix(".pub"), "--hostname", debian.HOSTNAME,
                 "--cloud-init-user-data", user_data)
    return debian.Debian(home, "plover", directory, key)


class FileServer(servers.Server):
    """HTTP, with one file."""

    def handle(self, connection):
        request = b""
        while b"\r\n\r\n" not in request:
            request += connection.recv(4096)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % FILE_BYTES)
        for block in pattern.blocks(FILE_BYTES):
            connection.sendall(block)


def instance(home, name):
    """The id that the VM's seed has."""
    return json.loads((home.home / "vms" / name / "seed.json").read_text())["instanceId"]


# --- stopped, before the first boot -------------------------------------------------------------------------

def listed(home):
    """Name and state, by `list` in JSON, which its table for people has, too."""
    table = home.command("list").stdout.splitlines()
    states = {entry["Name"]: entry["State"] for entry in home.json("list")}
    if not states:
        assert table == [""]
        return states
    assert table[0].split() == ["Source", "Name", "Disk", "Size", "Accessed", "State"]
    for line, (name, state) in zip(table[1:], states.items(), strict=True):
        assert line.split()[:2] == ["local", name] and line.split()[-1] == state
    return states


def told(home, name):
    """What `get` says in JSON; the state is in its text, too."""
    entry = home.json("get", name)
    text = home.command("get", name).stdout
    assert re.search(rf"\b{entry['State']}\b", text), text
    return entry


def test_created(home, plover):
    assert listed(home) == {"plover": "stopped"}
    got = told(home, "plover")
    assert (got["State"], got["CPU"], got["Memory"], got["Disk"], got["DiskFormat"]) == \
        ("stopped", 2, 512, 3, "raw")


# --- the first boot -----------------------------------------------------------------------------------------

def test_first_login_by_the_reported_port(plover):
    plover.up()
    assert plover.run("hostname; id -un; sudo -n id -un").split() == [debian.HOSTNAME, debian.USER, "root"]
    assert plover.run("test -d /sys/firmware/efi && cat /etc/debian_version").startswith("12.")


def test_seed_by_the_gateway(home, plover):
    """Nothing else was there to tell who may log in, and as what machine it is."""
    plover.up()
    assert plover.run("cloud-init query instance_id; cat /etc/told").split("\n") == \
        [instance(home, "plover"), "by user data"]
    assert "/seed/" in plover.run("cloud-init query subplatform")
    assert told(home, "plover")["Seed"] is True


def test_cloud_init_and_systemd_are_content(plover):
    plover.up()
    assert plover.run("cloud-init status --wait").endswith("status: done")
    assert plover.run("systemctl is-system-running --wait") == "running"
    assert plover.run("systemctl --failed --no-legend") == ""
    # 3 GB less the EFI system partition and what ext4 needs itself
    assert int(plover.run("df --output=size -B 1000000 / | tail -n 1")) > 2700


def test_exit_code_and_bytes_by_ssh(plover):
    plover.up()
    data = "line\n" * 100_000
    assert plover.run("cat; exit 7", expect=7, data=data) == data.strip()


def test_ssh_by_the_tunnel(plover):
    plover.up()
    done = plover.by_proxy("hostname; exit 5")
    assert (done.returncode, done.stdout) == (5, f"{debian.HOSTNAME}\n"), done.stderr


def test_tartlet_ssh(home, plover):
    plover.up()
    done = home.command("ssh", "-F", "none", "-i", plover.key, "-l", debian.USER, "plover",
                        "hostname;", "exit", "3", expect=3)
    assert done.stdout == f"{debian.HOSTNAME}\n"


def test_exec_by_the_real_agent(home, plover):
    """As root, without a network or a shell; output and errors each on its own, and the exit code."""
    plover.up()
    done = home.command("exec", "plover", "sh", "-c", "id -un; hostname; echo no >&2; exit 7", expect=7)
    assert (done.stdout, done.stderr) == (f"root\n{debian.HOSTNAME}\n", "no\n")
    assert home.command("exec", "plover", "echo", "two  words", "$HOME").stdout == "two  words $HOME\n"
    home.command("exec", "plover", "sh", "-c", "kill -9 $$", expect=137)
    assert "/nowhere" in home.command("exec", "plover", "/nowhere", expect=1).stderr


def test_exec_takes_and_gives_megabytes(home, plover):
    plover.up()
    data = b"".join(pattern.blocks(3_000_000))
    done = subprocess.run(home.argv("exec", "-i", "plover", "tee", "/tmp/given"), env=home.environment, input=data,
                          capture_output=True, timeout=200, check=False)
    assert (done.returncode, done.stderr, done.stdout == data) == (0, b"", True)
    assert plover.run("sudo sha256sum /tmp/given").split()[0] == pattern.sha256(3_000_000)


def test_running_is_shown(home, plover):
    plover.up()
    assert listed(home) == {"plover": "running"}
    got = told(home, "plover")
    assert got["State"] == "running" and got["Address"] == plover.running.address
    assert {(entry["internalPort"], entry["externalPort"]) for entry in got["Forwards"]} == \
        {(22, plover.running.port(22))}
    assert "is running" in home.command("delete", "plover", expect=1).stderr


@pytest.mark.parametrize("resolver", ["dhcp", "arp", "agent"])
def test_address(home, plover, resolver):
    plover.up()
    assert home.command("ip", "plover", "--resolver", resolver).stdout.strip() == plover.running.address
    assert plover.running.address in plover.run("ip -4 -o address show scope global")


def test_names_are_resolved(plover):
    """By systemd-resolved, which asks whom DHCP names: the gateway."""
    plover.up()
    assert plover.run("getent ahostsv4 www.test | head -n 1").split()[0] == "198.51.100.80"


def test_file_from_a_server_in_another_namespace(lab, plover):
    plover.up()
    with FileServer(lab.server) as server:
        said = plover.run(f"curl -sS http://{topology.SERVER}:{server.port}/file | sha256sum")
    assert said.split()[0] == pattern.sha256(FILE_BYTES)
    assert server.peers == [topology.HOST]


# --- suspended and resumed ----------------------------------------------------------------------------------

def test_suspend_and_resume(home, plover):
    """What was in memory is there, the guest's time went on, and the forward with the same port answers again."""
    plover.up()
    ask = "cat /proc/sys/kernel/random/boot_id /run/mark; cut -d ' ' -f 1 /proc/uptime"
    plover.run("echo remembered | sudo tee /run/mark")
    *before, uptime = plover.run(ask).split()
    port = plover.running.port(22)
    home.command("suspend", "plover", timeout=200)
    assert plover.running.wait() == 0
    assert listed(home) == {"plover": "suspended"}
    assert told(home, "plover")["State"] == "suspended"
    plover.resume(f"{port}:22")
    *after, later = plover.run(ask).split()
    assert after == before and float(later) > float(uptime)
    assert plover.running.port(22) == port
    assert plover.by_proxy("cat /run/mark").stdout == "remembered\n"
    assert listed(home) == {"plover": "running"}


# --- tartlet itself in the guest, under its systemd ---------------------------------------------------------

INSTALL = """
sudo install -m 755 tartlet /usr/local/bin/
sudo install -m 755 fake_qemu.py /usr/local/bin/qemu-system-x86_64
sudo mkdir -p /usr/local/lib/systemd/user
sed s,@bindir@,/usr/local/bin, tartlet@.service.in | sudo tee /usr/local/lib/systemd/user/tartlet@.service
mkdir -p .config/tartlet
echo kernel >kernel
tartlet create wren --kernel kernel --initrd kernel
echo 'TARTLET_RUN_OPTIONS=--accel tcg --net-vmnet-expose 127.0.0.1:2222:22' >.config/tartlet/wren.env
systemctl --user daemon-reload
sudo loginctl enable-linger
"""


@pytest.fixture(scope="module")
def wren(home, plover):
    """A VM in the VM, ready to be started as a service. What stands in QEMU's place there is no QEMU: one inside of
    the other would take an hour."""
    plover.up()
    plover.copy(home.program, ROOT / "tests/system/lab/fake_qemu.py",
                ROOT / "packaging/systemd/tartlet@.service.in")
    plover.run("set -e" + INSTALL)
    return "tartlet@wren.service"


def journal_has(text):
    """A command of the guest that waits until the service's journal has it."""
    return ("timeout 150 journalctl --user-unit tartlet@wren.service --follow --lines all | "
            f"grep --max-count 1 --fixed-strings {shlex.quote(text)}")


def test_vm_as_a_service(plover, wren):
    """By `systemctl stop` its power button is pressed, which is no failure."""
    plover.run(f"systemctl --user start {wren} && systemctl --user is-active {wren}")
    plover.run(journal_has("forward: tcp 127.0.0.1:2222"))
    [entry] = json.loads(plover.run("tartlet list --format json"))
    assert (entry["Name"], entry["State"]) == ("wren", "running")
    assert "127.0.0.1:2222" in plover.run("tartlet forward list wren")
    plover.run(f"systemctl --user stop {wren}")
    shown = plover.run(f"systemctl --user show --property ActiveState,Result,ExecMainStatus {wren}")
    assert set(shown.split()) == {"ActiveState=inactive", "Result=success", "ExecMainStatus=0"}
    [entry] = json.loads(plover.run("tartlet list --format json"))
    assert entry["State"] == "stopped"


def test_service_that_fails_is_started_again(plover, wren):
    plover.run("echo FAKE_QEMU=crash >>.config/tartlet/wren.env")
    plover.run(f"systemctl --user start {wren}")
    plover.run(journal_has("restart counter is at 1"))
    plover.run(f"systemctl --user stop {wren}")


# --- the end of it ------------------------------------------------------------------------------------------

def test_power_button(home, plover):
    """systemd ends the guest, and that ends the run."""
    plover.up().run("echo written >file")
    plover.down()
    assert listed(home) == {"plover": "stopped"}
    assert told(home, "plover")["State"] == "stopped"


# --- clones -------------------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def clones(home, plover, directory, key):
    """Two, by name, not started."""
    plover.down()
    made = {}
    for name in ("lark", "dunlin"):
        home.command("clone", "plover", name)
        made[name] = debian.Debian(home, name, directory, key)
    return made


def test_clones_run_at_once(home, plover, clones):
    """The one is waited for until it lets us in, the other until it has its address."""
    lark, dunlin = clones["lark"], clones["dunlin"]
    addresses = {running.address for running in (lark.start(), dunlin.start())}
    assert len(addresses) == 2
    assert listed(home) == {"dunlin": "running", "lark": "running", "plover": "stopped"}
    said = home.command("ip", "dunlin", "--resolver", "arp", "--wait", debian.BOOT_SECONDS,
                        timeout=debian.BOOT_SECONDS + 10)
    assert said.stdout.strip() == dunlin.running.address


def test_stop_that_waits_no_longer(home, clones):
    """Its run, which is deaf, is killed, and so is QEMU."""
    dunlin = clones["dunlin"]
    if dunlin.running is None:
        dunlin.start()
    pids = dunlin.running.pids()
    dunlin.running.process.send_signal(signal.SIGSTOP)
    home.command("stop", "dunlin", "--timeout", 1)
    assert dunlin.running.wait() == -signal.SIGKILL
    wait_gone(pids)
    assert listed(home)["dunlin"] == "stopped"


def test_clone_is_a_vm_of_its_own(home, plover, clones):
    """What was on the disk, for an instance that cloud-init has not seen: with ssh host keys of its own."""
    lark = clones["lark"].up()
    assert lark.run("cat file") == "written"
    assert lark.run("cloud-init query instance_id") == instance(home, "lark") != instance(home, "plover")
    assert lark.known_host() != plover.known_host()
    assert told(home, "lark")["MAC"] in lark.run("ip link")


def test_stop(home, clones):
    """Like pulling the plug."""
    lark = clones["lark"].up()
    pids = lark.running.pids()
    home.command("stop", "lark")
    assert lark.running.wait() == 0
    wait_gone(pids)
    assert listed(home)["lark"] == "stopped"


def test_prune_and_delete(home, plover, clones):
    plover.down()
    home.command("delete", "dunlin")
    lark = clones["lark"]
    lark.start()
    said = home.command("prune", "--entries", "vms", "--older-than", 0).stdout
    assert "plover" in said and "lark" not in said
    assert listed(home) == {"lark": "running"}
    home.command("stop", "lark")
    home.command("delete", "lark")
    assert listed(home) == {}

"""Windows, VNC, and the devices that come and go with them. A fake stands in QEMU's place where `cli` is."""

import contextlib
import os
import pathlib
import re
import signal
import subprocess

import pytest
from lab.tartlet import children, qemu_pids
from lab.vnc import Refused, Vnc
from lab.waiting import until
from test_cli import cli  # noqa: F401

URL = re.compile(r"^VNC server is running at vnc://:([\w-]{8})@127\.0\.0\.1:(\d+)$", re.MULTILINE)


def arguments(pid):
    return pathlib.Path(f"/proc/{pid}/cmdline").read_text().split("\0")


def test_vnc(lab, tartlet, guest):
    """With the password alone; the keyboard and the pointer arrive in the guest; loopback alone listens."""
    tartlet.create("heron", guest)
    running = tartlet.run("heron", "--vnc", "--suspendable", "--no-audio", expose=["0:2"])
    password, port = URL.search(running.output).groups()
    [qemu] = qemu_pids(running.pids())
    assert password not in " ".join(arguments(qemu))
    listening = lab.host.run("ss", "-Hltn", f"sport = :{port}").stdout.split()
    assert listening[3] == f"127.0.0.1:{port}"
    with lab.host.connect("127.0.0.1", int(port)) as connection, pytest.raises(Refused):
        Vnc(connection, "wrong" + password[5:])
    agent = running.up()
    agent.run("load usb-input")
    for kind in ("Keyboard", "Tablet"):
        # It appears a moment after its driver. A pipe tells when it is open, another what came.
        agent.run(f"n=0; until grep -q 'QEMU USB {kind}' /proc/bus/input/devices; "
                  "do n=$((n + 1)); [ $n -lt 1000 ] || exit 1; usleep 100000; done")
        event = agent.run(f"grep -A4 'QEMU USB {kind}' /proc/bus/input/devices | grep -o 'event[0-9]*'")
        agent.run(f"mkfifo /tmp/{kind}-open /tmp/{kind}-said")
        agent.tell(f"exec 3</dev/input/{event}; echo open >/tmp/{kind}-open; "
                   f"head -c 24 <&3 | wc -c >/tmp/{kind}-said")
        assert agent.run(f"cat /tmp/{kind}-open") == "open"
    with lab.host.connect("127.0.0.1", int(port)) as connection:
        vnc = Vnc(connection, password)
        assert "heron" in vnc.name and vnc.width >= 640 and vnc.height >= 400
        vnc.press(0x61)
        vnc.point(100, 100)
        for kind in ("Keyboard", "Tablet"):
            assert agent.run(f"cat /tmp/{kind}-said") == "24"
    agent.tell("poweroff")
    assert running.wait() == 0
    tartlet.command("delete", "heron")


def test_without_graphics(vm, agent):
    """The default: no graphics card."""
    assert "0x030000" not in agent.run("cat /sys/bus/pci/devices/*/class")
    [qemu] = qemu_pids(vm.pids())
    assert "none" in arguments(qemu) and "-vnc" not in arguments(qemu)


def test_no_keyboard_and_no_pointer(tartlet, guest):
    tartlet.create("mole", guest)
    running = tartlet.run("mole", "--vnc", "--no-keyboard", "--no-pointer", "--no-trackpad", "--no-clipboard",
                          expose=["0:2"])
    agent = running.up()
    agent.run("load usb-input")
    # The power button alone. Nothing of USB is plugged in either (the root hubs are class 09).
    assert set(agent.run("grep ^N: /proc/bus/input/devices").split("\n")) <= {'N: Name="Power Button"'}
    assert set(agent.run("cat /sys/bus/usb/devices/*/bDeviceClass").split()) == {"09"}
    agent.tell("poweroff")
    assert running.wait() == 0
    tartlet.command("delete", "mole")


@contextlib.contextmanager
def x_server(scratch):
    """A display without a screen; its number."""
    read, write = os.pipe()
    with (scratch / "xvfb.log").open("w") as log, \
            subprocess.Popen(["Xvfb", "-displayfd", str(write), "-nolisten", "tcp"], pass_fds=[write],
                             stdout=log, stderr=log) as server:
        os.close(write)
        try:
            with os.fdopen(read) as number:
                yield f":{int(number.readline())}"
        finally:
            server.terminate()


def test_window(program, tartlet, guest, scratch):
    """A real one is there, and the VM runs; with and without its being asked for."""
    tartlet.create("moth", guest)
    with x_server(scratch) as display:
        for options in ([], ["--graphics", "--capture-system-keys"]):
            tartlet.environment["DISPLAY"] = display
            try:
                running = tartlet.run("moth", *options, expose=["0:2"])
            finally:
                del tartlet.environment["DISPLAY"]
            [qemu] = qemu_pids(running.pids())
            assert "gtk" + (",grab-on-hover=on" if options else "") in arguments(qemu)
            assert "0x030000" in running.up().run("cat /sys/bus/pci/devices/*/class")
            tree = ["xwininfo", "-root", "-tree", "-display", display]
            until(lambda tree=tree: '"QEMU (moth)' in subprocess.run(
                tree, check=True, stdout=subprocess.PIPE, text=True).stdout, 60, "QEMU's window")
            assert "window" not in running.output
            running.end()
            assert running.wait() == 0
    tartlet.command("delete", "moth")


def test_no_window_to_be_had(cli):  # noqa: F811
    """Said in one line where it was not asked for, else an error; nothing where nothing was expected."""
    cli.create("one")
    base = ["one", "--accel", "tcg"]
    assert cli.refused("run", *base, "--graphics", expect=1) == \
        "--graphics needs a display: neither DISPLAY nor WAYLAND_DISPLAY is set\n"
    without = {"FAKE_QEMU": "no window", "DISPLAY": ":7"}
    said = "this QEMU has no windows (on Debian: apt install qemu-system-gui)\n"
    errors = cli.run("run", *base, "--graphics", expect=1, **without)[1]
    assert errors == f"--graphics: {said}"
    for options, expected in (([], f"running without a window: {said}"), (["--no-graphics"], "")):
        running = cli.start(*base, *options, **without)
        [qemu] = children(running.process.pid)
        assert "none" in arguments(qemu)
        assert running.end(signal.SIGTERM) == (0, "Stopping VM...\n", expected)
    running = cli.start(*base, DISPLAY=":7")
    [qemu] = children(running.process.pid)
    assert "gtk" in arguments(qemu)
    assert running.end(signal.SIGTERM)[2] == ""


def test_window_is_closed(cli):  # noqa: F811
    """As Ctrl-A X on a console: an end in order."""
    cli.create("one")
    assert cli.run("run", "one", "--accel", "tcg", FAKE_QEMU="quit", WAYLAND_DISPLAY="wayland-0")[1] == ""


def test_vnc_fails(cli):  # noqa: F811
    """The fake has no VNC: the VM does not run on without it."""
    cli.create("one")
    output, errors = cli.run("run", "one", "--accel", "tcg", "--vnc", expect=1)
    assert (output, errors) == ("Stopping VM...\n", "cannot set up the VNC server: no VNC here\n")
    assert not (cli.home / "vms/one/run.json").exists()


def test_nested_is_refused(cli):  # noqa: F811
    cli.create("one")
    assert cli.refused("run", "one", "--accel", "tcg", "--nested", expect=1) == \
        "--nested needs KVM: a VM inside of an emulated VM is not offered\n"


@pytest.mark.parametrize("options, said", [
    (["--graphics", "--no-graphics"], "--graphics and --no-graphics are mutually exclusive"),
    (["--recovery"], "--recovery is for macOS guests"), (["--rosetta", "x"], "there is no Rosetta here"),
    (["--provisioning-opts", "a=b"], "for macOS guests"),
])
def test_refused_options(cli, options, said):  # noqa: F811
    assert said in cli.refused("run", "one", *options)

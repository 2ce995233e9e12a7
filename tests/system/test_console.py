"""The guest's serial console: on the terminal of `tartlet run`, on another one, into a file."""

import contextlib
import os
import pty
import re
import select
import signal
import subprocess
import termios
import time

import pytest
from lab.tartlet import children, qemu_pids, wait_gone
from lab.waiting import until
from test_cli import cli  # noqa: F401

PROMPT = "# "


class Terminal:
    """Both ends of a pty: we are who sits in front of it."""

    def __init__(self):
        self.ours, self.theirs = pty.openpty()
        self.name = os.ttyname(self.theirs)
        self.before = termios.tcgetattr(self.theirs)
        self.seen = ""

    def close(self):
        os.close(self.ours)
        os.close(self.theirs)

    def type(self, text):
        os.write(self.ours, text.encode())

    def expect(self, text, seconds=150):
        """Reads until TEXT, which is then seen no more."""
        end = time.monotonic() + seconds
        while text not in self.seen:
            ready, _, _ = select.select([self.ours], [], [], max(0, end - time.monotonic()))
            assert ready, f"no {text!r} in:\n{self.seen}"
            self.seen += os.read(self.ours, 65536).decode(errors="replace")
        before, _, self.seen = self.seen.partition(text)
        return before

    def is_as_before(self):
        return termios.tcgetattr(self.theirs) == self.before and os.get_blocking(self.theirs)


@contextlib.contextmanager
def a_terminal():
    made = Terminal()
    try:
        yield made
    finally:
        made.close()


def on_terminal(terminal, script, argv, environment):
    """A shell in a session whose terminal that is. It must outlive what it starts: the end of its session
    would reset the terminal."""
    return subprocess.Popen(["setsid", "--ctty", "sh", "-c", script, "sh", *argv], env=environment,
                            stdin=terminal.theirs, stdout=terminal.theirs, stderr=terminal.theirs)


def calculate(terminal, a, b):
    """Something that the guest's shell alone can say: what is typed is echoed."""
    terminal.type(f"echo =$(({a} * {b}))=\r")
    terminal.expect(f"={a * b}=")


@pytest.fixture
def jay(tartlet, guest):
    tartlet.create("jay", guest)
    yield "jay"
    tartlet.command("delete", "jay")


def test_console_on_our_terminal(tartlet, jay):
    """Ctrl-C is the guest's; Ctrl-A X ends it; killed by whatever, the terminal is as it was."""
    for end in ("escape", "kill tartlet", "kill QEMU"):
        with a_terminal() as terminal:
            shell = on_terminal(terminal, '"$@"; echo code=$?; read _', tartlet.argv("run", jay, "--serial"),
                                tartlet.environment)
            terminal.expect("address: ")
            [process] = children(shell.pid)
            assert not terminal.is_as_before()
            [qemu] = qemu_pids(children(process))
            [keeper] = set(children(process)) - {qemu}
            if end == "escape":
                terminal.expect(PROMPT)
                calculate(terminal, 12345, 6789)
                terminal.type("stty raw -echo; echo go$((6 * 7)); head -c 1 | od -An -tx1; stty sane\r")
                terminal.expect("go42")
                terminal.type("\x03")
                terminal.expect("03")
                terminal.type("\x01x")
                code = 0
            if end == "kill tartlet":
                os.kill(process, signal.SIGKILL)
                code = 128 + signal.SIGKILL
            elif end == "kill QEMU":
                os.kill(qemu, signal.SIGKILL)
                code = 1
            terminal.expect(f"code={code}")
            wait_gone([process, keeper, qemu])
            assert terminal.is_as_before()
            terminal.type("\n")
            assert shell.wait(60) == 0


def test_console_on_another_terminal(tartlet, jay):
    with a_terminal() as terminal:
        running = tartlet.run(jay, "--serial-path", terminal.name, expose=[])
        terminal.type("\r")
        terminal.expect(PROMPT)
        calculate(terminal, 12345, 6789)
        terminal.type("poweroff\r")
        assert running.wait() == 0


def test_console_into_a_file(tartlet, jay, scratch):
    """Behind what is in it; the name of one with commas, relative to where we were called."""
    log = scratch / "console, a.log"
    log.write_text("kept\n")
    running = tartlet.run(jay, "--serial-path", os.path.relpath(log), expose=["0:2"])
    # The echo has ended when the guest's kernel has the text; it goes out by the serial port afterwards.
    running.up().run("echo said on the console >/dev/console")
    until(lambda: "said on the console" in log.read_text(errors="replace"), 150, "what was said is in the file")
    running.end()
    text = log.read_text(errors="replace")
    assert text.startswith("kept\n") and "said on the console" in text


def test_bad_paths(cli):  # noqa: F811
    """One sentence, before there is a network, and nothing is made."""
    cli.create("one")
    fifo = cli.path / "fifo"
    os.mkfifo(fifo)
    for path, said in ((cli.path, "it is a directory"), (cli.path / "no/file", "No such file or directory"),
                       (fifo, "nobody reads from it"), ("/dev/pts/987654", ".+")):
        errors = cli.refused("run", "one", "--accel", "tcg", "--serial-path", path, expect=1)
        assert re.fullmatch(f"the serial port cannot be connected to {path}: {said}\n", errors)
        assert not (cli.home / "vms/one/run.json").exists()


def test_console_in_the_background(cli):  # noqa: F811
    """It would stop, and nobody would know why."""
    cli.create("one")
    with a_terminal() as terminal:
        shell = on_terminal(terminal, 'set -m; "$@" & wait $!; echo code=$?',
                            [cli.program, "run", "one", "--accel", "tcg", "--serial"], cli.environment)
        said = terminal.expect("code=1")
        assert "--serial needs the terminal, and this process is in its background" in said
        assert shell.wait(60) == 0
        assert terminal.is_as_before()
    assert not (cli.home / "vms/one/run.json").exists()

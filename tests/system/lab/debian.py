"""A VM from the Debian disk (tools/guest/build-debian-disk): its console, its ssh, its boots."""

import os
import pathlib
import shlex
import signal
import subprocess
import threading

from .waiting import until

HOSTNAME = "coast"
USER = "debian"  # cloud-init's default user
BOOT_SECONDS = 420  # a minute, where nobody else wants the processors


class Console:
    """What the guest prints on its serial line, by a named pipe that outlives the VM's runs."""

    def __init__(self, path):
        self.path = path
        os.mkfifo(path)
        self.text = ""
        self.changed = threading.Condition()
        # O_RDWR: the end of a run is not the end of the pipe
        self.fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        while data := os.read(self.fd, 65536):
            with self.changed:
                self.text += data.decode(errors="replace")
                self.changed.notify_all()

    def clear(self):
        with self.changed:
            self.text = ""

    def wait_for(self, what, timeout):
        with self.changed:
            if not self.changed.wait_for(lambda: what in self.text, timeout):
                raise AssertionError(f"the console has no {what!r} within {timeout} s:\n{self.text[-3000:]}")


class Debian:
    """One VM. Each test asks for the state that it needs, `up` or `down`, and gets it."""

    def __init__(self, tartlet, name, directory, key):
        self.tartlet = tartlet
        self.name = name
        self.directory = directory
        self.key = key
        self.console = Console(directory / f"{name}-console")
        self.known_hosts = directory / f"{name}-known-hosts"
        self.running = None
        self.let_in = False  # in this run

    # --- states ---------------------------------------------------------------------------------------------

    def start(self, expose="0:22"):
        """Until tartlet's facts are printed."""
        self.console.clear()
        self.let_in = False
        self.running = self.tartlet.run(self.name, "--serial-path", self.console.path, expose=[expose])
        return self.running

    def resume(self, expose):
        """After `tartlet suspend`: nothing is booted."""
        self.start(expose)
        until(lambda: self.asked("true").returncode == 0, 200, f"{self.name} lets us in again")
        self.let_in = True

    def up(self):
        """Runs, and lets us in."""
        if self.running is None or self.running.process.poll() is not None:
            self.start()
        self.reached()
        return self

    def reached(self):
        """Once ssh has answered with our key; the console tells when it makes sense to ask."""
        if not self.let_in:
            self.console.wait_for(f"{HOSTNAME} login:", BOOT_SECONDS)
            until(lambda: self.asked("true").returncode == 0, 200, f"{self.name} lets us in")
            self.let_in = True

    def down(self):
        """By the power button, so that the guest has written all that it has."""
        if self.running is not None and self.running.process.poll() is None:
            self.reached()
            self.running.process.send_signal(signal.SIGUSR2)
            assert self.running.wait(200) == 0, self.running.output
        return self

    # --- ways in --------------------------------------------------------------------------------------------

    @property
    def ssh_options(self):
        options = ["-F", "none", "-i", self.key, "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes",
                   "-o", "StrictHostKeyChecking=accept-new", "-o", "ConnectTimeout=150",
                   "-o", f"UserKnownHostsFile={self.known_hosts}"]
        return [str(option) for option in options]

    def asked(self, command, *options, data=None, timeout=200):
        """A command by ssh through the reported port: the process, ended."""
        argv = ["ssh", *self.ssh_options, "-o", f"HostKeyAlias={self.name}", "-p", self.running.port(22),
                *options, f"{USER}@127.0.0.1", command]
        return subprocess.run(self.tartlet.namespace.argv(*argv), input=data, timeout=timeout, check=False,
                              capture_output=True, text=True)

    def run(self, command, expect=0, **options):
        done = self.asked(command, **options)
        assert done.returncode == expect, f"in {self.name}: {command}: exit code {done.returncode}\n" \
            f"{done.stdout}\n{done.stderr}"
        return done.stdout.strip()

    def copy(self, *files):
        """By scp into the home directory."""
        argv = ["scp", "-q", *self.ssh_options, "-o", f"HostKeyAlias={self.name}", "-P", self.running.port(22),
                *files, f"{USER}@127.0.0.1:"]
        done = subprocess.run(self.tartlet.namespace.argv(*argv), timeout=200, check=False, capture_output=True,
                              text=True)
        assert done.returncode == 0, done.stderr

    def by_proxy(self, command):
        """A command by ssh through `tartlet nc`: exit code and output."""
        proxy = f"{shlex.quote(str(self.tartlet.program))} nc %h %p"
        argv = ["ssh", *self.ssh_options, "-o", f"ProxyCommand={proxy}", f"{USER}@{self.name}", command]
        return subprocess.run(self.tartlet.namespace.argv(*argv), env=self.tartlet.environment, timeout=200,
                              check=False, capture_output=True, text=True)

    def known_host(self):
        """The host key that ssh has seen."""
        return self.known_hosts.read_text().split()[2]


def make_disk(root):
    """Where the disk is; made where missing."""
    printed = subprocess.run([root / "tools/guest/build-debian-disk"], check=True, text=True,
                             stdout=subprocess.PIPE).stdout
    return pathlib.Path(dict(line.split("=", 1) for line in printed.splitlines())["disk"])


def make_key(directory):
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "tartlet tests", "-f",
                    directory / "key"], check=True)
    return directory / "key"

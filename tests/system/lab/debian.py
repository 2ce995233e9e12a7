"""A VM from the Debian disk (tools/guest/build-debian-disk): its console, its ssh, its boots."""

import json
import os
import pathlib
import shlex
import signal
import subprocess
import threading
import time

from .waiting import until

USER = "debian"  # cloud-init's default user
BOOT_SECONDS = 170
EXPOSE = ["0:22"]


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

    def __init__(self, tartlet, name, directory, key, options=()):
        self.tartlet = tartlet
        self.name = name
        self.directory = directory
        self.key = key
        self.options = options
        self.console = Console(directory / f"{name}-console")
        self.running = None
        self.let_in = False  # in this run

    # --- states ---------------------------------------------------------------------------------------------

    def start(self):
        """Until tartlet's facts are printed."""
        self.console.clear()
        self.let_in = False
        self.running = self.tartlet.run(self.name, "--serial-path", self.console.path, *self.options,
                                        expose=EXPOSE)
        return self.running

    def up(self):
        """Runs, and lets us in."""
        if self.running is None or self.running.process.poll() is not None:
            self.start()
        self.reached()
        return self

    def reached(self):
        """Once ssh has answered with our key; the console tells when it makes sense to ask."""
        if not self.let_in:
            self.console.wait_for(f"{self.name} login:", BOOT_SECONDS)
            until(lambda: self.asked("true").returncode == 0, 60, f"{self.name} lets us in")
            self.let_in = True

    def down(self):
        """By the power button, so that the guest has written all that it has."""
        if self.running is not None and self.running.process.poll() is None:
            self.reached()
            self.running.process.send_signal(signal.SIGUSR2)
            assert self.running.wait(90) == 0, self.running.output
        return self

    # --- ways in --------------------------------------------------------------------------------------------

    @property
    def ssh_options(self):
        options = ["-F", "none", "-i", self.key, "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes",
                   "-o", "StrictHostKeyChecking=accept-new", "-o", "ConnectTimeout=60",
                   "-o", f"UserKnownHostsFile={self.directory / self.name}-known-hosts"]
        return [str(option) for option in options]

    def asked(self, command, *options, data=None, timeout=100):
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

    def by_proxy(self, command):
        """A command by ssh through `tartlet nc`: exit code and output."""
        proxy = f"{shlex.quote(str(self.tartlet.program))} nc %h %p"
        argv = ["ssh", *self.ssh_options, "-o", f"ProxyCommand={proxy}", f"{USER}@{self.name}", command]
        return subprocess.run(self.tartlet.namespace.argv(*argv), env=self.tartlet.environment, timeout=100,
                              check=False, capture_output=True, text=True)


def make_disk(root):
    """Where the disk is; made where missing."""
    printed = subprocess.run([root / "tools/guest/build-debian-disk"], check=True, text=True,
                             stdout=subprocess.PIPE).stdout
    return pathlib.Path(dict(line.split("=", 1) for line in printed.splitlines())["disk"])


def make_key(directory):
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "tartlet tests", "-f",
                    directory / "key"], check=True)
    return directory / "key"


def seed_disk(directory, name, key):
    """A NoCloud seed as a FAT disk of its own."""
    public = key.with_suffix(".pub").read_text().strip()
    user_data = directory / "user-data"
    user_data.write_text("#cloud-config\n" + json.dumps({"hostname": name, "ssh_authorized_keys": [public]}))
    meta_data = directory / "meta-data"
    meta_data.write_text(f"instance-id: {name}-{time.time_ns()}\n")
    disk = directory / f"{name}-seed.img"
    with disk.open("wb") as file:
        file.truncate(1 << 20)
    subprocess.run(["mkfs.vfat", "-n", "CIDATA", disk], check=True, capture_output=True)
    subprocess.run(["mcopy", "-i", disk, user_data, meta_data, "::"], check=True)
    return disk

"""Fixtures of the system tests.

    /usr/bin/python3 -m pytest tests/system [--build-dir DIR] [--tsan-dir DIR] [--soak]
                               [--qemu10] [--net-attach HOW]

runs them as root: most make network namespaces (lab/topology.py draws them) and real guests under QEMU.
As an ordinary user those are skipped, and test_cli.py runs.
The program is $TARTLET_BIN or src/cli/tartlet in the build directory. softnet is $SOFTNET_BIN or src/sidecar/softnet.
One guest is booted for all tests
that leave it as it was (`vm`, `agent`); a test that stops, kills or reboots boots its own.
"""

import contextlib
import os
import pathlib
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import pytest

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(HERE))

from lab import servers, topology  # noqa: E402
from lab.softnet import Softnet  # noqa: E402
from lab.tartlet import EXPOSE, Person, RunningVm, Tartlet  # noqa: E402


# Started by nohup, or in the background of a script, the tests would pass on what is ignored there.
for _ignored in (signal.SIGHUP, signal.SIGQUIT):
    signal.signal(_ignored, signal.SIG_DFL)

# No windows on the desktop of whoever runs the tests.
for _display in ("DISPLAY", "WAYLAND_DISPLAY"):
    os.environ.pop(_display, None)


def pytest_addoption(parser):
    parser.addoption("--build-dir", default=str(ROOT / "build/gcc"),
                     help="meson build directory that holds src/cli/tartlet")
    parser.addoption("--tsan-dir", default=str(ROOT / "build/tsan"),
                     help="the same, built with ThreadSanitizer (test_threads.py)")
    parser.addoption("--qemu10", action="store_true",
                     help="under QEMU 10 (tools/qemu10) instead of the machine's own")
    parser.addoption("--net-attach", help="what every `tartlet run` gets as --net-attach")
    parser.addoption("--soak", action="store_true", help="the long runs, too")


def pytest_configure(config):
    # so that fixtures clean up, too, when a time limit ends the run
    signal.signal(signal.SIGTERM, lambda *_: pytest.exit("terminated", returncode=1))
    config.addinivalue_line("markers", "soak: takes minutes, runs with --soak alone")


def pytest_collection_modifyitems(config, items):
    if not config.getoption("--soak"):
        long_runs = [item for item in items if item.get_closest_marker("soak")]
        config.hook.pytest_deselected(items=long_runs)
        items[:] = [item for item in items if item not in long_runs]
    if os.geteuid() != 0:
        for item in (item for item in items if "lab" in item.fixturenames):
            item.add_marker(pytest.mark.skip(reason="needs root: it makes network namespaces"))


BEGAN = pytest.StashKey()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    item.stash[BEGAN] = time.monotonic()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item):
    """A test that failed comes with all that is to be seen of the VMs that ran meanwhile."""
    outcome = yield
    report = outcome.get_result()
    if report.failed:
        report.sections += [(f"tartlet run {vm.name}", vm.describe()) for vm in RunningVm.made
                            if vm.ended_at is None or vm.ended_at >= item.stash[BEGAN]]


@pytest.fixture(scope="session")
def qemu10():
    """The folder with QEMU 10's program; fetched where missing."""
    done = subprocess.run([ROOT / "tools/qemu10"], check=True, text=True, stdout=subprocess.PIPE)
    return pathlib.Path(done.stdout.strip())


@pytest.fixture(scope="session")
def program(request):
    Tartlet.net_attach = request.config.getoption("--net-attach")
    if request.config.getoption("--qemu10"):
        Tartlet.path = f"{request.getfixturevalue('qemu10')}:{os.environ['PATH']}"
    path = os.environ.get("TARTLET_BIN") or f"{request.config.getoption('--build-dir')}/src/cli/tartlet"
    assert os.access(path, os.X_OK), f"{path} is not a program: build first, or set TARTLET_BIN"
    return str(pathlib.Path(path).resolve())


@pytest.fixture(scope="session")
def guest_files():
    """Where the guest's kernel, initramfs and ssh key are, by name; made where missing."""
    printed = subprocess.run([ROOT / "tools/guest/build-guest"], check=True, text=True,
                             stdout=subprocess.PIPE).stdout
    return dict(line.split("=", 1) for line in printed.splitlines())


@pytest.fixture(scope="session")
def scratch():
    """A directory for everybody to pass through, and away from long paths: sockets live in it."""
    with tempfile.TemporaryDirectory(prefix="tartlet-") as name:
        path = pathlib.Path(name)
        path.chmod(0o755)
        yield path


@pytest.fixture(scope="session")
def guest(guest_files, scratch):
    """The guest's files where an ordinary user can read them too."""
    copies = {}
    for name in ("kernel", "vmlinux", "initrd"):
        copies[name] = scratch / name
        shutil.copyfile(guest_files[name], copies[name])
        copies[name].chmod(0o644)
    return copies


@pytest.fixture(scope="session")
def lab():
    made = topology.Topology()
    try:
        made.create()
        yield made
    finally:
        made.destroy()


@pytest.fixture(scope="session")
def dns(lab):
    """A real DNS server, which the host's /etc/resolv.conf names."""
    long_text = ",".join(letter * 200 for letter in "abcdefghij")
    records = ["--host-record=www.test,198.51.100.80,2001:db8:5::80",
               "--host-record=four.test,198.51.100.4", f"--txt-record=long.test,{long_text}",
               "--mx-host=test,mail.test,10", "--cname=alias.test,www.test"]
    lab.host.etc_file("hosts", "127.0.0.1 localhost\n198.51.100.77 printer.lan printer\n")
    lab.host.etc_file("resolv.conf", f"nameserver {topology.SERVICE}\n")
    with servers.Dns(lab.server, topology.SERVICE, *records) as server:
        yield server


class Homes:
    """Makes Tartlets, each with a home of its own, and ends what they run."""

    def __init__(self, program, namespace, scratch):
        self.program = program
        self.namespace = namespace
        self.scratch = scratch
        self.made = []
        self.runtime = self._directory("runtime", None)

    def _directory(self, prefix, person):
        path = pathlib.Path(tempfile.mkdtemp(prefix=prefix, dir=self.scratch))
        if person:
            os.chown(path, person.uid, person.gid)
        return path

    def tartlet(self, person=None, runtime=None):
        home = self._directory("home", person)
        if person and not runtime:
            runtime = self._directory("runtime", person)
        made = Tartlet(self.program, self.namespace, home, runtime or self.runtime, person)
        self.made.append(made)
        return made

    def end(self):
        for tartlet in self.made:
            tartlet.stop_all()


@pytest.fixture(scope="session")
def homes(program, lab, dns, scratch):
    made = Homes(program, lab.host, scratch)
    yield made
    made.end()


@pytest.fixture(scope="session")
def person(scratch):
    """An ordinary user: nobody's uid, with a home of its own."""
    nobody = pwd.getpwnam("nobody")
    home = scratch / "nobody"
    home.mkdir()
    os.chown(home, nobody.pw_uid, nobody.pw_gid)
    return Person(nobody.pw_uid, nobody.pw_gid, home)


@pytest.fixture(scope="session")
def tartlet(homes):
    return homes.tartlet()


@pytest.fixture(scope="session")
def vm(tartlet, guest):
    """The VM that the tests share, with its ports forwarded (lab/tartlet.py: EXPOSE)."""
    tartlet.create("shared", guest)
    running = tartlet.run("shared", "--net-vmnet", expose=EXPOSE)
    running.up()
    return running


@pytest.fixture
def agent(vm):
    return vm.agent()


@pytest.fixture(scope="session")
def softnet_program(request):
    path = os.environ.get("SOFTNET_BIN") or f"{request.config.getoption('--build-dir')}/src/sidecar/softnet"
    assert os.access(path, os.X_OK), f"{path} is not a program: build first, or set SOFTNET_BIN"
    return str(pathlib.Path(path).resolve())


@contextlib.contextmanager
def softnets(program, namespace, directory):
    """What starts softnet with options; ends those that a test has not ended."""
    made = []

    def start(*options, **how):
        made.append(Softnet(program, namespace, directory, *options, **how))
        return made[-1]

    try:
        yield start
    finally:
        for one in made:
            if one.process.returncode is None:
                one.end()


@pytest.fixture
def place(scratch):
    """Where a softnet keeps its records; an ordinary user can come there, too."""
    return pathlib.Path(tempfile.mkdtemp(prefix="softnet-", dir=scratch))


@pytest.fixture
def softnet(softnet_program, lab, dns, place):
    with softnets(softnet_program, lab.host, place) as start:
        yield start


@pytest.fixture(scope="module")
def softnet_kept(softnet_program, lab, dns, tmp_path_factory):
    """The same, for processes that all tests of a file share."""
    with softnets(softnet_program, lab.host, tmp_path_factory.mktemp("softnet")) as start:
        yield start

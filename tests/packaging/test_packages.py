"""The Debian packages: built of this tree, and installed, used and removed in a fresh Debian 12.

    /usr/bin/python3 -m pytest tests/packaging

They need root, and what tools/packages names. The tests are one story, in this order.
"""

import gzip
import os
import re
import shutil
import subprocess

import pytest
from debian_root import ROOT, debian_root

PACKAGES = ["libvmnet-dev", "libvmnet0", "tartlet"]

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: it makes a Debian of its own")


@pytest.fixture(scope="session")
def built(tmp_path_factory):
    folder = tmp_path_factory.mktemp("packages")
    subprocess.run([ROOT / "packaging/build-deb", folder], check=True, timeout=2000)
    return folder


@pytest.fixture(scope="session")
def debian():
    with debian_root() as made:
        made.before = made.files()
        yield made


@pytest.fixture(scope="session")
def installed(debian, built):
    """With what the packages depend on, and no more."""
    (debian.path / "tmp/packages").mkdir()
    names = []
    for package in built.glob("*.deb"):
        shutil.copy(package, debian.path / "tmp/packages")
        names.append(f"/tmp/packages/{package.name}")
    debian.apt("install", *names)
    return debian


def version():
    return re.search(r"^  version: '(.*)',$", (ROOT / "meson.build").read_text(), re.MULTILINE)[1]


def as_person(debian, *argv, **options):
    return debian.run("setpriv", "--reuid", "person", "--regid", "person", "--init-groups", *argv,
                      HOME="/home/person", **options)


def test_built(built):
    assert sorted(path.name.rpartition("_")[0] for path in built.iterdir()) == \
           [f"{name}_{version()}" for name in PACKAGES]


def test_lintian(built):
    done = subprocess.run(["lintian", "--allow-root", "--fail-on", "error,warning", *built.glob("*.deb")],
                          text=True, capture_output=True, timeout=800, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_installed(installed):
    status = installed.run("dpkg-query", "-W", "-f", "${Package} ${Version} ${db:Status-Abbrev}\n", *PACKAGES).stdout
    assert status.splitlines() == [f"{name} {version()} ii " for name in PACKAGES]
    assert installed.run("dpkg", "--verify", *PACKAGES).stdout == ""


def test_everything_is_there(installed):
    commands = re.findall(r"^  ([a-z]+) ", installed.run("tartlet", "--help").stdout.partition("Commands:")[2],
                          re.MULTILINE)
    assert len(commands) > 10
    pages = ["man1/tartlet.1", "man3/libvmnet.3", *(f"man1/tartlet-{command}.1" for command in commands)]
    for page in pages:
        with gzip.open(installed.path / f"usr/share/man/{page}.gz", "rt") as text:
            assert ".TH " in text.read(), page
    for name in ("share/bash-completion/completions/tartlet", "share/zsh/vendor-completions/_tartlet",
                 "share/fish/vendor_completions.d/tartlet.fish", "lib/systemd/user/tartlet@.service"):
        assert (installed.path / "usr" / name).is_file()
    unit = (installed.path / "usr/lib/systemd/user/tartlet@.service").read_text()
    assert "\nExecStart=/usr/bin/tartlet run " in unit
    schemas = {path.name for path in (ROOT / "docs/schemas").glob("*.json")}
    assert {path.name for path in (installed.path / "usr/share/tartlet/schemas").iterdir()} == schemas


def test_program(installed):
    assert as_person(installed, "tartlet", "--version").stdout == f"tartlet {version()}\n"
    # Where `tartlet run --net-softnet` looks for it.
    assert as_person(installed, "/usr/libexec/tartlet/softnet", "--version").stdout == f"softnet {version()}\n"
    as_person(installed, "tartlet", "create", "one", "--linux", "--disk-size", "1", check=False)
    assert as_person(installed, "tartlet", "list", "--format", "json").stdout.startswith("[")


def test_what_is_recommended_and_missing_is_named(installed):
    """QEMU is not among what it depends on: `netns` and the library do without."""
    (installed.path / "home/person/kernel").write_bytes(b"kernel")
    as_person(installed, "tartlet", "create", "direct", "--kernel", "/home/person/kernel",
              "--initrd", "/home/person/kernel")
    done = as_person(installed, "tartlet", "run", "direct", check=False)
    assert done.returncode == 1 and "qemu-system-x86" in done.stderr


def test_guest_without_a_vm(installed):
    """As an ordinary user: the interface, its route, a name server, and an exit code."""
    done = as_person(installed, "tartlet", "netns", "--mtu", "1400", "--", "sh", "-c",
                     "cat /sys/class/net/eth0/mtu /proc/net/route /etc/resolv.conf; exit 7", check=False)
    assert done.returncode == 7, done.stderr
    routes = [line.split() for line in done.stdout.splitlines() if line.startswith("eth0")]
    assert any(route[1] == "00000000" for route in routes), done.stdout
    assert re.search(r"^nameserver ", done.stdout, re.MULTILINE)


def test_library(installed):
    """A program is built against the packaged library by what the packages say, and runs."""
    flags = installed.run("pkg-config", "--cflags", "--libs", "libvmnet").stdout.split()
    assert installed.run("pkg-config", "--modversion", "libvmnet").stdout == f"{version()}\n"
    installed.run("cc", "-Wall", "-Wextra", "-Werror", "-o", "/tmp/one-vm",
                  "/usr/share/doc/libvmnet-dev/examples/one-vm.c", *flags)
    assert "libvmnet.so.0 => /lib" in installed.run("ldd", "/tmp/one-vm").stdout
    shown = as_person(installed, "/tmp/one-vm", "/home/person/vm.sock", XDG_RUNTIME_DIR="/home/person/runtime",
                      XDG_STATE_HOME="/home/person/state").stdout
    assert re.search(r"^guest [0-9.]+, ssh -p \d+ ", shown, re.MULTILINE)


def test_removed(installed):
    """Nothing is left, but what the person made."""
    installed.apt("remove", *PACKAGES)
    installed.run("dpkg", "--purge", *PACKAGES)
    installed.apt("autoremove", "--purge")
    shutil.rmtree(installed.path / "home/person/runtime", ignore_errors=True)
    left = {name for name in installed.files() if not name.startswith("home/person/")}
    assert left - installed.before == set()
    assert {name for name in installed.before if not name.startswith("home/person/")} - left == set()
    assert (installed.path / "home/person/.tartlet/vms/direct/config.json").is_file()
    known = installed.run("dpkg-query", "-W", "-f", "${Package} ${db:Status-Abbrev}\n").stdout
    assert not re.search("tartlet|vmnet", known)

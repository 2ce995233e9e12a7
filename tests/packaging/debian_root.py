"""A fresh Debian 12 (debootstrap, minbase) to install packages in: made once, kept as a tar file named after a hash of
what goes into it, and unpacked for each run. Needs root."""

import contextlib
import hashlib
import pathlib
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tools/guest"))

import making  # noqa: E402

SUITE = "bookworm"
# What a person who builds a program has; with it the test has no more to fetch than what ours depend on.
INCLUDE = "gcc,libc6-dev,pkgconf"

# In a mount namespace of its own, as the root of it: a plain chroot may make no user namespaces. The
# devices are its own, and so is what it does with them.
ENTER = """
set -e
root=$1; shift
mount --make-rprivate /
mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
mount -t tmpfs -o mode=755 dev "$root/dev"
mkdir "$root/dev/net" "$root/dev/shm" "$root/dev/old"
mknod -m 666 "$root/dev/null" c 1 3; mknod -m 666 "$root/dev/zero" c 1 5
mknod -m 666 "$root/dev/random" c 1 8; mknod -m 666 "$root/dev/urandom" c 1 9
mknod -m 666 "$root/dev/tty" c 5 0; mknod -m 666 "$root/dev/net/tun" c 10 200
ln -s /proc/self/fd "$root/dev/fd"
cd "$root"; pivot_root . dev/old; cd /
umount -l /dev/old
exec "$@"
"""


def mirror():
    """Where this machine has its Debian from."""
    listed = subprocess.run(["apt-get", "indextargets", "--format", "$(SITE) $(CODENAME) $(COMPONENT)",
                             "Created-By: Packages"], check=True, text=True, stdout=subprocess.PIPE).stdout
    found = [line.split()[0] for line in listed.splitlines() if line.split()[1:] == [SUITE, "main"]]
    assert found, f"apt has no source of Debian {SUITE}, main"
    return found[0]


class DebianRoot:
    def __init__(self, path, packages):
        self.path = path
        self.packages = packages  # a folder that keeps what apt fetched

    def run(self, *argv, check=True, **environment):
        variables = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LC_ALL": "C.UTF-8",
                     "DEBIAN_FRONTEND": "noninteractive"} | environment
        done = subprocess.run(["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", ENTER, "sh",
                               str(self.path), *argv], env=variables, stdin=subprocess.DEVNULL, text=True,
                              capture_output=True, timeout=1200, check=False)
        assert not check or done.returncode == 0, f"{argv}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def apt(self, *argv):
        """apt-get, which fetches a package once for all runs; its lists when they are too old."""
        archives = self.path / "var/cache/apt/archives"
        for package in self.packages.glob("*.deb"):
            shutil.copy(package, archives)
        words = ["apt-get", "-y", "--no-install-recommends", *argv]
        if self.run(*words, check=False).returncode != 0:
            self.run("apt-get", "update")
            self.run(*words)
        for package in archives.glob("*.deb"):
            if not (self.packages / package.name).exists():
                shutil.copy(package, self.packages)
            package.unlink()

    def files(self):
        """Every path but those where dpkg and apt keep their books."""
        books = ("var/lib/dpkg/", "var/cache/", "var/log/", "var/lib/apt/", "tmp/", "root/", "proc/", "dev/")
        found = (str(path.relative_to(self.path)) for path in self.path.rglob("*"))
        return {name for name in found if not name.startswith(books)}


def bootstrap(tar):
    with tempfile.TemporaryDirectory(dir=tar.parent, prefix=making.UNFINISHED) as folder:
        tree = pathlib.Path(folder) / "tree"
        making.run(["debootstrap", "--variant=minbase", f"--include={INCLUDE}", SUITE, str(tree), mirror()])
        made = DebianRoot(tree, None)
        shutil.copyfile("/etc/resolv.conf", tree / "etc/resolv.conf")
        made.run("apt-get", "update")
        made.run("apt-get", "clean")
        made.run("useradd", "--create-home", "person")
        unfinished = pathlib.Path(folder) / "tar"
        making.run(["tar", "--numeric-owner", "-C", str(tree), "-cf", str(unfinished), "."])
        unfinished.rename(tar)


@contextlib.contextmanager
def debian_root():
    inputs = [SUITE, INCLUDE, mirror(), pathlib.Path(__file__).read_text()]
    key = hashlib.sha256("\0".join(inputs).encode()).hexdigest()[:16]
    cache = making.cache_directory("debian-root")
    (cache / "packages").mkdir(exist_ok=True)
    with making.only_builder(cache):
        kept = cache / key
        kept.mkdir(exist_ok=True)
        if not (kept / "tar").exists():
            bootstrap(kept / "tar")
        making.prune(cache, kept)
    with tempfile.TemporaryDirectory(prefix="tartlet-debian-") as folder:
        path = pathlib.Path(folder)
        path.chmod(0o755)
        making.run(["tar", "-C", folder, "-xf", str(kept / "tar")])
        shutil.copyfile("/etc/resolv.conf", path / "etc/resolv.conf")
        yield DebianRoot(path, cache / "packages")

"""The release build that is measured, in build/bench."""

import pathlib
import shutil
import subprocess
import sys

import process

ROOT = pathlib.Path(__file__).resolve().parent.parent
FOLDER = ROOT / "build/bench"
PROBES = ("connect", "idle", "relay", "rr", "udp", "wire")


def need(packages):
    """Fails with what to install where a program is missing; `packages` is program -> package."""
    missing = {package for name, package in packages.items() if not shutil.which(name)}
    if missing:
        raise process.Failure(f"programs are missing: apt-get install {' '.join(sorted(missing))}")


def build():
    """Everything that is measured, with debug information: it changes no instruction."""
    if not (FOLDER / "build.ninja").exists():
        subprocess.run(["meson", "setup", FOLDER, ROOT, "--buildtype=release", "-Ddebug=true", "-Dbench=true"],
                       check=True, stdout=subprocess.DEVNULL)
    targets = ["src/cli/tartlet", "bench/scenario/bench-scenario",
               *(f"bench/probe/bench-{name}" for name in PROBES),
               "bench/virtio/bench-network", "bench/virtio/bench-virtio"]
    done = subprocess.run(["ninja", "-C", FOLDER, *targets], check=False, text=True, stdout=subprocess.PIPE)
    if done.returncode != 0:
        sys.stderr.write(done.stdout)
        raise process.Failure("the build failed")
    return FOLDER

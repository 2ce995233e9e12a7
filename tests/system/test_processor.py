"""What the guest's processor says that it can do (src/vm/cpu_model.c), and what runs it (src/vm/accel_argument.c)."""

import pathlib
import re
import subprocess

import pytest

from lab.tartlet import qemu_pids

# A guest that knows them copies byte by byte under TCG: TCP is a third as fast.
SLOW_UNDER_TCG = {"erms", "fsrm", "fzrm", "fsrs", "fsrc"}


# A static key of the scheduler's, in code that runs with interrupts off: Linux changes some twenty places of its own
# code each time, while the two loops, which wake each other up, take the other processor past them.
CHANGE_CODE = (
    "sleep 60 & end=$!; "
    "(while kill -0 $end; do echo x; done | while read x; do :; done) >/dev/null 2>&1 & "
    "while kill -0 $end 2>/dev/null; do "
    "for on in 1 0; do echo $on >/proc/sys/kernel/sched_schedstats; done; times=$((times + 1)); "
    "done; wait; echo $times")


def runs_under_kvm(vm):
    qemu, = qemu_pids(vm.pids())
    words = pathlib.Path(f"/proc/{qemu}/cmdline").read_text().split("\0")
    return words[words.index("-accel") + 1] == "kvm"


def test_nothing_tells_the_guest_to_copy_slowly(vm, agent):
    flags = set(agent.run("grep -m1 ^flags /proc/cpuinfo").split())
    assert "sse2" in flags
    assert runs_under_kvm(vm) or not SLOW_UNDER_TCG & flags


def test_threads_of_the_processors(vm, agent):
    """Two processors, and under TCG before QEMU 8.1 one thread for both, since two keep old code."""
    assert agent.run("grep -c ^processor /proc/cpuinfo") == "2"
    if runs_under_kvm(vm):
        return
    qemu, = qemu_pids(vm.pids())
    version = subprocess.run([f"/proc/{qemu}/exe", "--version"], check=True, text=True, capture_output=True).stdout
    version = tuple(map(int, re.search(r"version (\d+)\.(\d+)", version).groups()))
    names = [path.read_text().strip() for path in pathlib.Path(f"/proc/{qemu}/task").glob("*/comm")]
    assert len([name for name in names if name.endswith("/TCG")]) == (1 if version < (8, 1) else 2), (version, names)


@pytest.mark.soak
def test_a_guest_that_changes_its_code(agent):
    """With a thread for each processor a guest under QEMU 7.2 hangs here, more often than not."""
    assert int(agent.run(CHANGE_CODE, timeout=120)) > 20

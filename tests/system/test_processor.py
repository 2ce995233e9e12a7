"""What the guest's processor says that it can do (src/vm/cpu_model.c)."""

import pathlib

from lab.tartlet import qemu_pids

# A guest that knows them copies byte by byte under TCG: TCP is a third as fast.
SLOW_UNDER_TCG = {"erms", "fsrm", "fzrm", "fsrs", "fsrc"}


def test_nothing_tells_the_guest_to_copy_slowly(vm, agent):
    flags = set(agent.run("grep -m1 ^flags /proc/cpuinfo").split())
    qemu, = qemu_pids(vm.pids())
    words = pathlib.Path(f"/proc/{qemu}/cmdline").read_text().split("\0")
    assert "sse2" in flags
    assert words[words.index("-accel") + 1] == "kvm" or not SLOW_UNDER_TCG & flags

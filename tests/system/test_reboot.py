"""A reboot inside of the guest: QEMU and tartlet stay, so do address and forwards."""

import pytest
from lab.guest import answers
from lab.tartlet import qemu_pids
from lab.waiting import until


@pytest.fixture(scope="module")
def rebooted(tartlet, guest):
    tartlet.create("phoenix", guest)
    running = tartlet.run("phoenix")
    agent = running.up()
    agent.run("touch /tmp/before")
    before = {"lease": agent.lease(), "qemu": qemu_pids(running.pids())}
    agent.tell("reboot")
    until(lambda: is_new(running), 240, "the guest after its reboot")
    yield running, before
    running.end()


def is_new(running):
    return running.agent().is_up(" && test ! -e /tmp/before")


def test_same_qemu(rebooted):
    running, before = rebooted
    assert len(before["qemu"]) == 1
    assert qemu_pids(running.pids()) == before["qemu"]


def test_same_address(rebooted):
    running, before = rebooted
    lease = running.agent().lease()
    assert lease["address"] == before["lease"]["address"] == running.address
    assert lease == before["lease"]


def test_same_forwards(lab, rebooted):
    running, _ = rebooted
    page = lab.host.run("curl", "-sS", "--max-time", "100", f"http://127.0.0.1:{running.port(80)}/")
    assert "This is phoenix" in page.stdout
    port = running.port(53, "udp")
    assert answers(lab.host, "127.0.0.1", port) == (b"hello", ("127.0.0.1", port))

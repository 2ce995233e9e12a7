"""kill -9 of `tartlet run`: nothing is left that hinders the next run."""

import socket

import pytest
from lab.tartlet import qemu_pids, wait_gone

SPECS = ["22007:7", "22002:2", "22053:53/udp"]


@pytest.fixture(scope="module")
def killed(tartlet, guest):
    """Runs, is killed, and what there was."""
    tartlet.create("mayfly", guest)
    running = tartlet.run("mayfly", expose=SPECS)
    pids = running.pids()
    assert len(qemu_pids(pids)) == 1
    running.kill()
    return running, pids


def test_no_process_is_left(killed):
    _, pids = killed
    wait_gone(pids)


def test_no_port_is_held(lab, killed):
    wait_gone(killed[1])
    for kind, port in ((socket.SOCK_STREAM, 22007), (socket.SOCK_DGRAM, 22053)):
        for family, address in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
            with lab.host.socket(family, kind) as other:
                other.bind((address, port))


def test_it_is_not_running(tartlet, killed):
    wait_gone(killed[1])
    assert {entry["Name"]: entry for entry in tartlet.json("list")}["mayfly"]["State"] == "stopped"
    assert "not running" in tartlet.command("stop", "mayfly", expect=2).stderr


def test_runs_again_as_it_was(tartlet, killed):
    before, pids = killed
    wait_gone(pids)
    again = tartlet.run("mayfly", expose=SPECS)
    try:
        assert again.up().lease()["address"] == before.address
        assert again.fact("subnet") == before.fact("subnet")
        assert set(again.forwards) == set(before.forwards)
    finally:
        again.end()


def test_its_subnet_is_free(tartlet, killed, guest):
    """For another VM that asks for it by name."""
    before, pids = killed
    wait_gone(pids)
    subnet = before.fact("subnet")
    tartlet.create("heir", guest)
    heir = tartlet.run("heir", "--net-vmnet-subnet", subnet, expose=["0:2"])
    try:
        assert heir.fact("subnet") == subnet
        assert heir.up().lease()["address"] == heir.address
    finally:
        heir.end()
        tartlet.command("delete", "heir")


@pytest.mark.soak
def test_again_and_again(tartlet, killed):
    """Killed at once after the start, 20 times."""
    before, pids = killed
    wait_gone(pids)
    for _ in range(20):
        again = tartlet.run("mayfly", expose=SPECS)
        assert again.address == before.address
        pids = again.pids()
        again.kill()
        wait_gone(pids)


def test_can_be_deleted(tartlet, killed):
    wait_gone(killed[1])
    tartlet.command("delete", "mayfly")
    assert "mayfly" not in [entry["Name"] for entry in tartlet.json("list")]

"""Forwards added and removed while the VM runs."""

import socket

import pytest
from lab.guest import answers


def table(tartlet):
    """What is bound now, as in RunningVm.forwards."""
    return {(forward["protocol"], forward["externalAddress"], forward["externalPort"],
             forward["internalPort"])
            for forward in tartlet.json("forward", "list", "shared")}


def ports(tartlet):
    return {external for _, _, external, _ in table(tartlet)}


def echoes(lab, port):
    with lab.host.connect("127.0.0.1", port) as connection:
        connection.sendall(b"hello\n")
        return connection.recv(100) == b"hello\n"


def test_list_shows_what_is_bound(tartlet, vm):
    assert table(tartlet) == set(vm.forwards)


def test_add_and_remove_tcp(lab, tartlet, vm):
    tartlet.command("forward", "add", "shared", "21007:7")
    assert echoes(lab, 21007)
    assert 21007 in ports(tartlet)
    tartlet.command("forward", "remove", "shared", "21007:7")
    assert 21007 not in ports(tartlet)
    with pytest.raises(ConnectionRefusedError):
        echoes(lab, 21007)
    # The port is free for others at once, but for what the connection of before may still hold of it.
    with lab.host.socket(socket.AF_INET, socket.SOCK_STREAM) as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("0.0.0.0", 21007))
        other.listen()


def test_add_and_remove_udp(lab, tartlet, vm):
    tartlet.command("forward", "add", "shared", "21053:53/udp")
    assert answers(lab.host, "127.0.0.1", 21053)[0] == b"hello"
    tartlet.command("forward", "remove", "shared", "21053:53/udp")
    with pytest.raises((ConnectionRefusedError, TimeoutError)):
        answers(lab.host, "127.0.0.1", 21053, timeout=1)


def test_add_with_free_port(lab, tartlet, vm):
    before = ports(tartlet)
    said = tartlet.command("forward", "add", "shared", "0:7").stdout
    [port] = ports(tartlet) - before
    assert port > 0 and f":{port} -> 7" in said
    assert echoes(lab, port)
    tartlet.command("forward", "remove", "shared", str(port))
    assert ports(tartlet) == before


def test_range_up_to_the_last_port(lab, tartlet, vm):
    before = ports(tartlet)
    tartlet.command("forward", "add", "shared", "65534-65535:6-7")
    assert ports(tartlet) - before == {65534, 65535}
    assert echoes(lab, 65535)
    tartlet.command("forward", "remove", "shared", "65534-65535:6-7")
    assert ports(tartlet) == before
    with pytest.raises(ConnectionRefusedError):
        echoes(lab, 65535)


def test_others_go_on(lab, tartlet, vm):
    """A connection through one forward lives while another comes and goes."""
    with lab.host.connect("127.0.0.1", vm.port(7)) as connection:
        tartlet.command("forward", "add", "shared", "21008:7")
        connection.sendall(b"one\n")
        assert connection.recv(100) == b"one\n"
        tartlet.command("forward", "remove", "shared", "21008:7")
        connection.sendall(b"two\n")
        assert connection.recv(100) == b"two\n"


def test_taken_port_is_refused_and_said(lab, tartlet, vm):
    before = table(tartlet)
    with lab.host.socket(socket.AF_INET, socket.SOCK_STREAM) as other:
        other.bind(("0.0.0.0", 21009))
        other.listen()
        done = tartlet.command("forward", "add", "shared", "21009:7", expect=1)
    assert "21009" in done.stderr and "in use" in done.stderr
    assert table(tartlet) == before


@pytest.mark.parametrize("spec", ["", "7", "0:0", "99999:7", "21010:7/sctp", "1.2.3:21010:7"])
def test_bad_spec_is_refused(tartlet, vm, spec):
    before = table(tartlet)
    done = tartlet.command("forward", "add", "shared", spec, expect=64)
    assert done.stderr
    assert table(tartlet) == before


def test_unknown_forward_is_not_removed(tartlet, vm):
    done = tartlet.command("forward", "remove", "shared", "21011:7", expect=None)
    assert done.returncode in (1, 2) and "21011" in done.stderr


def test_not_running(tartlet, vm, guest):
    tartlet.create("idle", guest)
    assert 'VM "idle" is not running' in tartlet.command("forward", "list", "idle", expect=2).stderr
    tartlet.command("delete", "idle")
    assert "does not exist" in tartlet.command("forward", "list", "idle", expect=2).stderr

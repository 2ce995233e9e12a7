"""From outside to the guest: through forwarded TCP and UDP ports, from every side of the host."""

import concurrent.futures
import hashlib
import ipaddress
import re
import socket
import subprocess

import pytest
from lab import pattern, topology
from lab.guest import answers

BYTES = 20_000_000


def url(address, port, path="/"):
    return f"http://[{address}]:{port}{path}" if ":" in address else f"http://{address}:{port}{path}"


def curl(namespace, *argv):
    return namespace.run("curl", "-sS", "--max-time", "150", "--noproxy", "*", *argv).stdout


def seen_as(page):
    """The client's address as the guest saw it (httpd writes IPv4 as mapped IPv6)."""
    return re.search(r"from \[?(?:::ffff:)?([0-9a-f.:]+)\]?\.$", page, re.MULTILINE).group(1)


def gateway(vm):
    return str(next(ipaddress.ip_network(vm.fact("subnet")).hosts()))


LOCAL = ["127.0.0.1", "::1", topology.HOST, topology.HOST_SECOND, topology.HOST6]


@pytest.mark.parametrize("address", LOCAL)
def test_http_from_the_host(lab, vm, address):
    page = curl(lab.host, url(address, vm.port(80)))
    assert "This is shared" in page
    # The host's own addresses and IPv6 clients cannot be shown to an IPv4 guest as they are.
    assert seen_as(page) == gateway(vm)


def test_http_from_another_machine(lab, vm):
    page = curl(lab.server, url(topology.HOST, vm.port(80)))
    assert seen_as(page) == topology.SERVER


def test_http_from_another_machine_over_ipv6(lab, vm):
    page = curl(lab.server, url(topology.HOST6, vm.port(80)))
    assert seen_as(page) == gateway(vm)


@pytest.mark.parametrize("address", LOCAL)
def test_udp_answer_comes_from_the_address_asked(lab, vm, address):
    port = vm.port(53, "udp")
    assert answers(lab.host, address, port) == (b"hello", (address, port))


@pytest.mark.parametrize("address", [topology.HOST, topology.HOST_SECOND, topology.HOST6])
def test_udp_from_another_machine(lab, vm, address):
    port = vm.port(53, "udp")
    assert answers(lab.server, address, port) == (b"hello", (address, port))


@pytest.mark.parametrize("size", [0, 1, 1472, 1473, 9000])
def test_udp_sizes(lab, vm, size):
    question = bytes(i * 7 % 256 for i in range(size))
    assert answers(lab.host, "127.0.0.1", vm.port(7, "udp"), question)[0] == question


def test_download(lab, vm):
    with subprocess.Popen(lab.host.argv("curl", "-sS", "--max-time", "150",
                                        url("127.0.0.1", vm.port(80), f"/cgi-bin/big?{BYTES}")),
                          stdout=subprocess.PIPE) as client:
        digest = hashlib.file_digest(client.stdout, "sha256").hexdigest()
    assert digest == pattern.sha256(BYTES)


def test_upload(lab, vm):
    body = b"".join(pattern.blocks(BYTES, 3))
    answer = subprocess.run(lab.host.argv("curl", "-sS", "--max-time", "150", "-H", "Expect:",
                                          "--data-binary", "@-",
                                          url(topology.HOST, vm.port(80), "/cgi-bin/upload")),
                            input=body, stdout=subprocess.PIPE, check=True).stdout
    assert answer.decode().strip() == pattern.sha256(BYTES, 3)


def echo(lab, vm, text):
    """Sends, closes its half, and reads to the end what comes back."""
    with lab.host.connect("127.0.0.1", vm.port(7), 150) as connection:
        connection.sendall(text)
        connection.shutdown(socket.SHUT_WR)
        back = bytearray()
        while piece := connection.recv(65536):
            back += piece
    return bytes(back)


def test_half_close_reaches_the_guest_and_back(lab, vm):
    text = b"".join(pattern.blocks(100_000, 5))
    assert echo(lab, vm, text) == text


def test_many_clients_at_once(lab, vm):
    texts = [f"client {number} ".encode() * 100 for number in range(40)]
    with concurrent.futures.ThreadPoolExecutor(40) as pool:
        assert list(pool.map(lambda text: echo(lab, vm, text), texts)) == texts


def test_ssh(lab, vm, guest_files):
    said = lab.host.run("ssh", "-i", guest_files["ssh_key"], "-p", vm.port(22), "-F", "none",
                        "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
                        "-o", "IdentitiesOnly=yes", "root@127.0.0.1", "hostname").stdout
    assert said.strip() == "shared"


def test_external_port_zero_is_reported(vm):
    assert all(forward.external != 0 for forward in vm.forwards)
    assert len({vm.port(port) for port in (2, 7, 22, 80)}) == 4


def test_bound_on_all_addresses_and_said_so(vm):
    bound = {forward.address for forward in vm.forwards if forward.internal == 80}
    assert bound == {"0.0.0.0", "::"}


def test_hairpin(vm, agent):
    """The guest reaches its own forward by the host's address."""
    page = agent.run(f"timeout 100 wget -q -O - http://{topology.HOST}:{vm.port(80)}/")
    assert "This is shared" in page

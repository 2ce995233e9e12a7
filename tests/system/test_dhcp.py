"""The guest's address: the reservation, by both DHCP clients, and what tartlet says about it."""

import ipaddress

import pytest
from scapy.layers.dhcp import BOOTP, DHCP
from scapy.utils import rdpcap
from lab.waiting import until


def mac_of(agent):
    return agent.run("cat /sys/class/net/eth0/address")


def test_lease_is_the_reservation(tartlet, vm, agent):
    lease = agent.lease()
    subnet = ipaddress.ip_network(vm.fact("subnet"))
    gateway, guest = list(subnet.hosts())[:2]
    assert subnet.is_private
    assert lease["address"] == vm.address == str(guest)
    assert int(lease["prefix"]) == subnet.prefixlen
    assert lease["routers"] == lease["server"] == lease["dns"] == str(gateway)
    assert tartlet.command("ip", "shared", "--wait", 100).stdout.strip() == vm.address


def test_lease_names_the_vm(vm, agent):
    assert agent.lease()["hostname"] == "shared"
    assert agent.run("hostname") == "shared"
    assert vm.fact("label") == "shared"


def test_lease_times_and_mtu(agent):
    lease = agent.lease()
    assert int(lease["lease"]) >= 60
    mtu = int(agent.run("cat /sys/class/net/eth0/mtu"))
    assert lease["mtu"] == "" or int(lease["mtu"]) == mtu


def test_arp_resolver_agrees(tartlet, vm):
    assert tartlet.command("ip", "shared", "--resolver", "arp", "--wait", 100).stdout.strip() == vm.address


def test_get_tells_the_network(tartlet, vm, agent):
    told = tartlet.json("get", "shared")
    assert told["MAC"] == mac_of(agent)
    assert told["Address"] == vm.address
    assert told["Subnet"] == vm.fact("subnet")
    assert {(forward["protocol"], forward["externalAddress"], forward["externalPort"],
             forward["internalPort"]) for forward in told["Forwards"]} == set(vm.forwards)


def test_list_says_running(tartlet, vm):
    entries = {entry["Name"]: entry for entry in tartlet.json("list")}
    assert entries["shared"]["State"] == "running"
    assert entries["shared"]["Running"] is True


def test_renewal_keeps_the_address(vm, agent):
    agent.run("rm /run/lease && killall -USR1 udhcpc")
    until(lambda: has_lease(agent), 120, "renewed lease")
    assert agent.lease()["address"] == vm.address


def test_wrong_address_is_refused(vm, agent):
    """A client that asks for somebody else's address gets a NAK, starts over, and gets its own."""
    said = agent.run("udhcpc -i eth0 -n -q -f -t 10 -T 5 -r 10.99.99.99 -s /bin/true 2>&1")
    assert f"lease of {vm.address} obtained" in said


def has_lease(agent):
    try:
        return agent.ask("test -s /run/lease", timeout=15)[0] == 0
    except OSError:
        return False  # between the release and the new lease it has no address


def test_release_and_ask_again(vm, agent):
    agent.run("rm /run/lease")
    agent.tell("killall -USR2 udhcpc; killall -USR1 udhcpc")
    until(lambda: has_lease(agent), 120, "new lease")
    assert agent.lease()["address"] == vm.address


@pytest.fixture(scope="module")
def duid_vm(tartlet, guest):
    """Boots the kernel as packaged, and asks for its address with a DUID as client identifier."""
    tartlet.create("duid", guest, kernel="kernel", cmdline="tartlet.client=dhclient")
    running = tartlet.run("duid", "--net-pcap", tartlet.home / "duid.pcapng", expose=["0:2"])
    yield running
    running.end()


def client_identifiers(path):
    """Of each DHCP message of a client in a pcapng file."""
    packets = [packet for packet in rdpcap(str(path)) if packet.haslayer(DHCP) and packet[BOOTP].op == 1]
    return [dict(option for option in packet[DHCP].options if isinstance(option, tuple))
            .get("client_id") for packet in packets]


def test_reservation_holds_with_a_duid(tartlet, duid_vm):
    agent = duid_vm.up()
    lease = agent.lease()
    assert lease["client"] == "dhclient"
    assert lease["address"] == duid_vm.address
    assert tartlet.command("ip", "duid").stdout.strip() == duid_vm.address


def test_mac_decides_not_the_identifier(duid_vm):
    """The same card with another identifier gets the same address."""
    said = duid_vm.agent().run("udhcpc -i eth0 -n -q -f -t 10 -T 5 -x 0x3d:00aabbcc -s /bin/true 2>&1")
    assert f"lease of {duid_vm.address} obtained" in said


def test_a_duid_was_sent(tartlet, duid_vm):
    """Ends the VM, and reads what passed its port (--net-pcap)."""
    duid_vm.end()
    sent = client_identifiers(tartlet.home / "duid.pcapng")
    # 255: an identifier made of an IAID and a DUID (RFC 4361 section 6.1); 0x00aabbcc is the other test's
    assert b"\xff" in {identifier[:1] for identifier in sent}
    assert all(identifier[:1] == b"\xff" or identifier == b"\x00\xaa\xbb\xcc" for identifier in sent)

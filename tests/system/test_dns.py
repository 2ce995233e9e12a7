"""Names, by dig and by the guest's own resolver, through the gateway to a real DNS server."""

import ipaddress
import re
import time

import pytest
from lab import servers, topology
from lab.waiting import until

# 5 s are the gateway's; a busy machine adds to that, but not as much as dig's own patience of 60 s.
MOST_MS = 15_000
RESOLV = f"nameserver {topology.SERVICE}\n"


@pytest.fixture
def gateway(vm):
    return str(next(ipaddress.ip_network(vm.fact("subnet")).hosts()))


@pytest.fixture
def dig(agent, gateway):
    def ask(words, timeout=200):
        return agent.ask(f"dig @{gateway} +tries=1 +time=60 {words}", timeout)[1]
    return ask


# As dig measures it, in the guest: what the test's machine needs to start dig is not the gateway's.
def took_ms(said):
    return int(re.search(r"^;; Query time: (\d+) msec$", said, re.MULTILINE).group(1))


def status(said):
    return re.search(r"status: (\w+)", said).group(1)


@pytest.mark.parametrize("way", ["+notcp", "+tcp"])
def test_address(dig, dns, way):
    before = dns.questions("www.test")
    assert dig(f"{way} +short www.test A") == "198.51.100.80\n"
    assert dig(f"{way} +short www.test AAAA") == "2001:db8:5::80\n"
    assert dns.questions("www.test") >= before + 2


@pytest.mark.parametrize("way", ["+notcp", "+tcp"])
def test_no_such_name(dig, way):
    assert status(dig(f"{way} missing.test A")) == "NXDOMAIN"


def test_other_types(dig):
    assert dig("+short test MX") == "10 mail.test.\n"
    assert status(dig("four.test AAAA")) == "NOERROR"


def test_long_answer_is_cut_over_udp(dig):
    said = dig("+notcp +ignore +bufsize=512 long.test TXT")
    assert re.search(r"flags:[^;]* tc", said)


def test_long_answer_is_whole_over_tcp(dig):
    said = dig("+bufsize=512 long.test TXT")  # dig asks again over TCP by itself
    assert all(letter * 200 in said for letter in "abcdefghij")


def test_edns_is_kept(dig):
    assert "EDNS: version: 0" in dig("www.test A")
    assert "EDNS" not in dig("+noedns www.test A")


def test_case_and_id_come_back(dig):
    assert "wWw.TeSt." in dig("wWw.TeSt A")


@pytest.mark.parametrize("way", ["+notcp", "+tcp"])
def test_host_internal(dig, gateway, way):
    assert dig(f"{way} +short host.internal A") == f"{gateway}\n"


def test_the_vms_own_name(dig, vm):
    assert vm.address in dig("+short shared A").split() + dig("+short shared.internal A").split()


def test_the_hosts_etc_hosts(dig, dns):
    before = dns.questions("printer.lan")
    assert dig("+short printer.lan A") == "198.51.100.77\n"
    said = dig("printer.lan AAAA")
    assert status(said) == "NOERROR" and "ANSWER: 0" in said
    assert dns.questions("printer.lan") == before, "a local name went out"


def test_the_guests_resolver(agent):
    assert "198.51.100.80" in agent.run("nslookup www.test")
    assert f"({topology.SERVER})" in agent.run(f"ping -c 1 -W 5 -4 {topology.SERVER}")


def test_new_resolv_conf_is_followed(lab, dig):
    with servers.Dns(lab.server, topology.SERVER, "--address=/which.test/192.0.2.99"):
        try:
            lab.host.etc_file("resolv.conf", f"nameserver {topology.SERVER}\n")
            until(lambda: dig("+short which.test A") == "192.0.2.99\n", 60, "the other resolver is asked")
        finally:
            lab.host.etc_file("resolv.conf", RESOLV)
    wait_for_resolver(dig)


def wait_for_resolver(dig):
    until(lambda: dig("+short www.test A") == "198.51.100.80\n", 60, "the real resolver is back")


def change(lab, dig, text):
    """Changes resolv.conf, and awaits that it has come through by a name only /etc/hosts has."""
    mark = f"mark{time.monotonic_ns()}.lan"
    before = (lab.host.etc / "hosts").read_text()
    lab.host.etc_file("resolv.conf", text)
    lab.host.etc_file("hosts", before + f"198.51.100.66 {mark}\n")
    try:
        until(lambda: dig(f"+short {mark} A") == "198.51.100.66\n", 60, "changes of /etc are followed")
    finally:
        lab.host.etc_file("hosts", before)


def test_next_resolver_on_silence(lab, dig):
    """The first resolver's packets are lost on the way: the second is asked."""
    try:
        change(lab, dig, f"nameserver {topology.SILENT[0]}\nnameserver {topology.SERVICE}\n")
        said = dig("four.test A")
        assert "198.51.100.4" in said and took_ms(said) < MOST_MS
    finally:
        lab.host.etc_file("resolv.conf", RESOLV)
    wait_for_resolver(dig)


@pytest.mark.parametrize("way", ["+notcp", "+tcp"])
def test_all_dead_is_servfail(lab, dig, way):
    try:
        change(lab, dig, "".join(f"nameserver {address}\n" for address in topology.SILENT))
        said = dig(f"{way} www.test A")
        assert status(said) == "SERVFAIL" and took_ms(said) < MOST_MS
    finally:
        lab.host.etc_file("resolv.conf", RESOLV)
    wait_for_resolver(dig)

"""A byte tunnel to a port of the guest on standard input and output, without a forward."""

import concurrent.futures
import hashlib
import ipaddress
import subprocess

import pytest
from lab import pattern

MEGABYTES = 12 << 20
PORT = 2001  # of the guest, where nothing of its own listens


def open_tunnel(tartlet, name, port, **options):
    """`tartlet nc` with pipes at both ends."""
    return subprocess.Popen(tartlet.argv("nc", name, port), env=tartlet.environment,
                            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)


def tell(tartlet, name, port, data=b"", expect=0, timeout=200):
    """Sends DATA and its end; what came back until the guest's end, and what was said."""
    with open_tunnel(tartlet, name, port) as tunnel:
        output, errors = tunnel.communicate(data, timeout=timeout)
    assert tunnel.returncode == expect, errors
    return output, errors.decode()


@pytest.fixture
def sink(agent):
    """A port of the guest that reads to the end and then answers with the SHA-256."""
    agent.run(f"nc -ll -p {PORT} -e sha256sum >/dev/null 2>&1 </dev/null & echo $! >/run/sink.pid")
    agent.run(f"until netstat -ltn | grep -q ':{PORT} '; do :; done")
    yield PORT
    agent.run("kill $(cat /run/sink.pid)")


def test_megabytes_both_ways(tartlet, vm):
    data = b"".join(pattern.blocks(MEGABYTES, 3))
    output, errors = tell(tartlet, "shared", 7, data)
    assert (len(output), hashlib.sha256(output).hexdigest()) == (MEGABYTES, pattern.sha256(MEGABYTES, 3))
    assert errors == ""


def test_half_close_reaches_the_guest_and_its_answer_comes_back(tartlet, vm, sink):
    output, _ = tell(tartlet, "shared", sink, b"".join(pattern.blocks(MEGABYTES, 4)))
    assert output.split()[0].decode() == pattern.sha256(MEGABYTES, 4)


def test_guest_ends_first(tartlet, vm):
    """Its end is the end of standard output, while standard input is still open."""
    with open_tunnel(tartlet, "shared", 11) as tunnel:
        address, _ = tunnel.stdout.read().decode().split()
        tunnel.stdin.close()
        assert tunnel.wait(60) == 0
        assert tunnel.stderr.read() == b""
    assert address == str(next(ipaddress.ip_network(vm.fact("subnet")).hosts())), "not the gateway's"


def test_many_at_once(tartlet, vm):
    texts = [f"tunnel {number} ".encode() * 20_000 for number in range(6)]
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        told = list(pool.map(lambda text: tell(tartlet, "shared", 7, text)[0], texts))
    assert told == texts


def test_bytes_pass_while_others_do(tartlet, vm):
    """Two open at once, in turn, each with its own bytes and not held back until there are more."""
    with open_tunnel(tartlet, "shared", 7, bufsize=0) as first, \
            open_tunnel(tartlet, "shared", 7, bufsize=0) as second:
        for number in range(5):
            for name, tunnel in (("first", first), ("second", second)):
                text = f"{name} {number}".encode()
                tunnel.stdin.write(text)
                assert tunnel.stdout.read(100) == text
        for tunnel in (first, second):
            tunnel.stdin.close()
            assert tunnel.wait(60) == 0


def test_refused(tartlet, vm):
    output, errors = tell(tartlet, "shared", 9, b"hello", expect=1)
    assert output == b""
    assert errors == f'VM "shared": the guest {vm.address} refuses connections to its TCP port 9\n'


def test_reset_by_the_guest(tartlet, vm, agent):
    """A guest's program that is killed with bytes unread resets: that is no end."""
    agent.run(f"nc -l -p {PORT} -e sleep 1000 >/dev/null 2>&1 </dev/null & echo $! >/run/reset.pid")
    agent.run(f"until netstat -ltn | grep -q ':{PORT} '; do :; done")
    with open_tunnel(tartlet, "shared", PORT, bufsize=0) as tunnel:
        tunnel.stdin.write(b"unread")
        agent.run(f"until netstat -tn | grep ':{PORT} ' | grep -q ' 6 '; do :; done; "
                  "kill $(cat /run/reset.pid)")
        assert tunnel.wait(60) == 1
        assert "the connection was broken off" in tunnel.stderr.read().decode()


def test_no_port_of_the_host(lab, tartlet, vm):
    """Neither of them listens on anything for it."""
    before = lab.host.run("ss", "-Hltn").stdout
    with open_tunnel(tartlet, "shared", 7, bufsize=0) as tunnel:
        tunnel.stdin.write(b"x")
        assert tunnel.stdout.read(1) == b"x"
        assert lab.host.run("ss", "-Hltn").stdout == before
        tunnel.stdin.close()
        tunnel.wait(60)


def test_only_the_owner(lab, homes, tartlet, vm, person, program):
    """Another user cannot open the control socket, even where he could look into the home."""
    environment = homes.tartlet(person).environment | {"TARTLET_HOME": str(tartlet.home)}
    argv = lab.host.argv("setpriv", f"--reuid={person.uid}", f"--regid={person.gid}", "--clear-groups",
                         program, "nc", "shared", "7")
    done = subprocess.run(argv, env=environment, input=b"x", capture_output=True, timeout=120, check=False)
    assert done.returncode in (1, 2) and done.stdout == b""
    control = tartlet.home / "vms/shared/control.sock"
    assert control.stat().st_mode & 0o777 == 0o600 and control.parent.stat().st_mode & 0o777 == 0o700


def test_ssh_by_proxy_command(lab, tartlet, vm, guest_files, program):
    done = subprocess.run(
        lab.host.argv("ssh", "-i", guest_files["ssh_key"], "-F", "none", "-o", "StrictHostKeyChecking=no",
                      "-o", "UserKnownHostsFile=/dev/null", "-o", "IdentitiesOnly=yes", "-o",
                      f"ProxyCommand={program} nc %h %p", "root@shared", "hostname; exit 7"),
        env=tartlet.environment, capture_output=True, text=True, timeout=200, check=False)
    assert (done.stdout, done.returncode) == ("shared\n", 7), done.stderr


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_vm_stops_under_way(tartlet, guest, how):
    """Bytes may be missing then: it fails with a sentence, and soon."""
    name = f"ending-{how}"
    tartlet.create(name, guest)
    running = tartlet.run(name)
    running.up()
    with open_tunnel(tartlet, name, 7, bufsize=0) as tunnel:
        tunnel.stdin.write(b"x")
        assert tunnel.stdout.read(1) == b"x"
        if how == "stop":
            tartlet.command("stop", name)
        else:
            running.kill()
        errors = tunnel.stderr.read().decode()
        assert tunnel.wait(60) == 1, errors
    assert errors.startswith(f'VM "{name}": the connection was broken off')
    assert tell(tartlet, name, 7, expect=2)[1] == f'VM "{name}" is not running\n'
    assert tell(tartlet, "nobody", 7, expect=2)[1] == 'the specified VM "nobody" does not exist\n'

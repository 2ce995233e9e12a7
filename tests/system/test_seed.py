"""The seed for cloud-init: what `create` takes, what `get` says, and what a guest gets. As in test_cli.py, a
fake stands in QEMU's place, but for the test with a real guest, which has `tartlet` in place of `cli`."""

import hashlib
import json
import re
import stat
import subprocess

import pytest
from test_cli import cli  # noqa: F401

USER_DATA = "#cloud-config\n# ä\npackages: [curl]\n"
SERIAL = re.compile(r"ds=nocloud;dsmode=net;s=(http://([0-9.]+)/seed/)")


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    """Two key pairs: the paths of their private halves."""
    folder = tmp_path_factory.mktemp("keys")
    for name, kind in (("first", "ed25519"), ("second", "rsa")):
        subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-C", f"{name} \"key\"", "-f", folder / name],
                       check=True)
    return [folder / "first", folder / "second"]


def public(key):
    return key.with_suffix(".pub")


def seed(cli, name):  # noqa: F811
    return json.loads((cli.home / "vms" / name / "seed.json").read_text())


def test_what_is_kept(cli, keys):  # noqa: F811
    data = cli.path / "user-data"
    data.write_text(USER_DATA)
    cli.create("one", "--ssh-key", public(keys[0]), "--ssh-key", public(keys[1]), "--ssh-key", public(keys[0]),
               "--cloud-init-user-data", data, "--hostname", "Box-1")
    found = seed(cli, "one")
    assert re.fullmatch("iid-[0-9a-f]{32}", found.pop("instanceId"))
    assert found == {"version": 1, "hostname": "Box-1", "userData": USER_DATA,
                     "sshKeys": [public(key).read_text().strip() for key in keys]}
    assert stat.S_IMODE((cli.home / "vms/one/seed.json").stat().st_mode) == 0o600
    for argv in (["get", "one"], ["get", "one", "-f", "json"]):
        said = cli.run(*argv)[0]
        assert "packages" not in said and "ssh-ed25519" not in said
    got = json.loads(said)
    assert (got["Hostname"], got["Seed"]) == ("Box-1", True)
    lines = dict(line.split(maxsplit=1) for line in cli.run("get", "one")[0].splitlines())
    assert (lines["Hostname"], lines["Seed"]) == ("Box-1", "yes")


def test_none_where_none_was_asked_for(cli):  # noqa: F811
    cli.create("one two")
    assert not (cli.home / "vms/one two/seed.json").exists()
    got = json.loads(cli.run("get", "one two", "-f", "json")[0])
    assert (got["Hostname"], got["Seed"]) == ("one-two", False)


def test_a_clone_is_another_instance(cli, keys):  # noqa: F811
    cli.create("one", "--ssh-key", public(keys[0]))
    cli.run("clone", "one", "two")
    source, copy = seed(cli, "one"), seed(cli, "two")
    assert source.pop("instanceId") != copy.pop("instanceId") and source == copy
    assert json.loads(cli.run("get", "two", "-f", "json")[0])["Hostname"] == "two"


def test_set(cli, keys):  # noqa: F811
    data = cli.path / "user-data"
    data.write_text(USER_DATA)
    cli.create("one")
    assert cli.run("set", "one", "--ssh-key", public(keys[0]), "--ssh-key", public(keys[1])) == ("", "")
    first = seed(cli, "one")
    assert len(first["sshKeys"]) == 2 and first["hostname"] is None
    config = cli.config("one")
    cli.run("set", "one", "--ssh-key", public(keys[1]), "--hostname", "box")
    cli.run("set", "one", "--cloud-init-user-data", data)
    second = seed(cli, "one")
    assert second.pop("instanceId") != first["instanceId"]
    assert second == {"version": 1, "hostname": "box", "userData": USER_DATA,
                      "sshKeys": [public(keys[1]).read_text().strip()]}
    before = (cli.home / "vms/one/seed.json").read_bytes()
    assert "private key" in cli.refused("set", "one", "--ssh-key", keys[0], expect=1)
    assert "a change of their own" in cli.refused("set", "one", "--ssh-key", public(keys[0]), "--cpu", 1)
    (cli.home / "vms/one/suspend.state").write_bytes(b"memory")
    assert "is suspended" in cli.refused("set", "one", "--hostname", "other", expect=2)
    assert (cli.home / "vms/one/seed.json").read_bytes() == before and cli.config("one") == config
    assert sorted(path.name for path in (cli.home / "vms/one").iterdir()) == \
        ["config.json", "initrd", "kernel", "seed.json", "suspend.state"]


def refused(cli, *argv):  # noqa: F811
    """The sentence of a create that failed; nothing is left of it."""
    said = cli.refused("create", "one", "--kernel", cli.path / "kernel", "--initrd", cli.path / "initrd", *argv,
                       expect=1)
    assert said.count("\n") == 1
    assert not (cli.home / "vms/one").exists()
    assert list((cli.home / "tmp").iterdir()) == []
    return said


def test_a_private_key_is_not_taken(cli, keys):  # noqa: F811
    for key in keys:
        assert refused(cli, "--ssh-key", key) == \
            f"{key}: it is a private key, which is for nobody but you: give the public one, whose name ends in .pub\n"


def test_bad_files(cli, keys):  # noqa: F811
    bad = cli.path / "bad"
    assert refused(cli, "--ssh-key", bad) == f"cannot read {bad}: No such file or directory\n"
    assert refused(cli, "--cloud-init-user-data", bad) == f"cannot read {bad}: No such file or directory\n"
    assert refused(cli, "--ssh-key", cli.path) == f"{cli.path} is not a regular file\n"
    bad.write_text("")
    assert refused(cli, "--ssh-key", bad) == f"{bad}: there is no key in it\n"
    assert refused(cli, "--cloud-init-user-data", bad) == f"{bad}: it is empty\n"
    bad.write_text(public(keys[0]).read_text()[:60])
    assert refused(cli, "--ssh-key", public(keys[1]), "--ssh-key", bad) == \
        f"{bad}: line 1: the ssh-ed25519 key is damaged or cut short\n"
    bad.write_text("users: []\n")
    assert "the first line should be \"#cloud-config\"" in refused(cli, "--cloud-init-user-data", bad)
    bad.write_text("#" * (512 * 1024 + 1))
    assert refused(cli, "--cloud-init-user-data", bad) == f"{bad} is larger than 524288 bytes\n"
    assert refused(cli, "--ssh-key", bad) == f"{bad} is larger than 131072 bytes\n"


@pytest.mark.parametrize("name", ["", "-a", "a.b", "a b", "a" * 64])
def test_bad_hostnames(cli, name):  # noqa: F811
    said = cli.refused("create", "one", "--linux", "--hostname", name)
    assert said.startswith(f"tartlet create: invalid host name \"{name}\": expected letters")


def test_a_damaged_seed_is_not_run(cli):  # noqa: F811
    folder = cli.create("one", "--hostname", "box")
    (folder / "seed.json").write_text("{}")
    for command in ("run", "get"):
        assert cli.refused(command, "one", expect=1).startswith("seed.json: expected version 1")


# --- a real guest -------------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def seeded(tartlet, guest, keys, scratch):
    """A VM with a seed, and what it is made of."""
    data = scratch / "user-data"
    data.write_text(USER_DATA + "# more\n" * 20_000)
    tartlet.command("create", "seeded", "--kernel", guest["vmlinux"], "--initrd", guest["initrd"], "--memory", 256,
                    "--cmdline", "console=ttyS0 quiet no_timer_check", "--ssh-key", public(keys[0]),
                    "--cloud-init-user-data", data, "--hostname", "beagle")
    running = tartlet.run("seeded", expose=["0:2"])
    running.up()
    yield running, data.read_bytes()
    running.end()


def url_of(running):
    found = SERIAL.fullmatch(running.agent().run("cat /sys/class/dmi/id/product_serial"))
    return found[1], found[2]


def test_guest_fetches_its_seed(tartlet, seeded, keys):
    running, data = seeded
    agent = running.agent()
    url, gateway = url_of(running)
    assert gateway == agent.lease()["routers"]
    key = public(keys[0]).read_text().strip().replace('"', '\\"')
    instance = json.loads((tartlet.home / "vms/seeded/seed.json").read_text())["instanceId"]
    assert agent.run(f"wget -q -O - {url}meta-data").splitlines() == [
        f"instance-id: {instance}", 'local-hostname: "beagle"', "public-keys:", f'  - "{key}"']
    assert agent.run(f"wget -q -O - {url}user-data | sha256sum").split()[0] == hashlib.sha256(data).hexdigest()
    assert agent.run(f"wget -q -O - {url}vendor-data | wc -c") == "0"
    assert agent.lease()["hostname"] == "beagle"


def test_guest_is_answered_as_by_any_server(seeded):
    agent = seeded[0].agent()
    url, gateway = url_of(seeded[0])
    agent.run(f"wget -q --spider {url}meta-data")
    code, said = agent.ask(f"wget -q -O - {url}network-config 2>&1")
    assert code != 0 and "404" in said
    code, said = agent.ask(f"wget -q -O - --post-data=x {url}meta-data 2>&1")
    assert code != 0 and "405" in said
    said = agent.run(f"printf 'GET /seed/vendor-data HTTP/1.1\\r\\nHost: a\\r\\n\\r\\nrubbish\\r\\n\\r\\n'"
                     f" | nc {gateway} 80")
    assert re.findall(r"HTTP/1\.1 (\d+)", said) == ["200", "400"]


def test_nobody_else_fetches_it(lab, vm, seeded):
    url, gateway = url_of(seeded[0])
    code, said = vm.agent().ask(f"wget -q -T 3 -O - {url}meta-data 2>&1")
    assert code != 0 and "instance-id" not in said
    done = lab.host.run("curl", "-sS", "--max-time", "3", f"{url}meta-data", check=False)
    assert done.returncode != 0 and "instance-id" not in done.stdout
    # what has no seed has no server
    own = vm.agent().lease()["routers"]
    code, said = vm.agent().ask(f"wget -q -T 3 -O - http://{own}/seed/meta-data 2>&1")
    assert own != gateway and code != 0 and "instance-id" not in said
    assert vm.agent().run("cat /sys/class/dmi/id/product_serial 2>/dev/null || true") == ""

"""`tartlet ssh`: a real client and a real server, by way of the control socket."""

import subprocess

import pytest


@pytest.fixture
def ssh(tartlet, vm, guest_files):
    """Runs `tartlet ssh` with the guest's key: its process, ended."""
    def run(*argv, name="shared", expect=0, data=None, **environment):
        done = subprocess.run(
            tartlet.argv("ssh", "-F", "none", "-i", guest_files["ssh_key"], "-o", "IdentitiesOnly=yes",
                         *argv[:-1], name, *argv[-1]),
            env=tartlet.environment | environment, input=data, capture_output=True, timeout=200, check=False)
        assert done.returncode == expect, done.stderr
        return done
    return run


def test_command_and_exit_code(ssh):
    done = ssh("-l", "root", ["echo", "here;", "echo", "there", ">&2;", "exit", "7"], expect=7)
    assert done.stdout == b"here\n" and done.stderr.endswith(b"there\n")


def test_bytes_of_standard_input(ssh):
    data = bytes(range(256)) * 4096
    assert ssh("--user", "root", ["cat"], data=data).stdout == data


def test_user_of_the_environment(ssh):
    assert ssh(["id -un"], TARTLET_SSH_USER="root").stdout == b"root\n"


def test_terminal(ssh):
    assert ssh("-l", "root", ["tty"], expect=1, data=b"").stdout == b"not a tty\n"
    assert ssh("-l", "root", "-t", "-t", ["tty"], data=b"").stdout.startswith(b"/dev/")


def test_host_key_is_kept_with_the_vm_and_held_to_it(ssh, tartlet, vm):
    known_hosts = tartlet.home / "vms/shared/known_hosts"
    known_hosts.unlink(missing_ok=True)
    ssh("-l", "root", ["true"])
    kept = known_hosts.read_text()
    assert kept.startswith("vm ")
    ssh("-l", "root", ["true"])
    assert known_hosts.read_text() == kept
    kind = {"ssh-ed25519": "ed25519", "ssh-rsa": "rsa", "ecdsa-sha2-nistp256": "ecdsa"}[kept.split()[1]]
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-f", known_hosts.parent / "known_hosts.other"],
                   check=True)
    public = (known_hosts.parent / "known_hosts.other.pub").read_text().split()
    known_hosts.write_text(f"vm {public[0]} {public[1]}\n")
    try:
        assert b"HOST IDENTIFICATION HAS CHANGED" in ssh("-l", "root", ["true"], expect=255).stderr
        assert b"" == ssh("-l", "root", "-o", "StrictHostKeyChecking=no", "-o",
                          "UserKnownHostsFile=/dev/null", ["true"]).stdout, "the caller's options come first"
    finally:
        for path in known_hosts.parent.glob("known_hosts*"):
            path.unlink()


def test_port_that_refuses(ssh, vm):
    said = ssh("-l", "root", "-p", "9", ["true"], expect=255).stderr.decode()
    assert f'VM "shared": the guest {vm.address} refuses connections to its TCP port 9\n' in said


def test_name_that_is_no_host_name(homes, guest, guest_files):
    """Blanks, quotes and a percent sign: the shell and ssh leave them alone."""
    name = "it's a 100%h \"VM\""
    tartlet = homes.tartlet()
    tartlet.create(name, guest)
    running = tartlet.run(name)
    try:
        running.up()
        done = tartlet.command("ssh", "-F", "none", "-i", guest_files["ssh_key"], "-l", "root", name,
                               "echo", "here")
        assert done.stdout == "here\n"
        assert (tartlet.home / "vms" / name / "known_hosts").read_text().startswith("vm ")
    finally:
        running.end()


def test_without_ssh(tartlet, vm, tmp_path):
    (tmp_path / "ip").symlink_to("/usr/sbin/ip")
    done = subprocess.run(tartlet.argv("ssh", "shared"), env=tartlet.environment | {"PATH": str(tmp_path)},
                          capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1
    assert done.stderr == ("ssh cannot be started: No such file or directory; install the package "
                           "openssh-client\n")

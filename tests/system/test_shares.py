"""Directories of the host in the guest: by virtiofs, with a daemon for each, and by 9p."""

import os
import pathlib
import re
import shutil
import signal

import pytest
from lab.tartlet import descendants, qemu_pids, wait_gone
from test_cli import cli  # noqa: F401

LINE = re.compile(r"^directory: (.+), in the guest: (mount -t (\w+) .+) /mnt$", re.MULTILINE)
TAG = "com.apple.virtio-fs.automount"
ODD = "a, b"  # a name of a file and of a folder


def mount(running, agent, tag):
    """As the line says that it is to be done; where it is mounted then."""
    command, kind = {found[0]: found[1:] for found in LINE.findall(running.output)}[tag]
    place = f"/tmp/{''.join(filter(str.isalnum, tag))}"
    agent.run(f"mkdir -p {place} && load {kind} && {command} {place}")
    return place


def daemons(running):
    """The processes of virtiofsd: it starts a second one of itself."""
    found = []
    for pid in running.pids():
        program = pathlib.Path(f"/proc/{pid}/exe")
        if program.exists() and "virtiofsd" in os.readlink(program):
            found.append(pid)
    return found


def folders(scratch, kind, owner=0):
    """One to write to and one to read, which has a mount inside of it that may be written."""
    top = scratch / f"shares-{kind}, x"
    shutil.rmtree(top, ignore_errors=True)
    written, read = top / "written", top / "read"
    for folder in (written, read, read / "below"):
        folder.mkdir(parents=True)
    (read / ODD).write_text("from the host\n")
    for path in (top, written, read, read / "below", read / ODD):
        os.chown(path, owner, owner)
    return written, read


def check(running, agent, written, read, owner):
    place = mount(running, agent, "work")
    agent.run(f"echo from the guest >'{place}/{ODD}' && mkdir '{place}/{ODD} 2' && sync")
    assert (written / ODD).read_text() == "from the guest\n"
    assert (written / f"{ODD} 2").is_dir()
    assert (written / ODD).stat().st_uid == owner
    (written / "later").write_text("seen\n")
    assert agent.run(f"cat {place}/later") == "seen"
    agent.run(f"mv {place}/later {place}/latest && rm '{place}/{ODD}'")
    assert sorted(path.name for path in written.iterdir()) == [f"{ODD} 2", "latest"]
    place = mount(running, agent, TAG)
    assert agent.run(f"cat '{place}/{ODD}'") == "from the host"
    # Not by the guest's own word alone, which is all that `mount -o ro` is.
    agent.ask(f"mount -o remount,rw {place}")
    for change in (f"echo x >{place}/new", f"echo x >'{place}/{ODD}'", f"rm '{place}/{ODD}'",
                   f"chmod 777 '{place}/{ODD}'", f"mkdir {place}/below/new", f"touch '{place}/{ODD}'"):
        code, said = agent.ask(change)
        assert code != 0 and "Read-only file system" in said, f"{change}: {code} {said}"
    assert (read / ODD).read_text() == "from the host\n" and not list((read / "below").iterdir())


@pytest.fixture
def rook(tartlet, guest):
    tartlet.create("rook", guest)
    yield "rook"
    tartlet.command("delete", "rook")


@pytest.mark.parametrize("kind, options", [
    ("virtiofs", []), ("virtiofs", ["--net-attach", "stream"]), ("9p", ["--dir-transport", "9p"])])
def test_read_and_write(tartlet, rook, scratch, kind, options):
    written, read = folders(scratch, kind)
    running = tartlet.run(rook, "--dir", f"work:{written}", "--dir", f"{read}:ro", *options, expose=["0:2"])
    assert [found[::2] for found in LINE.findall(running.output)] == [("work", kind), (TAG, kind)]
    serving = daemons(running)
    assert len(serving) == (4 if kind == "virtiofs" else 0)
    if kind == "virtiofs":
        # Its own view of the file systems is the directory alone.
        assert all(os.stat(f"/proc/{pid}/root").st_ino in (written.stat().st_ino, read.stat().st_ino)
                   for pid in serving if pid not in children_of(running))
    agent = running.up()
    check(running, agent, written, read, 0)
    agent.tell("poweroff")
    assert running.wait() == 0
    wait_gone(serving)
    assert "virtiofsd" not in running.output
    assert not list((tartlet.home / "vms" / rook).glob("*.sock"))


def children_of(running):
    return [pid for pid in descendants(running.process.pid) if pid != running.process.pid
            and pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1]
            == str(running.process.pid)]


@pytest.mark.parametrize("kind", ["virtiofs", "9p"])
def test_as_an_ordinary_user(homes, person, guest, scratch, kind):
    """Who has groups beside his own, as everybody has on a desktop; files are his."""
    tartlet = homes.tartlet(person)
    argv = tartlet.argv
    tartlet.argv = lambda *words: [("--groups=100,65533" if word == "--clear-groups" else word)
                                   for word in argv(*words)]
    tartlet.create("wader", guest)
    written, read = folders(scratch, f"user-{kind}", person.uid)
    running = tartlet.run("wader", "--dir", f"work:{written}", "--dir", f"{read}:ro", "--dir-transport", kind,
                          expose=["0:2"])
    check(running, running.up(), written, read, person.uid)
    running.end()
    assert running.wait() == 0
    tartlet.command("delete", "wader")


def test_daemons_that_die(tartlet, rook, scratch):
    """One by itself is reported, and the VM goes on; all of them die with us."""
    written, _ = folders(scratch, "dying")
    running = tartlet.run(rook, "--dir", f"one:{written}", "--dir", f"two:{written}", expose=["0:2"])
    agent = running.up()
    place = mount(running, agent, "two")
    refused = tartlet.command("suspend", rook, expect=1).stderr
    assert "was not suspended and goes on: it has directories of the host (--dir)" in refused
    first = [pid for pid in daemons(running) if pid in children_of(running)][0]
    os.kill(first, signal.SIGKILL)
    told = re.compile('the directory "(one|two)" cannot be reached by the VM any more: its virtiofsd ended by '
                      r"itself with signal 9 \(Killed\)")
    running.wait_for(lambda: any(told.match(line) for line in running.lines), 120, "word of its death")
    [name] = [told.match(line)[1] for line in running.lines if told.match(line)]
    assert name == "one"
    agent.run(f"echo alive >{place}/alive")
    pids = daemons(running) + qemu_pids(running.pids())
    assert len(pids) == 3
    running.kill()
    wait_gone(pids)


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts")
def test_virtiofs_cannot_run(cli):  # noqa: F811
    """No virtiofsd: 9p, and it is said; or an error, where it was asked for."""
    cli.create("one")
    hidden = cli.path / "without-virtiofsd"
    hidden.write_text(f"#!/bin/sh\nexec unshare -m sh -ec 'mount -t tmpfs none /usr/lib/qemu; mount -t tmpfs none "
                      f"/usr/libexec; exec \"$@\"' sh {cli.program} \"$@\"\n")
    hidden.chmod(0o755)
    cli.program = hidden
    argv = ["one", "--accel", "tcg", "--dir", cli.path]
    why = "there is no virtiofsd (on Debian: apt install virtiofsd, or qemu-system-common of Debian 12)\n"
    running = cli.start(*argv)
    assert LINE.search("\n".join(running.lines))[3] == "9p"
    assert running.end(signal.SIGTERM)[2] == f"sharing directories by 9p instead of virtiofs: {why}"
    assert cli.refused("run", *argv, "--dir-transport", "virtiofs", expect=1) == \
        f"directories cannot be shared by virtiofs: {why}"
    assert not (cli.home / "vms/one/run.json").exists()


def test_bad_directories(cli):  # noqa: F811
    """Before there is a network, with one sentence."""
    cli.create("one")
    file = cli.path / "kernel"
    for spec, said in ((cli.path / "none", f"cannot share {cli.path}/none: No such file or directory"),
                       (file, f"cannot share {file}: it is not a directory"),
                       ("~/none", f"cannot share {cli.path}/none: No such file or directory")):
        assert cli.refused("run", "one", "--accel", "tcg", "--dir", spec, expect=1) == f"{said}\n"
        assert not (cli.home / "vms/one/run.json").exists()


@pytest.mark.parametrize("argv, said", [
    (["--dir", "/a:rw"], 'unknown option "rw"'), (["--dir", ""], "its path is missing"),
    (["--dir", "/a", "--dir", "/b"], f'two directories have the tag "{TAG}"'),
    (["--dir", "a:/a", "--dir", "/b:tag=a"], 'two directories have the tag "a"'),
    (["--dir-transport", "nfs"], "expected auto, virtiofs or 9p"),
    ([word for i in range(9) for word in ("--dir", f"{i}:/a")], "at most 8 directories"),
])
def test_refused_options(cli, argv, said):  # noqa: F811
    assert said in cli.refused("run", "one", *argv)

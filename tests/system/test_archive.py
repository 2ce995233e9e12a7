"""export and import: what comes back, what is refused, and what is left when they are broken off. A fake stands in
QEMU's place, as in test_cli.py."""

import gzip
import io
import json
import lzma
import os
import pty
import random
import re
import signal
import struct
import subprocess
import tarfile

import pytest
from test_cli import cli  # noqa: F401
from test_disks import MIB, content, info, on_a_terminal, qcow2_image, qemu_img, raw_image

CONFIG = {"version": 1, "os": "linux", "arch": "amd64", "cpuCount": 2, "memorySize": 1 << 30,
          "macAddress": "02:00:00:00:00:01", "kernel": "kernel", "initrd": "initrd", "cmdline": "",
          "disks": [{"file": "disk.img", "format": "raw"}]}
BOOT = [("kernel", b"kernel"), ("initrd", b"initrd")]
DISK = ("disk.img", bytes(4096))


def files(directory):
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def names(cli):  # noqa: F811
    return cli.run("list", "--quiet")[0].split()


def nothing_in_between(cli):  # noqa: F811
    """No VM that is half made, no file of an export that is half written."""
    hidden = [path.name for path in cli.path.iterdir() if path.name.startswith(".")]
    return hidden == [] and list((cli.home / "tmp").iterdir()) == []


def config(change=None, drop=()):
    """A config.json as an archive has it."""
    whole = CONFIG | (change or {})
    return "config.json", json.dumps({key: value for key, value in whole.items() if key not in drop}).encode()


def archive(path, members, pack=gzip.compress, kind=tarfile.PAX_FORMAT):
    """Of (name, bytes), or of a TarInfo in place of both."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=kind) as tar:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                tar.addfile(member)
                continue
            entry = tarfile.TarInfo(member[0])
            entry.size = len(member[1])
            tar.addfile(entry, io.BytesIO(member[1]))
    path.write_bytes(pack(buffer.getvalue()))
    return path


def special(name, kind, link=""):
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname = kind, link
    return entry


# --- there and back -----------------------------------------------------------------------------------------

def test_there_and_back(cli):  # noqa: F811
    """A disk with holes at its begin, in its middle and at its end; and GNU tar reads the same."""
    image = cli.path / "image"
    image.write_bytes(b"")
    with image.open("r+b") as file:
        for place in (1, 3, 4, 50):
            file.seek(place * MIB)
            file.write(random.Random(place).randbytes(MIB - 7))
        file.truncate(200 * MIB)
    directory = cli.create("one", "--disk", image, "--cmdline", "a=b ä", "--cpu", 3)
    (directory / "known_hosts").write_text("of this user")
    path = cli.path / "one.tvm"
    assert cli.run("export", "one", path) == ("", "")
    assert path.stat().st_mode & 0o777 == 0o600 and path.stat().st_size < 5 * MIB
    assert nothing_in_between(cli)
    before = files(directory)

    assert cli.run("import", path, "two") == ("", 'VM "one" has the archive\'s MAC address: "two" gets a new one\n')
    after = files(cli.home / "vms/two")
    assert set(after) == {"config.json", "kernel", "initrd", "disk.img"}
    assert all(after[name] == before[name] for name in after if name != "config.json")
    assert cli.config("two") == cli.config("one") | {"macAddress": cli.config("two")["macAddress"]}
    assert cli.config("two")["macAddress"] != cli.config("one")["macAddress"]
    assert (cli.home / "vms/two/disk.img").stat().st_blocks * 512 < 6 * MIB

    cli.run("delete", "one")
    assert cli.run("import", path, "one") == ("", "")
    assert files(directory) == {name: before[name] for name in after}
    assert nothing_in_between(cli)

    (cli.path / "tar").mkdir()
    subprocess.run(["tar", "--zstd", "-xf", path, "-C", cli.path / "tar"], check=True)
    assert files(cli.path / "tar") == files(directory)


def test_empty_disk_and_firmware(cli):  # noqa: F811
    cli.run("create", "one", "--linux")
    cli.run("export", "one", "one.tvm", cwd=cli.path)
    cli.run("import", cli.path / "one.tvm", "two")
    disk = cli.home / "vms/two/disk.img"
    assert disk.stat().st_size == 50 * 10**9 and disk.stat().st_blocks == 0
    assert (cli.home / "vms/two/nvram.bin").read_bytes() == (cli.home / "vms/one/nvram.bin").read_bytes()


def test_layer_is_made_whole(cli):  # noqa: F811
    """What stands on an image elsewhere does not in the archive."""
    base = qcow2_image(cli.path / "base.qcow2")
    cli.run("create", "one", "--from-disk", base, "--backing")
    disk = cli.home / "vms/one/disk.img"
    qemu_img("bench", "-w", "-c", 4, "-s", 65536, "-o", MIB, "-f", "qcow2", "--pattern", 7, disk)
    cli.run("export", "one", cli.path / "one.tvm")
    assert nothing_in_between(cli)
    wanted = content(disk, "qcow2")
    base.unlink()
    cli.run("import", cli.path / "one.tvm", "two")
    other = cli.home / "vms/two/disk.img"
    assert "backing-filename" not in info(other)
    assert content(other, "qcow2") == wanted and wanted[MIB] == 7 and len(wanted) == 8 * MIB


def test_seed_goes_along(cli):  # noqa: F811
    """A second VM of the archive is another machine to cloud-init; the same one, moved, is not."""
    def seed(name):
        return json.loads((cli.home / "vms" / name / "seed.json").read_text())

    cli.create("one", "--hostname", "box")
    before = seed("one")
    cli.run("export", "one", cli.path / "one.tvm")
    cli.run("import", cli.path / "one.tvm", "two")
    assert seed("two") == before | {"instanceId": seed("two")["instanceId"]} and seed("two") != before
    cli.run("delete", "one", "two")
    cli.run("import", cli.path / "one.tvm", "two")
    assert seed("two") == before


def test_other_names(cli):  # noqa: F811
    """A config.json may name its files as it likes; in the archive they have names of their own."""
    directory = cli.create("one", "--disk", raw_image(cli.path / "image"))
    raw_image(directory / "data", MIB)
    for old, new in (("kernel", "vmlinuz"), ("initrd", "initrd.gz"), ("disk.img", "root")):
        (directory / old).rename(directory / new)
    (directory / "config.json").write_text(json.dumps(cli.config("one") | {
        "kernel": "vmlinuz", "initrd": "initrd.gz",
        "disks": [{"file": "root", "format": "raw"}, {"file": "data", "format": "raw"}]}))
    cli.run("export", "one", cli.path / "one.tvm")
    cli.run("import", cli.path / "one.tvm", "two")
    before, after = files(directory), files(cli.home / "vms/two")
    for old, new in (("vmlinuz", "kernel"), ("initrd.gz", "initrd"), ("root", "disk.img"), ("data", "disk2.img")):
        assert after[new] == before[old]
    assert cli.config("two")["disks"][1] == {"file": "disk2.img", "format": "raw"}


def test_archives_of_others(cli):  # noqa: F811
    """gzip, no compression, and the other dialects of tar; zeros take no room, though they are not left out."""
    members = [config(), *BOOT, ("disk.img", bytes(8 * MIB) + b"\1" * 512)]
    for number, (pack, kind) in enumerate(((gzip.compress, tarfile.PAX_FORMAT), (bytes, tarfile.GNU_FORMAT),
                                           (gzip.compress, tarfile.USTAR_FORMAT))):
        path = archive(cli.path / "archive", members, pack, kind)
        cli.run("import", path, f"vm{number}")
        disk = cli.home / f"vms/vm{number}/disk.img"
        assert disk.read_bytes() == members[3][1] and disk.stat().st_blocks * 512 <= 8192


# --- what is there already ----------------------------------------------------------------------------------

def test_no_file_is_replaced_unasked(cli):  # noqa: F811
    cli.create("one")
    here = cli.path / "one.tvm"
    here.write_text("precious")
    said = cli.run("export", "one", expect=1, cwd=cli.path)[1]
    assert said == "one.tvm exists: --force replaces it\n" and here.read_text() == "precious"
    assert cli.refused("export", "one", here, expect=1) == f"{here} exists: --force replaces it\n"
    cli.run("export", "one", "--force", cwd=cli.path)
    assert tarfile_names(here)[0] == "config.json"
    (cli.path / "folder").mkdir()
    os.mkfifo(cli.path / "pipe")
    (cli.path / "link").symlink_to(here)
    for other in ("folder", "pipe", "link"):
        said = cli.refused("export", "one", "--force", cli.path / other, expect=1)
        assert said == f"{cli.path / other} is there, and is no regular file\n"
    assert "is a directory" in cli.refused("export", "one", f"{cli.path}/folder/", expect=1)
    assert "No such file" in cli.refused("export", "one", cli.path / "none/one.tvm", expect=1)
    assert nothing_in_between(cli)


def tarfile_names(path):
    return subprocess.run(["tar", "--zstd", "-tf", path], check=True, capture_output=True,
                          text=True).stdout.split()


@pytest.mark.parametrize(("answer", "replaced"), [("yes\n", True), ("no\n", False), ("\n", False)])
def test_asked_on_a_terminal(cli, answer, replaced):  # noqa: F811
    """Of the default path alone."""
    cli.create("one")
    here = cli.path / "one.tvm"
    here.write_text("precious")
    ours, theirs = pty.openpty()
    with subprocess.Popen([cli.program, "export", "one"], env=cli.environment, cwd=cli.path, stdin=theirs,
                          stderr=theirs) as process:
        os.close(theirs)
        said = b""
        while b"yes/[no]" not in said:
            said += os.read(ours, 4096)
        os.write(ours, answer.encode())
    os.close(ours)
    assert (process.returncode == 0) == replaced and (here.read_bytes() != b"precious") == replaced


def test_vm_of_that_name(cli):  # noqa: F811
    cli.create("one", "--cpu", 1)
    cli.run("export", "one", cli.path / "one.tvm")
    cli.create("two", "--cpu", 2)
    before = files(cli.home / "vms/two")
    said = cli.refused("import", cli.path / "one.tvm", "two", expect=1)
    assert said == 'VM "two" already exists: --force replaces it\n'
    assert files(cli.home / "vms/two") == before
    cli.run("import", "--force", cli.path / "one.tvm", "two")
    assert cli.config("two")["cpuCount"] == 1 and nothing_in_between(cli)
    # Over itself: its own MAC address is no collision.
    mac = cli.config("one")["macAddress"]
    assert cli.run("import", "--force", cli.path / "one.tvm", "one") == ("", "")
    assert cli.config("one")["macAddress"] == mac
    running = cli.start("two", "--accel", "tcg")
    assert cli.refused("import", "--force", cli.path / "one.tvm", "two", expect=2) == 'VM "two" is running\n'
    assert running.end(signal.SIGTERM)[0] == 0


def test_many_at_once(cli):  # noqa: F811
    """Two that come at once do not both keep the MAC address."""
    path = archive(cli.path / "archive", [config(), *BOOT, DISK])
    started = [subprocess.Popen([cli.program, "import", path, f"vm{number}"], env=cli.environment,
                                stderr=subprocess.DEVNULL) for number in range(12)]
    assert [process.wait(150) for process in started] == [0] * 12
    macs = [cli.config(name)["macAddress"] for name in names(cli)]
    assert len(set(macs)) == 12 and macs.count(CONFIG["macAddress"]) == 1


# A file system without O_TMPFILE, as on many a USB stick: a file has a name there before it is whole.
STICK = """
mkfs.vfat -C stick.img 8192 >/dev/null
mkdir stick
mount -o loop stick.img stick
"$1" export one stick/one.tvm
"$1" export one stick/one.tvm 2>&1 && exit 3
"$1" export --force one stick/one.tvm
strace -qq -o /dev/null -e trace=pread64 -e inject=pread64:signal=INT:when=4 "$1" export one stick/two.tvm
echo "ended by $?"
ls -A stick
exec "$1" import stick/one.tvm two
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts")
def test_file_system_without_unnamed_files(cli):  # noqa: F811
    cli.create("one")
    done = subprocess.run(["unshare", "--mount", "sh", "-c", STICK, "sh", cli.program], cwd=cli.path,
                          env=cli.environment, capture_output=True, text=True, timeout=150, check=False)
    assert done.stdout == "stick/one.tvm exists: --force replaces it\nended by 130\none.tvm\n", done.stderr
    assert done.returncode == 0 and names(cli) == ["one", "two"]


def test_states(cli):  # noqa: F811
    directory = cli.create("one")
    assert cli.refused("export", "none", expect=2) == 'the specified VM "none" does not exist\n'
    running = cli.start("one", "--accel", "tcg")
    assert cli.refused("export", "one", cli.path / "x", expect=2) == 'VM "one" is running\n'
    assert running.end(signal.SIGTERM)[0] == 0
    (directory / "suspend.state").write_text("x")
    assert "is suspended" in cli.refused("export", "one", cli.path / "x", expect=2)
    (directory / "suspend.state").unlink()
    (directory / "initrd").unlink()
    assert "missing files" in cli.refused("export", "one", cli.path / "x", expect=1)
    assert not (cli.path / "x").exists() and nothing_in_between(cli)


@pytest.mark.parametrize("argv", [
    ["export"], ["export", "one", "x", "y"], ["export", "one", ""], ["export", "a/b"], ["import"], ["import", "x"],
    ["import", "", "one"], ["import", "x", "a/b"], ["import", "x", "one", "two"],
])
def test_usage(cli, argv):  # noqa: F811
    assert cli.refused(*argv).startswith(f"tartlet {argv[0]}: ")
    assert not cli.home.exists()


# --- hostile archives ---------------------------------------------------------------------------------------

def qcow2(backing=0, incompatible=0):
    return (b"QFI\xfb" + struct.pack(">IQIIQIIQQIIQ", 3, backing, 0, 16, 1 << 30, 0, 1, 3 << 16, 1 << 16, 1, 0, 0) +
            struct.pack(">QQQII", incompatible, 0, 0, 4, 104)).ljust(1024, b"\0")


QCOW2 = {"disks": [{"file": "disk.img", "format": "qcow2"}]}
HOSTILE = {
    "no config": ([*BOOT, DISK], '"kernel" in it comes before its config.json'),
    "config twice": ([config(), config(), *BOOT, DISK], '"config.json" in it is none of the files'),
    "disk twice": ([config(), *BOOT, DISK, DISK], '"disk.img" in it is there twice'),
    "disk missing": ([config(), *BOOT], "has no disk.img"),
    "nothing": ([], "this is no archive of a VM"),
    "parent": ([config(), *BOOT, ("../disk.img", b"x")], '"../disk.img" in it is none'),
    "absolute": ([config(), *BOOT, ("/disk.img", b"x")], "in it is none of the files"),
    "here": ([("./config.json", b"{}")], "comes before its config.json"),
    "of a run": ([config(), *BOOT, DISK, ("run.json", b"{}")], '"run.json" in it is none'),
    "saved state": ([config(), *BOOT, DISK, ("suspend.state", b"x")], '"suspend.state" in it is none'),
    "firmware of a kernel": ([config(), *BOOT, DISK, ("nvram.bin", b"x")], '"nvram.bin" in it is none'),
    "letters": ([config(), *BOOT, ("d\u00efsk.img", b"x")], "Pathname can't be converted"),
    "escape": ([config(), *BOOT, ("\x1b[2Jdisk.img", b"x")], "of an odd or long name"),
    "long": ([config(), *BOOT, ("d" * 5000, b"x")], "of an odd or long name"),
    "seed": ([config(), *BOOT, DISK, ("seed.json", b"{}")], "seed.json: expected version 1"),
    "seed twice": ([config(), *BOOT, ("seed.json", b"{}"), ("seed.json", b"")], '"seed.json" in it is there twice'),
    "seed too large": ([config(), *BOOT, ("seed.json", b" " * (4 << 20))], '"seed.json" in it is too large'),
    "link": ([config(), *BOOT, special("disk.img", tarfile.SYMTYPE, "/etc/passwd")], "is no regular file"),
    "hard link": ([config(), *BOOT, special("disk.img", tarfile.LNKTYPE, "kernel")], "is no regular file"),
    "hard link out": ([config(), special("kernel", tarfile.LNKTYPE, "/etc/shadow")], "is no regular file"),
    "pipe": ([config(), *BOOT, special("disk.img", tarfile.FIFOTYPE)], "is no regular file"),
    "device": ([config(), *BOOT, special("disk.img", tarfile.CHRTYPE)], "is no regular file"),
    "block device": ([config(), *BOOT, special("disk.img", tarfile.BLKTYPE)], "is no regular file"),
    "folder": ([config(), *BOOT, special("disk.img", tarfile.DIRTYPE)], "in it is n"),
    "config is a link": ([special("config.json", tarfile.SYMTYPE, "/etc/passwd")], "is no regular file"),
    "config too large": ([("config.json", b"{" + b" " * 70000)], '"config.json" in it is too large'),
    "no JSON": ([("config.json", b"\0\x1b[2J")], "config.json in the archive: line 1"),
    "empty config": ([("config.json", b"")], "config.json in the archive: line"),
    "file elsewhere": ([config({"kernel": "../kernel"})], "should name a file in the VM's directory"),
    "other file": ([config({"kernel": "run.json"})], 'it names a file "run.json", which should be "kernel"'),
    "same file": ([config({"kernel": "initrd"})], 'which should be "kernel"'),
    "disk of that name": ([config({"disks": [{"file": "config.json", "format": "raw"}]})], 'should be "disk.img"'),
    "steers the terminal": ([config({"macAddress": "\x1b[2J"})], "\\u001b[2J"),
    "no size of a disk": ([config(), *BOOT, ("disk.img", b"x" * 513)], "disk.img is no disk image"),
    "empty disk": ([config(), *BOOT, ("disk.img", b"")], "disk.img is no disk image"),
    "format is another": ([config(), *BOOT, ("disk.img", qcow2())], "is qcow2, but its config.json says raw"),
    "and back": ([config(QCOW2), *BOOT, DISK], "is raw, but its config.json says qcow2"),
    "backing file": ([config(QCOW2), *BOOT, ("disk.img", qcow2(backing=104))], "on top of another file"),
    "data file": ([config(QCOW2), *BOOT, ("disk.img", qcow2(incompatible=4))], "data are in another file"),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_hostile_members(cli, what):  # noqa: F811
    members, said = HOSTILE[what]
    refuse(cli, archive(cli.path / "archive", members), said)


def refuse(cli, path, said):  # noqa: F811
    """One sentence, which does not steer the terminal; no VM, and nothing of one."""
    errors = cli.refused("import", path, "one", expect=1)
    assert said in errors and errors.count("\n") == 1 and errors[:-1].isprintable()
    assert names(cli) == [] and nothing_in_between(cli)


def header(name, size):
    """Of a file that is said to be so large: a number of tar's in base 256."""
    block = bytearray(512)
    block[:len(name)] = name.encode()
    block[100:108] = b"0000644\0"
    block[124:136] = b"\x80" + size.to_bytes(11, "big")
    block[156:157] = b"0"
    block[257:265] = b"ustar\x0000"
    block[148:156] = b"        "
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def test_hostile_bytes(cli):  # noqa: F811
    path = cli.path / "archive"
    plain = archive(cli.path / "plain", [config(), *BOOT, DISK], bytes).read_bytes()
    whole = gzip.compress(plain)
    for data, said in (
            (b"", "this is no archive of a VM"),
            (b"hello" * 1000, "a tar archive, with zstd or gzip, is needed"),
            (b"pbze" + bytes(2000), "Tart on macOS"),
            (b"AA01" + bytes(2000), "Tart on macOS"),
            (lzma.compress(plain), "a tar archive, with zstd or gzip, is needed"),
            (whole[:len(whole) // 2], "archive"),
            (plain[:len(plain) // 3], "archive"),
            (whole[:40] + b"\xff" * 40 + whole[80:], "archive"),
            (b"\x28\xb5\x2f\xfd" + bytes(range(200)), "this is no archive of a VM"),
            # larger than the table allows, and than any number of bytes
            (config_only(plain) + header("kernel", 1 << 40), '"kernel" in it is too large'),
            (config_only(plain) + header("kernel", 1 << 80), "archive"),
            # as large as it may be, without a byte in it
            (config_only(plain) + header("kernel", 1 << 30), "archive"),
    ):
        path.write_bytes(data)
        refuse(cli, path, said)
    for bad, said in ((cli.path, "is no regular file"), (cli.path / "none", "No such file"),
                      ("/dev/zero", "is no regular file")):
        refuse(cli, bad, said)
    os.mkfifo(cli.path / "pipe")
    refuse(cli, cli.path / "pipe", "is no regular file")


def config_only(plain):
    """The first member of a tar."""
    size = int(plain[124:135], 8)
    return plain[:512 + (size + 511) // 512 * 512]


def many_holes(path, count):
    """A small archive of a file whose list of holes is long: GNU's sparse files, version 1.0."""
    class Holes(io.RawIOBase):
        def __init__(self):
            super().__init__()
            self.head = b"%d\n" % count

        def read(self, size):
            piece, self.head = self.head[:size], self.head[size:]
            return piece + (b"0\n" * (size // 2 + 1))[:size - len(piece)]

    with gzip.open(path, "wb", compresslevel=1) as packed, \
            tarfile.open(fileobj=packed, mode="w|", format=tarfile.PAX_FORMAT) as tar:
        name, text = config()
        entry = tarfile.TarInfo(name)
        entry.size = len(text)
        tar.addfile(entry, io.BytesIO(text))
        entry = tarfile.TarInfo("GNUSparseFile.0/kernel")
        entry.size = 4 * count + 16
        entry.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "kernel",
                             "GNU.sparse.realsize": "8192"}
        tar.addfile(entry, Holes())
    return path


def test_memory(cli):  # noqa: F811
    """It is bounded, though libarchive keeps the list of holes in memory: 40 bytes and more for each 4."""
    path = many_holes(cli.path / "archive", 14_000_000)
    assert path.stat().st_size < MIB
    refuse(cli, path, "cannot read the archive: Out of memory")


# In a mount namespace of its own: a home of 80 MB, of which 64 are left to others.
SMALL_HOME = """
mount -t tmpfs -o size=80M tmpfs "$TARTLET_HOME"
"$1" import large.tvm one && exit 3
find "$TARTLET_HOME/vms" "$TARTLET_HOME/tmp" -mindepth 1
exec "$1" import small.tvm one
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts")
def test_no_room(cli):  # noqa: F811
    """A small archive of a large disk does not fill the file system for others."""
    archive(cli.path / "large.tvm", [config(), *BOOT, ("disk.img", b"\1" * (20 * MIB))])
    archive(cli.path / "small.tvm", [config(), *BOOT, ("disk.img", b"\1" * MIB)])
    cli.home.mkdir()
    done = subprocess.run(["unshare", "--mount", "sh", "-c", SMALL_HOME, "sh", cli.program], cwd=cli.path,
                          env=cli.environment, capture_output=True, text=True, timeout=150, check=False)
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == "large.tvm: there is too little room for it in the home directory\n"


# --- broken off ---------------------------------------------------------------------------------------------

def broken_off(cli, call, number, name, *argv):  # noqa: F811
    """The signal comes with the so manieth call. What the process ended by."""
    done = subprocess.run(["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={call}",
                           "-e", f"inject={call}:signal={name}:when={number}", cli.program, *map(str, argv)],
                          env=cli.environment, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=150, check=False)
    assert done.stdout == "" and done.stderr == "", done.stderr
    return done.returncode


@pytest.mark.parametrize("name", ["INT", "TERM", "KILL"])
def test_broken_off(cli, name):  # noqa: F811
    """Nothing is left, and who waits sees the signal; after SIGKILL the next command sweeps the home."""
    number = -signal.Signals[f"SIG{name}"]
    image = cli.path / "image"
    image.write_bytes(random.Random(1).randbytes(4 * MIB))
    cli.create("one", "--disk", image)
    before = files(cli.home / "vms/one")
    listing = sorted(path.name for path in cli.path.iterdir())
    assert broken_off(cli, "pread64", 4, name, "export", "one", cli.path / "one.tvm") in (number, 128 - number)
    assert sorted(path.name for path in cli.path.iterdir()) == listing
    assert names(cli) == ["one"] and nothing_in_between(cli)
    cli.run("export", "one", cli.path / "one.tvm")
    assert broken_off(cli, "pwrite64", 8, name, "import", cli.path / "one.tvm", "two") in (number, 128 - number)
    if name != "KILL":
        assert nothing_in_between(cli)
    assert names(cli) == ["one"] and nothing_in_between(cli)
    assert files(cli.home / "vms/one") == before


def test_broken_off_while_qemu_img_works(cli):  # noqa: F811
    cli.run("create", "one", "--from-disk", raw_image(cli.path / "base"), "--backing")
    fake = cli.path / "bin/qemu-img"
    fake.write_text('#!/bin/sh\nkill -INT "$PPID"\nexec tail -f /dev/null\n')
    fake.chmod(0o755)
    done = subprocess.run([cli.program, "export", "one", cli.path / "one.tvm"], env=cli.environment, timeout=150,
                          capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, "", "")
    assert nothing_in_between(cli) and not (cli.path / "one.tvm").exists()


# --- killed anywhere (import: test_crash.py) -----------------------------------------------------------------

CHANGES = ["mkdirat", "ftruncate", "pwrite64", "write", "fsync", "linkat", "renameat", "renameat2", "unlinkat"]


def killed_everywhere(cli, argv, judge):  # noqa: F811
    """The command, killed at each call in turn that changes the disk; `judge` looks at what it left. How many
    kills that were."""
    kills = 0
    for call in CHANGES:
        for number in range(1, 100):
            code = broken_off(cli, call, number, "KILL", *argv)
            names(cli)  # any command sweeps
            judge()
            assert nothing_in_between(cli), (call, number)
            if code == 0:
                break
            kills += 1
        else:
            pytest.fail(f"{call} without an end")
    return kills


def test_export_killed_anywhere(cli):  # noqa: F811
    """The file is not there or whole, the old one or the new one; and the VM is as it was."""
    before = files(cli.create("one"))
    path = cli.path / "one.tvm"
    seen = set()

    def is_whole(file):
        return tarfile_names(file) == ["config.json", "kernel", "initrd"]

    def absent_or_whole():
        assert files(cli.home / "vms/one") == before
        seen.add(path.exists())
        if path.exists():
            assert is_whole(path)
            path.unlink()

    assert killed_everywhere(cli, ["export", "one", path], absent_or_whole) > 3
    assert seen == {False, True}
    seen.clear()
    path.write_text("old")

    def old_or_whole():
        seen.add(path.read_bytes() == b"old")
        assert path.read_bytes() == b"old" or is_whole(path)
        path.write_text("old")
        # in the instant of the change, it has another name
        for hidden in cli.path.glob(".tartlet-*.part"):
            assert is_whole(hidden)
            hidden.unlink()

    assert killed_everywhere(cli, ["export", "--force", "one", path], old_or_whole) > 3
    assert seen == {False, True}


def test_progress_bars(cli):  # noqa: F811
    """On a terminal alone (all other tests would see them), and they are gone at the end."""
    image = cli.path / "image"
    image.write_bytes(random.Random(2).randbytes(8 * MIB))
    cli.create("one", "--disk", image)
    for what, argv in (("exporting", ["export", "one", cli.path / "one.tvm"]),
                       ("importing", ["import", "--force", cli.path / "one.tvm", "one"])):
        said = on_a_terminal(cli, *argv)
        steps = [int(step) for step in re.findall(rf"\r{what} \[#*-*\] +(\d+) %", said)]
        assert len(steps) > 5 and steps == sorted(steps) and steps[-1] > 95, said
        assert said.endswith("\r\x1b[K")

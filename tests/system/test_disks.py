"""Disks: what `create` makes of an image, what `run` gives to a guest, and UEFI. As in test_cli.py, a fake
stands in QEMU's place, but for the tests with a real guest, which have `tartlet` in place of `cli`."""

import fcntl
import json
import os
import pty
import re
import shutil
import stat
import struct
import subprocess
import termios

import pytest
from test_cli import cli  # noqa: F401

GB = 1_000_000_000
MIB = 1 << 20
BOOT_SIGNATURE = b"\x55\xaa"


def raw_image(path, size=8 * MIB, boots=True):
    """A disk with a boot sector, some bytes at its end, and a hole between."""
    with path.open("wb") as file:
        file.write(b"start".ljust(510, b"\0") + (BOOT_SIGNATURE if boots else b"\0\0"))
        file.seek(size - 512)
        file.write(b"end".ljust(512, b"\0"))
    return path


def qemu_img(*argv):
    return subprocess.run(["qemu-img", *map(str, argv)], check=True, capture_output=True, text=True).stdout


def info(path):
    return json.loads(qemu_img("info", "--output=json", path))


def qcow2_image(path, size=8 * MIB):
    raw = raw_image(path.with_suffix(".raw"), size)
    qemu_img("convert", "-O", "qcow2", raw, path)
    raw.unlink()
    return path


def content(path, kind):
    """What a guest would see of an image."""
    flat = path.with_suffix(".flat")
    qemu_img("convert", "-f", kind, "-O", "raw", path, flat)
    data = flat.read_bytes()
    flat.unlink()
    return data


def refused(cli, *argv):  # noqa: F811
    """The sentence of a create that failed; nothing is left of it."""
    said = cli.refused("create", "one", *argv, expect=1)
    assert said.count("\n") == 1
    assert not (cli.home / "vms/one").exists()
    assert list((cli.home / "tmp").iterdir()) == []
    return said


# --- create -------------------------------------------------------------------------------------------------

def test_from_a_raw_image(cli):  # noqa: F811
    image = raw_image(cli.path / "image", 200 * MIB)
    cli.run("create", "one", "--from-disk", image)
    disk = cli.home / "vms/one/disk.img"
    assert disk.read_bytes() == image.read_bytes()
    assert disk.stat().st_blocks * 512 < MIB, "holes were filled"
    assert stat.S_IMODE(disk.stat().st_mode) == 0o600
    config = cli.config("one")
    assert config["disks"] == [{"file": "disk.img", "format": "raw"}]
    assert config["firmware"] == "uefi" and "kernel" not in config
    assert (cli.home / "vms/one/nvram.bin").stat().st_size > 0
    assert json.loads(cli.run("get", "one", "-f", "json")[0])["DiskFormat"] == "raw"


def test_from_a_qcow2_image(cli):  # noqa: F811
    """Found by its content, whatever its name says; it stays what it is."""
    image = qcow2_image(cli.path / "image.qcow2", 3 * GB)
    image = image.rename(cli.path / "image.raw")
    cli.run("create", "one", "--from-disk", image)
    disk = cli.home / "vms/one/disk.img"
    assert disk.read_bytes() == image.read_bytes()
    assert cli.config("one")["disks"] == [{"file": "disk.img", "format": "qcow2"}]
    got = json.loads(cli.run("get", "one", "-f", "json")[0])
    assert (got["Disk"], got["DiskFormat"]) == (3, "qcow2")


@pytest.mark.parametrize("kind", ["raw", "qcow2"])
def test_a_layer_over_an_image(cli, kind):  # noqa: F811
    image = cli.path / "image"
    image = raw_image(image) if kind == "raw" else qcow2_image(image)
    before = image.read_bytes()
    subprocess.run([cli.program, "create", "one", "--from-disk", "image", "--backing"], cwd=cli.path,
                   env=cli.environment, check=True)
    disk = cli.home / "vms/one/disk.img"
    made = info(disk)
    assert made["format"] == "qcow2" and made["virtual-size"] == 8 * MIB
    assert (made["backing-filename"], made["backing-filename-format"]) == (str(image), kind)
    assert cli.config("one")["disks"] == [{"file": "disk.img", "format": "qcow2"}]
    assert content(disk, "qcow2") == content(image, kind)
    subprocess.run(["qemu-io", "-f", "qcow2", "-c", "write -P 7 0 64k", disk], check=True, capture_output=True)
    assert image.read_bytes() == before


@pytest.mark.parametrize("kind, options", [("raw", []), ("qcow2", []), ("raw", ["--backing"]),
                                           ("qcow2", ["--backing"])])
def test_an_image_grows(cli, kind, options):  # noqa: F811
    image = cli.path / "image"
    image = raw_image(image) if kind == "raw" else qcow2_image(image)
    cli.run("create", "one", "--from-disk", image, "--disk-size", 1, *options)
    disk = cli.home / "vms/one/disk.img"
    assert info(disk)["virtual-size"] == GB
    assert json.loads(cli.run("get", "one", "-f", "json")[0])["Disk"] == 1


@pytest.mark.parametrize("kind, options", [("raw", []), ("qcow2", []), ("raw", ["--backing"])])
def test_an_image_does_not_shrink(cli, kind, options):  # noqa: F811
    image = cli.path / "image"
    image = raw_image(image, 2 * GB) if kind == "raw" else qcow2_image(image, 2 * GB)
    assert refused(cli, "--from-disk", image, "--disk-size", 1, *options) == \
        f"new disk size of {GB} bytes should be larger than the current disk size of {2 * GB} bytes\n"


@pytest.mark.parametrize("options, size", [([], 50), (["--disk-size", 3], 3)])
def test_an_empty_disk(cli, options, size):  # noqa: F811
    cli.run("create", "one", "--linux", *options)
    disk = (cli.home / "vms/one/disk.img").stat()
    assert (disk.st_size, disk.st_blocks) == (size * GB, 0)
    assert cli.config("one")["firmware"] == "uefi"


def test_kernel_and_disk(cli):  # noqa: F811
    """Then the disk needs no boot sector."""
    image = raw_image(cli.path / "image", boots=False)
    cli.create("one", "--from-disk", image, "--cmdline", "root=/dev/vda")
    assert (cli.home / "vms/one/disk.img").read_bytes() == image.read_bytes()
    assert "firmware" not in cli.config("one") and cli.config("one")["kernel"] == "kernel"
    assert not (cli.home / "vms/one/nvram.bin").exists()


def test_not_an_image(cli):  # noqa: F811
    def made(name, data):
        path = cli.path / name
        path.write_bytes(data)
        return path

    assert re.fullmatch("cannot read the image .*/none: No such file or directory\n",
                        refused(cli, "--from-disk", cli.path / "none"))
    assert "is no disk image" in refused(cli, "--from-disk", made("text", b"hello\n" * 300))
    assert "is no disk image" in refused(cli, "--from-disk", made("empty", b""))
    assert "is no disk image" in refused(cli, "--from-disk", cli.path)
    assert "is no disk image" in refused(cli, "--from-disk", "/dev/zero")
    assert "compressed with xz: unpack it first" in \
        refused(cli, "--from-disk", made("image.xz", b"\xfd7zXZ\0" + bytes(1018)))
    assert "no partition table and no boot sector" in \
        refused(cli, "--from-disk", raw_image(cli.path / "blank", boots=False))
    assert "damaged qcow2" in refused(cli, "--from-disk", made("cut", b"QFI\xfb\0\0\0\3" + bytes(60)))
    other = cli.path / "other.vmdk"
    qemu_img("create", "-q", "-f", "vmdk", other, "8M")
    assert "is a VMDK image: convert it with qemu-img convert -O qcow2" in refused(cli, "--from-disk", other)


@pytest.mark.parametrize("options", [[], ["--backing"]])
def test_an_image_that_names_another_file(cli, options):  # noqa: F811
    """It could be any file that the caller may read, and the guest would have it as its disk."""
    secret = raw_image(cli.path / "secret")
    image = cli.path / "image"
    qemu_img("create", "-q", "-f", "qcow2", "-F", "raw", "-b", secret, image)
    assert "a qcow2 image on top of another file" in refused(cli, "--from-disk", image, *options)
    qemu_img("create", "-q", "-f", "qcow2", "-o", f"data_file={cli.path}/data", image, "8M")
    assert "whose data are in another file" in refused(cli, "--from-disk", image, *options)


def test_no_qemu_img(cli):  # noqa: F811
    said = cli.run("create", "one", "--from-disk", raw_image(cli.path / "image"), "--backing", expect=1,
                   PATH=str(cli.path / "bin"))[1]
    assert said == "qemu-img is missing: there is none in PATH (on Debian: apt install qemu-utils)\n"
    assert list((cli.home / "tmp").iterdir()) == []


# In a mount namespace of its own: a home of 4 MB, and an image with more bytes than that.
SMALL_HOME = """
mount -t tmpfs -o size=4M tmpfs "$TARTLET_HOME"
"$1" create one --from-disk image && exit 3
find "$TARTLET_HOME/vms" "$TARTLET_HOME/tmp" -mindepth 1 -not -name lost
exec "$1" create two --from-disk image --backing
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts")
def test_an_image_that_does_not_fit(cli):  # noqa: F811
    image = raw_image(cli.path / "image", 16 * MIB)
    image.write_bytes(image.read_bytes().replace(b"\0" * 4096, b"\1" * 4096))
    cli.home.mkdir()
    done = subprocess.run(["unshare", "--mount", "sh", "-c", SMALL_HOME, "sh", cli.program], cwd=cli.path,
                          env=cli.environment, capture_output=True, text=True, timeout=150, check=False)
    assert (done.returncode, done.stdout) == (0, "")
    assert re.fullmatch(r"cannot copy image: it does not fit into the \d+ bytes that are free in the home "
                        r"directory \(--backing does without a copy\)\n", done.stderr)


# Hides the machine's OVMF.
@pytest.mark.skipif(os.geteuid() != 0, reason="mounts")
def test_no_firmware(cli):  # noqa: F811
    script = 'mount -t tmpfs none /usr/share/OVMF && exec "$@"'
    for argv in (["create", "one", "--linux"], ["run", "two", "--accel", "tcg"]):
        if argv[0] == "run":
            cli.run("create", "two", "--linux")
        done = subprocess.run(["unshare", "-m", "sh", "-ec", script, "sh", cli.program, *argv],
                              env=cli.environment, capture_output=True, text=True, timeout=150, check=False)
        assert (done.returncode, done.stdout, done.stderr) == \
            (1, "", "UEFI firmware is missing: there is no OVMF on this machine (on Debian: apt install ovmf)\n")
    assert cli.run("list", "-q")[0] == "two\n"


def on_a_terminal(cli, *argv):  # noqa: F811
    """Standard error of a command, as a terminal gets it."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("4H", 24, 80, 0, 0))
    with subprocess.Popen([cli.program, *map(str, argv)], env=cli.environment, stderr=theirs) as process:
        os.close(theirs)
        said = b""
        while True:
            try:
                piece = os.read(ours, 65536)
            except OSError:
                break  # EIO: the other end is closed
            said += piece
    os.close(ours)
    assert process.returncode == 0
    return said.decode()


def test_progress_bar(cli):  # noqa: F811
    """On a terminal alone (all other tests would see it), and it is gone at the end. tmpfs to ext4, or the
    other way, or a slow copy: where blocks are shared there is one step."""
    image = cli.path / "image"
    image.write_bytes((b"\1" * 510 + BOOT_SIGNATURE) * (20 * MIB // 512))
    said = on_a_terminal(cli, "create", "one", "--from-disk", image)
    steps = [int(step) for step in re.findall(r"\rcopying the disk \[#*-*\] +(\d+) %", said)]
    assert steps[-1] == 100 and steps == sorted(steps)
    assert said.endswith("\r\x1b[K")


# --- run ----------------------------------------------------------------------------------------------------

def test_bad_disks_of_a_run(cli):  # noqa: F811
    """Before there is a network; the VM can be run after that."""
    cli.create("one")
    image = raw_image(cli.path / "image")
    for spec, said in ((cli.path / "none", "cannot read the image"), (cli.path, "is no disk image"),
                       (f"{image}:ro,x=y", 'unknown disk option "x=y"'),
                       (f"{image}:", None)):
        if said is None:
            running = cli.start("one", "--accel", "tcg", "--disk", spec)
            running.end(2)
            continue
        code = 64 if "option" in said else 1
        assert said in cli.refused("run", "one", "--accel", "tcg", "--disk", spec, expect=code)
        assert not (cli.home / "vms/one/run.json").exists()


def test_too_many_disks(cli):  # noqa: F811
    cli.create("one")
    argv = [word for _ in range(17) for word in ("--disk", "d")]
    assert "at most 16 disks" in cli.refused("run", "one", *argv)


@pytest.mark.skipif(os.geteuid() != 0, reason="changes its user")
def test_a_disk_that_may_not_be_written(cli, scratch):  # noqa: F811
    """By root it always may: as another user."""
    image = raw_image(scratch / "readable")
    image.chmod(0o644)
    program = scratch / "program"
    shutil.copyfile(cli.program, program)
    program.chmod(0o755)
    home = scratch / "other-home"
    home.mkdir()
    cli.environment |= {"TARTLET_HOME": str(home), "XDG_RUNTIME_DIR": ""}
    for name in ("kernel", "initrd"):
        shutil.copyfile(cli.path / name, scratch / f"{name}-copy")
        (scratch / f"{name}-copy").chmod(0o644)
    os.chown(home, 65534, 65534)

    def run(*argv):
        return subprocess.run([program, *argv], env=cli.environment, user=65534, group=65534, extra_groups=[],
                              capture_output=True, text=True, timeout=150, check=False)

    made = run("create", "one", "--kernel", scratch / "kernel-copy", "--initrd", scratch / "initrd-copy")
    assert made.returncode == 0, made.stderr
    done = run("run", "one", "--accel", "tcg", "--disk", image)
    assert (done.returncode, done.stderr) == \
        (1, f"cannot write the disk {image}: Permission denied (with :ro it is only read)\n")


@pytest.fixture
def wren(tartlet, guest, scratch):
    """A VM of its own kernel whose run the test describes; its disk has a mark at the start."""
    image = scratch / "wren.img"
    raw_image(image, 16 * MIB)
    tartlet.command("create", "wren", "--kernel", guest["vmlinux"], "--initrd", guest["initrd"], "--memory", 256,
                    "--cmdline", "console=ttyS0 quiet no_timer_check", "--from-disk", image)
    yield "wren"
    tartlet.command("delete", "wren")


def test_disks_in_a_guest(tartlet, wren, scratch):
    """Sizes, what may be written, formats, and a block device; what the guest writes is there afterwards."""
    raw = raw_image(scratch / "colon:in,name.img", 20 * MIB)
    qcow2 = qcow2_image(scratch / "extra.qcow2", 24 * MIB)
    device = raw_image(scratch / "device.img", 28 * MIB)
    loop = subprocess.run(["losetup", "--find", "--show", device], check=True, capture_output=True,
                          text=True).stdout.strip()
    try:
        running = tartlet.run(wren, "--root-disk-opts", "sync=none,caching=cached", "--disk", f"{raw}:ro",
                              "--disk", f"{qcow2}:sync=full,caching=uncached", "--disk", f"{loop}:sync=fsync",
                              expose=["0:2"])
        agent = running.up()
        sizes = agent.run("cat /sys/block/vd?/size").split()
        assert [int(size) * 512 // MIB for size in sizes] == [16, 20, 24, 28]
        assert agent.run("cat /sys/block/vd?/ro").split() == ["0", "1", "0", "0"]
        for letter in "abcd":
            assert agent.run(f"head -c 5 /dev/vd{letter}") == "start"
        assert agent.ask("echo x | dd of=/dev/vdb bs=512 conv=notrunc")[0] != 0
        for letter in "acd":
            agent.run(f"printf changed | dd of=/dev/vd{letter} bs=512 seek=4 conv=notrunc && sync")
        agent.tell("poweroff")
        assert running.wait() == 0
    finally:
        subprocess.run(["losetup", "--detach", loop], check=True)
    root = tartlet.home / "vms/wren/disk.img"
    assert root.read_bytes()[2048:2055] == b"changed"
    assert content(qcow2, "qcow2")[2048:2055] == b"changed"
    assert device.read_bytes()[2048:2055] == b"changed"
    assert raw.read_bytes()[2048:2055] == bytes(7)


def test_discarded_blocks_are_given_back(tartlet, wren):
    running = tartlet.run(wren, expose=["0:2"])
    agent = running.up()
    root = tartlet.home / "vms/wren/disk.img"
    agent.run("head -c 8388608 /dev/urandom | dd of=/dev/vda bs=1M seek=2 conv=notrunc && sync")
    before = root.stat().st_blocks
    agent.run("blkdiscard -o 2097152 -l 8388608 /dev/vda")
    agent.tell("poweroff")
    assert running.wait() == 0
    assert before - root.stat().st_blocks >= 8 * MIB // 512 - 64


def boot_disk(path, guest, cmdline):
    """A FAT file system with the EFI stub kernel and an initramfs, which the firmware's shell starts."""
    with path.open("wb") as file:
        file.truncate(160 * MIB)
    script = path.with_suffix(".nsh")
    script.write_text(f"vmlinuz initrd=\\initrd {cmdline}\r\n")
    subprocess.run(["mkfs.vfat", "-F", "32", path], check=True, capture_output=True)
    for source, name in ((guest["kernel"], "vmlinuz"), (guest["initrd"], "initrd"), (script, "startup.nsh")):
        subprocess.run(["mcopy", "-i", path, source, f"::{name}"], check=True)
    return path


def test_uefi_boots_the_disk(tartlet, guest, scratch):
    """From a layer over an image, which stays as it is."""
    image = boot_disk(scratch / "efi.img", guest, "console=ttyS0 quiet no_timer_check")
    before = image.stat().st_mtime_ns
    tartlet.command("create", "firm", "--from-disk", image, "--backing", "--memory", 512)
    running = tartlet.run("firm", expose=["0:2"])
    agent = running.up(timeout=400)
    assert agent.run("ls -d /sys/firmware/efi") == "/sys/firmware/efi"
    assert "initrd=\\initrd" in agent.run("cat /proc/cmdline")
    assert agent.run("cat /sys/block/vda/size") == str(160 * MIB // 512)
    agent.tell("poweroff")
    assert running.wait() == 0
    assert image.stat().st_mtime_ns == before
    tartlet.command("delete", "firm")

"""`set`, and what `run` does about a MAC that is taken. As in test_cli.py, a fake stands in QEMU's place."""

import json
import signal

import pytest
from test_cli import cli, vm  # noqa: F401
from test_disks import GB, MIB, info, qcow2_image, qemu_img, raw_image

NEW_MAC = "There is already a running VM with the same MAC address!\n" \
          "Resetting VM to assign a new MAC address...\n"


def changed(cli, name, *argv):  # noqa: F811
    """What of config.json is new."""
    before = cli.config(name)
    assert cli.run("set", name, *argv) == ("", "")
    assert list((cli.home / "tmp").iterdir()) == []
    return {key: value for key, value in cli.config(name).items() if before.get(key) != value}


def test_values(cli, vm):  # noqa: F811
    assert changed(cli, vm, "--cpu", 3, "--memory", 64) == {"cpuCount": 3, "memorySize": 64 * MIB}
    mac = changed(cli, vm, "--random-mac")
    assert list(mac) == ["macAddress"] and int(mac["macAddress"][:2], 16) & 3 == 2
    assert changed(cli, vm, "--cpu", 3) == {}
    assert json.loads(cli.run("get", vm, "-f", "json")[0])["Display"] == "1024x768"
    assert changed(cli, vm, "--display", "1920x1080px") == {"display": {"width": 1920, "height": 1080}}
    assert json.loads(cli.run("get", vm, "-f", "json")[0])["Display"] == "1920x1080"
    cli.run("set", vm, "--display", "1024x768pt")
    assert "display" not in cli.config(vm), "the default"


@pytest.mark.parametrize("kind", ["raw", "qcow2"])
def test_disk_size(cli, kind):  # noqa: F811
    image = cli.path / "image"
    image = raw_image(image) if kind == "raw" else qcow2_image(image)
    cli.run("create", "one", "--from-disk", image)
    assert changed(cli, "one", "--disk-size", 2, "--cpu", 3) == {"cpuCount": 3}
    disk = cli.home / "vms/one/disk.img"
    assert info(disk)["virtual-size"] == 2 * GB
    assert changed(cli, "one", "--disk-size", 2) == {}
    assert cli.refused("set", "one", "--disk-size", 1, "--cpu", 4, expect=1) == \
        f"new disk size of {GB} bytes should be larger than the current disk size of {2 * GB} bytes\n"
    assert cli.config("one")["cpuCount"] == 3


def test_another_disk(cli):  # noqa: F811
    cli.run("create", "one", "--from-disk", raw_image(cli.path / "first"))
    second = qcow2_image(cli.path / "second", 16 * MIB)
    assert changed(cli, "one", "--disk", second, "--cpu", 3) == \
        {"cpuCount": 3, "disks": [{"file": "disk.img", "format": "qcow2"}]}
    disk = cli.home / "vms/one/disk.img"
    assert disk.read_bytes() == second.read_bytes()
    third = raw_image(cli.path / "third")
    assert changed(cli, "one", "--disk", third, "--disk-size", 1) == \
        {"disks": [{"file": "disk.img", "format": "raw"}]}
    assert info(disk)["virtual-size"] == GB
    qemu_img("compare", "-f", "raw", "-F", "raw", third, disk)
    before = disk.stat().st_ino
    assert "no partition table" in \
        cli.refused("set", "one", "--disk", raw_image(cli.path / "blank", boots=False), expect=1)
    assert "No such file" in cli.refused("set", "one", "--disk", "/nowhere", expect=1)
    assert disk.stat().st_ino == before and list((cli.home / "tmp").iterdir()) == []


def test_a_layer_grows(cli):  # noqa: F811
    image = raw_image(cli.path / "image")
    cli.run("create", "one", "--from-disk", image, "--backing")
    cli.run("set", "one", "--disk-size", 1)
    disk = cli.home / "vms/one/disk.img"
    assert info(disk)["backing-filename"] == str(image)
    qemu_img("compare", "-f", "raw", "-F", "qcow2", image, disk)  # beyond the end of one, there are zeros


def test_a_first_disk(cli, vm):  # noqa: F811
    assert cli.refused("set", vm, "--disk-size", 1, expect=1) == \
        'VM "one" has no disk: --disk IMAGE gives it one\n'
    image = raw_image(cli.path / "image", boots=False)
    assert changed(cli, vm, "--disk", image) == {"disks": [{"file": "disk.img", "format": "raw"}]}
    assert (cli.home / "vms/one/disk.img").read_bytes() == image.read_bytes()


def test_growth_that_fails_changes_nothing(cli):  # noqa: F811
    cli.run("create", "one", "--from-disk", qcow2_image(cli.path / "image"))
    said = cli.run("set", "one", "--disk-size", 1, "--cpu", 7, expect=1, PATH=str(cli.path / "bin"))[1]
    assert said.startswith("qemu-img is missing")
    assert cli.config("one")["cpuCount"] == 2
    assert list((cli.home / "tmp").iterdir()) == []


def test_what_is_refused(cli, vm):  # noqa: F811
    assert cli.refused("set", "none", "--cpu", 2, expect=2) == 'the specified VM "none" does not exist\n'
    for option in ("--display-refit", "--no-display-refit", "--random-serial"):
        assert cli.refused("set", vm, option, "--cpu", 3, expect=1) == f"{option} is not available: a screen follows its window as the " \
            "guest likes, and there is no serial number to change\n"
    running = cli.start(vm, "--accel", "tcg")
    assert cli.refused("set", vm, "--cpu", 3, expect=2) == 'VM "one" is running\n'
    assert cli.refused("set", vm, "--disk", raw_image(cli.path / "image"), expect=2) == 'VM "one" is running\n'
    assert running.end(signal.SIGTERM)[0] == 0
    state = cli.home / "vms/one/suspend.state"
    state.touch()
    assert cli.refused("set", vm, "--cpu", 3, expect=2) == \
        'VM "one" is suspended: run it and shut it down, or give up its saved state with tartlet stop\n'
    assert state.exists() and cli.config(vm)["cpuCount"] == 2


def test_the_same_mac_runs(cli):  # noqa: F811
    """As where both come of a suspended one."""
    cli.create("one")
    cli.create("two")
    config = cli.config("two") | {"macAddress": cli.config("one")["macAddress"]}
    (cli.home / "vms/two/config.json").write_text(json.dumps(config))
    (cli.home / "vms/two/suspend.state").write_bytes(b"memory")
    first = cli.start("one", "--accel", "tcg")
    second = cli.start("two", "--accel", "tcg")
    assert "\n".join(second.lines).startswith(NEW_MAC)
    assert cli.config("two")["macAddress"] != cli.config("one")["macAddress"]
    assert not (cli.home / "vms/two/suspend.state").exists()
    for running in (first, second):
        assert running.end(signal.SIGTERM)[0] == 0

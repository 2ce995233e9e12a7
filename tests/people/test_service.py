"""The systemd unit tartlet@.service. No manager runs here: its lines are checked by systemd itself, and its commands
are run by the test as the manager would, over a stand-in for QEMU."""

import os
import re
import shlex
import signal
import socket
import subprocess

import pytest
from conftest import ROOT

TEMPLATE = ROOT / "packaging/systemd/tartlet@.service.in"


@pytest.fixture(scope="module")
def unit(program):
    """Where the unit is, as it is installed for the program of the tests."""
    folder = program.path / "units"
    folder.mkdir()
    text = TEMPLATE.read_text().replace("@bindir@", str(program.path / "bin"))
    assert "@" not in re.sub(r"tartlet@|SystemCallFilter=.*", "", text)
    (folder / "tartlet@.service").write_text(text)
    return folder / "tartlet@.service"


def lines(unit, key):
    return re.findall(rf"^{key}=(.*)$", unit.read_text(), re.MULTILINE)


def command(program, unit, line, **variables):
    """The words of an Exec line, as systemd expands them."""
    variables = dict(setting.split("=", 1) for setting in lines(unit, "Environment")) | variables
    words = []
    for word in shlex.split(line.lstrip("-").replace("%i", "debian-12")):
        if re.fullmatch(r"\$\w+", word):
            words += variables[word[1:]].split()
        else:
            words.append(re.sub(r"\$\{(\w+)\}", lambda match: variables[match[1]], word))
    return words


def verify(program, unit, instance="tartlet@debian-12.service"):
    environment = program.environment | {"SYSTEMD_UNIT_PATH": f"{unit.parent}:", "SYSTEMD_LOG_LEVEL": "warning"}
    return subprocess.run(["systemd-analyze", "--user", "--man=no", "--recursive-errors=no", "verify",
                           str(unit.parent / instance)],
                          env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=60, check=False)


def test_verify(program, unit):
    done = verify(program, unit)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("old, new", [
    ("KillMode=mixed", "KillMode=gentle"), ("/tartlet run", "/no-tartlet run"), ("RestartSec", "RestartSeconds"),
])
def test_verify_finds_mistakes(program, unit, tmp_path, old, new):
    wrong = tmp_path / unit.name
    wrong.write_text(unit.read_text().replace(old, new))
    assert verify(program, wrong).stderr != ""


def test_no_privilege_is_needed(program, unit):
    """What an ordinary user's manager cannot do would keep the VM from starting."""
    needs_root = r"^(Private\w+|Protect\w+|ReadOnlyPaths|TemporaryFileSystem|User|DynamicUser|\w*Capabilit\w+)="
    assert not re.search(needs_root, unit.read_text(), re.MULTILINE)
    assert "MemoryDenyWriteExecute" not in unit.read_text()


def start(program, unit, **variables):
    (line,) = lines(unit, "ExecStart")
    process = subprocess.Popen(command(program, unit, line, **variables), env=program.environment, cwd="/",
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    for printed in process.stdout:
        if printed.startswith("address: "):
            return process
    raise AssertionError("it does not run")


def stop(program, unit, process):
    """As systemd does it: one line after the other."""
    codes = []
    for line in lines(unit, "ExecStop"):
        words = command(program, unit, line, MAINPID=str(process.pid), TARTLET_SHUTDOWN_SECONDS="1")
        codes.append(subprocess.run(words, env=program.environment, capture_output=True, timeout=150,
                                    check=False).returncode)
    return codes


def test_start_and_stop(program, unit):
    program.create("debian-12")
    program.stand_in_for_qemu()
    process = start(program, unit, TARTLET_RUN_OPTIONS="--net-vmnet-expose 127.0.0.1:0:22 --mtu 1400")
    (forward,) = program.json("get", "debian-12", "--format", "json")["Forwards"]
    assert forward["internalPort"] == 22
    assert stop(program, unit, process)[0] == 0
    assert process.wait(timeout=120) == 0
    process.stdout.close()


def test_stop_of_a_guest_that_does_not_go_down(program, unit):
    process = start(program, unit)
    os.kill(process.pid, signal.SIGSTOP)  # deaf to its power button
    pid, line = process.pid, lines(unit, "ExecStop")[1]
    waiting = command(program, unit, line, MAINPID=str(pid), TARTLET_SHUTDOWN_SECONDS="1")
    assert subprocess.run(waiting, timeout=120, check=False).returncode == 124
    os.kill(pid, signal.SIGCONT)
    process.send_signal(signal.SIGTERM)  # what systemd does next
    assert process.wait(timeout=120) == 0
    process.stdout.close()


def test_stop_of_what_ended_by_itself_changes_nothing(unit):
    """systemd goes through these lines after a clean exit, too, without a MAINPID: a VM that was suspended stays so."""
    assert lines(unit, "ExecStop") and not [line for line in lines(unit, "ExecStop") if "tartlet" in line]


def test_options_that_are_wrong_are_not_tried_again(program, unit):
    (line,) = lines(unit, "ExecStart")
    words = command(program, unit, line, TARTLET_RUN_OPTIONS="--nonsense")
    code = subprocess.run(words, env=program.environment, capture_output=True, timeout=120, check=False).returncode
    assert str(code) in lines(unit, "RestartPreventExitStatus")


@pytest.mark.parametrize("as_service", [True, False])
def test_qemu_stays_in_the_service(program, as_service):
    """It gets a scope of its own from the user's manager where it is not in a unit of its own already."""
    (program.path / "runtime/systemd").mkdir(exist_ok=True)
    asked = program.path / "asked"
    busctl = program.path / "bin/busctl"
    busctl.write_text(f'#!/bin/sh\necho "$@" > {asked}\n')
    busctl.chmod(0o755)
    pid = "$$" if as_service else "1"
    with socket.socket(socket.AF_UNIX) as manager:
        manager.bind(str(program.path / "runtime/systemd/private"))
        process = subprocess.Popen(["sh", "-c", f"SYSTEMD_EXEC_PID={pid} exec tartlet run debian-12"],
                                   env=program.environment, cwd="/", stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, text=True)
        assert any(line.startswith("address: ") for line in process.stdout)
        program.output("stop", "debian-12")
        assert process.wait(timeout=120) == 0
        process.stdout.close()
    (program.path / "runtime/systemd/private").unlink()
    assert asked.exists() != as_service
    asked.unlink(missing_ok=True)

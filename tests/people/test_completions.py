"""Completion of command lines: what the program answers, and what bash, zsh and fish make of it."""

import re

import pytest
from shells import SCRIPTS, SHELLS, type_in, zsh_run

NAMES = ["asleep", "awake", "two words"]


@pytest.fixture(scope="module")
def filled(program):
    for name in NAMES:
        program.create(name)
    program.hold("awake")
    (program.work / "image.raw").touch()
    (program.work / "initrd.img").touch()
    (program.work / "folder").mkdir()
    return program


def answer(program, *words):
    """The candidates, and the lines that are no candidates."""
    done = program.run("--complete", *words)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert all(line.startswith(":") or line.count("\t") == 1 for line in lines)
    return [line.split("\t")[0] for line in lines if not line.startswith(":")], \
           [line for line in lines if line.startswith(":")]


def test_commands(filled):
    assert answer(filled, "")[0] == filled.commands()
    assert answer(filled, "-")[0] == ["--help", "--usage", "--version"]


def test_every_command_has_its_options(filled):
    for command in filled.commands():
        shown = set(re.findall(r"\[(--[a-z0-9-]+)", filled.output(command, "--usage")))
        assert {"--help", "--version"} < shown
        assert {option for option in answer(filled, command, "-")[0] if option[:2] == "--"} == shown, command


def test_every_option_with_bars_has_its_values(filled):
    seen = 0
    for command in filled.commands():
        for option, values in re.findall(r"(--[a-z-]+)=([a-z0-9-]+(?:\|[a-z0-9-]+)+)",
                                         filled.output(command, "--help")):
            assert answer(filled, command, option, "") == (values.split("|"), [])
            assert answer(filled, command, f"{option}=") == (values.split("|"), [])
            seen += 1
    assert seen >= 8


def test_every_command_offers_the_vms_it_can_take(filled):
    for command in filled.commands():
        usage = filled.output(command, "--help").split("\n")[0]
        if not re.search(r"\.\.\.\] NAME\b", usage):
            continue
        offered = answer(filled, command, "")[0]
        assert offered in ([], ["awake"], ["asleep", "two words"], NAMES), command


@pytest.mark.parametrize("words, offered, rest", [
    (["run", ""], ["asleep", "two words"], []),
    (["run", "asleep", ""], [], []),
    (["stop", ""], ["awake"], []),
    (["ip", "--wait", "3", ""], NAMES, []),
    (["ip", "--wait", ""], [], []),
    (["create", ""], [], []),
    (["create", "--kernel", ""], [], [":files"]),
    (["create", "--kernel=", "--initrd=x"], [], [":files"]),
    (["delete", "asleep", ""], ["two words"], []),
    (["forward", ""], ["add", "remove", "list"], []),
    (["forward", "add", ""], ["awake"], []),
    (["forward", "add", "awake", ""], [], []),
    (["forward", "nonsense", ""], [], []),
    (["forward", "-f", "json", "list", ""], ["awake"], []),
    (["get", "-f"], ["--format", "--help", "--usage", "--version"], []),
    (["get", "-f", ""], ["text", "json"], []),
    (["get", "--for", ""], ["text", "json"], []),
    (["get", "--", "-"], NAMES, []),
    (["ssh", "-tl", "root", ""], ["awake"], []),
    (["ssh", "-lroot", ""], ["awake"], []),
    (["ssh", "awake", ""], [], []),
    (["ssh", "awake", "ls", "-"], [], []),
    (["ssh", "-i", ""], [], [":files"]),
    (["netns", "--ifname", "x", ""], [], [":command 3"]),
    (["netns", "--", "ls", "-"], [], [":command 2"]),
    (["netns", "--netns", ""], [], [":files"]),
    (["run", "--disk", ""], [], [":files"]),
    (["prune", "--entries", ""], ["caches", "vms"], []),
    (["exec", "awake", ""], [], []),
    (["clone", "two words", ""], [], []),
    (["nonsense", ""], [], []),
    (["--version", "run", "--acc", "k"], ["auto", "kvm", "tcg"], []),
])
def test_answer(filled, words, offered, rest):
    assert answer(filled, *words) == (offered, rest)


def test_nothing_is_done(filled):
    """Whatever is written, no command is reached."""
    assert filled.json("list", "--format", "json")
    for command in filled.commands():
        answer(filled, command, *NAMES, "--force", "x")
        answer(filled, command, "--", *NAMES)
    assert [vm["Name"] for vm in filled.json("list", "--format", "json")] == NAMES
    assert filled.run("--complete").returncode == 64


@pytest.fixture(params=SHELLS)
def shell(request, filled):
    return lambda line: SHELLS[request.param](filled, line)


def test_shell_commands(filled, shell):
    assert shell("tartlet ") == set(filled.commands())
    assert shell("tartlet li") == {"list"}


def test_shell_vms(shell):
    assert shell("tartlet run ") == {"asleep", "two words"}
    assert shell("tartlet get a") == {"asleep", "awake"}
    assert shell("tartlet nc ") == {"awake"}
    assert shell("tartlet delete two\\ words ") == {"asleep"}


def test_shell_values(shell):
    assert shell("tartlet run --accel ") == {"auto", "kvm", "tcg"}
    assert shell("tartlet run --accel=") == {"--accel=auto", "--accel=kvm", "--accel=tcg"}
    assert shell("tartlet run --accel=k") == {"--accel=kvm"}
    assert {"--accel", "--serial", "--help"} < shell("tartlet run --")


def test_shell_files(shell):
    assert {name.rstrip("/") for name in shell("tartlet create x --kernel i")} == {"image.raw", "initrd.img"}
    assert {name.rstrip("/") for name in shell("tartlet create x --kernel=f")} == {"--kernel=folder"}


def test_shell_command_line_of_the_host(shell):
    assert "printenv" in shell("tartlet netns -- printen")
    assert {name.rstrip("/") for name in shell("tartlet netns --ifname x cat ini")} == {"initrd.img"}


def test_bash_at_a_terminal(filled):
    """What readline makes of it: the words in their place, quoted."""
    code, shown = type_in(
        ["bash", "--norc", "-i"], filled,
        f"bind 'set bell-style none'; source {SCRIPTS}/tartlet.bash\n"
        "tartlet ge\ttwo\t--form\tj\t && exit 33; exit 1\n")
    assert code == 33, shown
    assert '"State"' in shown


@pytest.mark.parametrize("line, becomes", [
    ("tartlet ge", "tartlet get "),
    ("tartlet get tw", "tartlet get two\\ words "),
    ("tartlet get x --format=j", "tartlet get x --format=json "),
    ("tartlet create x --disk=im", "tartlet create x --disk=image.raw "),
])
def test_zsh_at_a_terminal(filled, line, becomes):
    assert zsh_run(filled, line)[1].rstrip() == becomes.rstrip()

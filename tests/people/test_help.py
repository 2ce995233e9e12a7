"""What each command says of itself, and how it says that a line is wrong."""

import re

import pytest
from shells import type_in

WIDTH = 80
# The word behind an option's name, too; glibc puts the indentation of a description that has to begin on
# the next line in the wrong place once in a while.
OPTION_WIDTH = 41


@pytest.fixture(scope="module")
def commands(program):
    # Those that are not available are named apart.
    named = re.findall(r"[a-z]+", program.output("--help").partition("Not available yet: ")[2].partition("\n")[0])
    assert len(program.commands()) > 5 and "pull" in named
    return program.commands() + named


def test_help(program, commands):
    for command in [None, *commands]:
        words = [command] if command else []
        done = program.run(*words, "--help")
        assert (done.returncode, done.stderr) == (0, ""), command
        assert done.stdout.startswith(" ".join(["Usage: tartlet", *words, ""]))
        assert max(map(len, done.stdout.splitlines())) <= WIDTH, done.stdout
        assert "\x1b" not in done.stdout and "\t" not in done.stdout
        assert done.stdout == program.run(*words, "-?").stdout
    assert not program.home.exists()


def test_help_has_examples(program):
    for command in program.commands():
        examples = program.output(command, "--help").partition("\nExamples:\n")[2]
        assert re.search(rf"\btartlet {command}\b", examples), command


def test_help_has_options_in_one_column(program, commands):
    for command in commands:
        for line in program.output(command, "--help").splitlines():
            beginning = re.match(r" +(-\w, +)?--[a-z][a-z0-9-]*(=\S+)?(?=  |$)", line)
            if beginning and line[:6].strip(" "):
                assert len(beginning[0]) <= OPTION_WIDTH, f"{command}: shorten {beginning[0]}"
            assert not re.match(r" {7,}--[a-z-]+=\S+$", line), f"{command}: out of its column:\n{line}"


def test_every_option_says_what_it_is(program, commands):
    for command in commands:
        for line in program.run("--complete", command, "--").stdout.splitlines():
            option, _, description = line.partition("\t")
            assert description or len(option) == 2, f"{command} {option}"


def test_usage_and_version(program, commands):
    version = program.output("--version")
    assert re.fullmatch(r"tartlet \d+\.\d+\.\d+\n", version)
    for command in commands:
        assert program.output(command, "--usage").startswith(f"Usage: tartlet {command} ")
        assert program.output(command, "--version") == version == program.output(command, "-V")


def test_an_unknown_option(program):
    """One sentence that names it, and where to read on."""
    for command in [None, *program.commands()]:
        words = [command] if command else []
        for option in ("--nonsense", "-\x7f"):
            done = program.run(*words, option)
            name = " ".join(["tartlet", *words])
            assert (done.returncode, done.stdout) == (64, ""), command
            said = done.stderr.splitlines()
            assert said[0].startswith(f"{name}: ") and "option" in said[0]
            assert option.strip("-") in said[0]
            assert " ".join(said[1:]) == f"Try `{name} --help' or `{name} --usage' for more information."
    assert not program.home.exists()


def test_an_unknown_command(program):
    done = program.run("nonsense")
    assert (done.returncode, done.stdout) == (64, "")
    assert done.stderr.splitlines()[0] == 'tartlet: unknown command "nonsense"'


def test_a_vm_that_there_is_not(program):
    """One sentence, no usage: the line was right."""
    for command in program.commands():
        usage = program.output(command, "--help").splitlines()[0]
        if not re.fullmatch(rf"Usage: tartlet {command} (\[OPTION\.\.\.\] )?NAME(\.\.\.)?", usage) or \
                command == "create":
            continue
        done = program.run(command, "none")
        assert done.returncode in (1, 2), command
        assert (done.stdout, done.stderr) == ("", 'the specified VM "none" does not exist\n')


@pytest.fixture
def parts(program):
    """Options of a create that has much to copy."""
    source, kernel = program.path / "source.img", program.path / "kernel"
    source.write_bytes(bytes(range(256)) * 4096 * 16)
    kernel.write_bytes(b"kernel")
    return ["--disk", str(source), "--kernel", str(kernel), "--initrd", str(kernel)]


def test_plain_where_nobody_looks(program, parts):
    """No progress, no colours, no carriage returns where the output is no terminal."""
    done = program.run("create", "big", *parts)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    for argv in (["list"], ["get", "big"], ["list", "--format", "json"]):
        assert not re.search(r"[^\n -~]", program.output(*argv))
    program.output("delete", "big")


def test_progress_at_a_terminal(program, parts):
    code, shown = type_in(["tartlet", "create", "big", *parts], program, "")
    assert code == 0
    assert re.search(r"\r[^\r]*100 %", shown), "no bar"
    assert shown.endswith("\r\x1b[K"), "the bar stays"
    program.output("delete", "big")

"""What a shell offers for a line, and what it makes of it: the real shells with their real completion."""

import errno
import os
import pathlib
import pty
import re
import select
import shlex
import subprocess
import tempfile

SCRIPTS = pathlib.Path(__file__).resolve().parent.parent.parent / "packaging/completions"


def run(argv, program, **environment):
    done = subprocess.run(argv, env=program.environment | environment, cwd=program.work, text=True,
                          stdin=subprocess.DEVNULL, capture_output=True, timeout=150, check=False)
    assert done.returncode == 0 and done.stderr == "", f"{argv}: {done.returncode}\n{done.stderr}"
    return done.stdout.splitlines()


def type_in(argv, program, keys, **environment):
    """A shell at a terminal, these keys, and what is on the terminal until the shell ends."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(program.work)
        os.execvpe(argv[0], argv, program.environment | environment)
    os.write(terminal, keys.encode())
    shown = b""
    try:
        while True:
            assert select.select([terminal], [], [], 150)[0], f"the shell is stuck:\n{shown.decode()}"
            shown += os.read(terminal, 65536)
    except OSError as gone:
        assert gone.errno == errno.EIO, gone
    finally:
        os.close(terminal)
        _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status), shown.decode(errors="replace")


def bash_words(line):
    """The line as bash cuts it, without the blanks: at spaces and at each "=" and ":"."""
    words = []
    for word in re.findall(r"(?:\\.|\S)+|$", line) if line.endswith(" ") else re.findall(r"(?:\\.|\S)+", line):
        words += re.findall(r"[=:]+|[^=:]+", word) or [word]
    return words


def bash(program, line):
    words = bash_words(line)
    last = "" if set(words[-1]) <= set("=:") else words[-1]
    script = f"""
        source {shlex.quote(str(SCRIPTS / "tartlet.bash"))}
        complete -p tartlet | grep -q -- '-F _tartlet' || exit 3
        COMP_WORDS=({" ".join(map(shlex.quote, words))}) COMP_CWORD={len(words) - 1}
        COMP_LINE={shlex.quote(line)} COMP_POINT={len(line)}
        _tartlet tartlet {shlex.quote(last)} ''
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    # Completed is only what stands behind the last "=" or ":".
    head = "" if " " in last else re.match(r"(.*[=:])?", line.rpartition(" ")[2])[0]
    return {head + found.replace("\\", "") for found in run(["bash", "--norc", "-c", script], program) if found}


ZSH = r"""
PS1= PS2= RPS1= LISTMAX=9999; unsetopt zle_bracketed_paste prompt_cr prompt_sp 2>/dev/null; unset zle_bracketed_paste
fpath=($SCRIPTS $fpath); autoload -Uz compinit; compinit -u -d $DUMP
compadd() {
	# Those that ask for an array back are asking, not offering.
	if [[ ${@[1,(i)(-|--)]} == *-(O|A|D)\ * ]]; then builtin compadd "$@"; return; fi
	local -a hits
	builtin compadd -O hits "$@"
	print -rl -- $hits >> $OUT.hits
	builtin compadd "$@"
}
finish() { zle complete-word; print -r -- "$BUFFER" > $OUT; exit 0 }
zle -N finish; bindkey '^X' finish
"""


def zsh_run(program, line):
    """What was offered, and the line as it stands then."""
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        (folder / ".zshrc").write_text(ZSH)
        type_in(["zsh", "-d", "-i"], program, f"{line}\x18", ZDOTDIR=str(folder), OUT=str(folder / "out"),
                SCRIPTS=str(SCRIPTS), DUMP=str(program.path / "zcompdump"))
        hits = folder / "out.hits"
        offered = hits.read_text().splitlines() if hits.exists() else []
        return {hit for hit in offered if hit}, (folder / "out").read_text().rstrip("\n")


def zsh(program, line):
    head = re.match(r"(--[^=]*=)?", line.rpartition(" ")[2])[0]
    return {head + hit for hit in zsh_run(program, line)[0]}


def fish(program, line):
    script = f"source {shlex.quote(str(SCRIPTS / 'tartlet.fish'))}; complete -C {shlex.quote(line)}"
    return {re.sub(r"\\(.)", r"\1", found.split("\t")[0])
            for found in run(["fish", "--no-config", "-c", script], program)}


SHELLS = {"bash": bash, "zsh": zsh, "fish": fish}

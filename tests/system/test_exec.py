"""`tartlet exec` and `tartlet ip --resolver agent`: QEMU's own agent in a real guest, and before these an agent
of ours that says what none should."""

import base64
import contextlib
import fcntl
import json
import signal
import socket
import subprocess
import threading

import pytest

NO_AGENT = ("Failed to connect to the VM using its control socket: {}, is the QEMU guest agent running?\n")


@pytest.fixture
def execute(tartlet):
    """Runs `tartlet exec`, held to its exit code: its process, ended."""
    def run(*argv, name="shared", expect=0, data=None, options=()):
        done = subprocess.run(tartlet.argv("exec", *options, name, *argv), env=tartlet.environment,
                              input=data, stdin=None if data is not None else subprocess.DEVNULL,
                              capture_output=True, timeout=200, check=False)
        assert done.returncode == expect, done.stderr
        return done
    return run


# --- an agent of ours ----------------------------------------------------------------------------

class FakeAgent(threading.Thread):
    """A VM that "runs", with an agent that answers the questions after synchronisation from a list. An
    answer may be a function of the agent that gives it; None closes the connection."""

    def __init__(self, folder, answers):
        super().__init__(daemon=True)
        self.answers = list(answers)
        self.questions = []
        # As `tartlet run` holds it; gone with the file.
        self.config = open(folder / "config.json", "r+b")  # pylint: disable=consider-using-with
        fcntl.lockf(self.config, fcntl.LOCK_EX)
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(folder / "agent.sock"))
        self.listener.listen(1)
        self.start()

    def run(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.listener.accept()
                with connection, connection.makefile("rb") as lines:
                    self.serve(connection, lines)

    def serve(self, connection, lines):
        for line in lines:
            question = json.loads(line.lstrip(b"\xff"))
            if question["execute"] == "guest-sync-delimited":
                answer = b"\xff" + json.dumps({"return": question["arguments"]["id"]}).encode()
            else:
                self.questions.append(question)
                answer = self.answers.pop(0)
                answer = answer(self) if callable(answer) else answer
            if answer is None:
                return
            connection.sendall((answer if isinstance(answer, bytes) else json.dumps(answer).encode()) + b"\n")

    def end(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.join(10)
        self.listener.close()
        self.config.close()


@pytest.fixture
def start(program, tmp_path):
    """Starts `tartlet exec` against such an agent: its process, and the agent."""
    (tmp_path / "kernel").write_bytes(b"kernel")
    environment = {"TARTLET_HOME": str(tmp_path / "home"), "XDG_RUNTIME_DIR": str(tmp_path), "PATH": "/usr/bin",
                   "LC_ALL": "C.UTF-8"}
    subprocess.run([program, "create", "fake", "--kernel", tmp_path / "kernel", "--initrd", tmp_path / "kernel"],
                   env=environment, check=True)
    with contextlib.ExitStack() as stack:
        def run(answers, *argv, words=("cat",), stdout=subprocess.PIPE):
            agent = FakeAgent(tmp_path / "home/vms/fake", answers)
            stack.callback(agent.end)
            process = stack.enter_context(subprocess.Popen(
                [program, "exec", *argv, "fake", *words], env=environment, stdin=subprocess.PIPE, stdout=stdout,
                stderr=subprocess.PIPE))
            stack.callback(process.kill)
            return process, agent
        yield run


@pytest.fixture
def play(start):
    """The same until it ends: its exit code and what it said, and the agent."""
    def run(answers, *argv, data=b"", **options):
        process, agent = start(answers, *argv, **options)
        output, errors = process.communicate(data, timeout=150)
        return subprocess.CompletedProcess(argv, process.returncode, output, errors), agent
    return run


STARTED = {"return": {"pid": 7}}


def ended(**more):
    return {"return": {"exited": True, **more}}


def test_truncated_output_is_told(play):
    output = base64.b64encode(b"out").decode()
    errors = base64.b64encode(b"err\n").decode()
    answer = ended(exitcode=4, **{"out-data": output, "out-truncated": True, "err-data": errors,
                                  "err-truncated": True})
    done, _ = play([STARTED, answer])
    assert (done.returncode, done.stdout) == (4, b"out")
    assert done.stderr.decode() == (
        "the guest agent left off the end of the command's standard output\nerr\n"
        "the guest agent left off the end of the command's standard error\n")


def test_what_the_guest_says_does_not_steer_the_terminal(play):
    done, _ = play([{"error": {"class": "GenericError", "desc": "no \x1b[31mred\n\u202e"}}])
    assert done.returncode == 1 and done.stdout == b""
    assert done.stderr.decode() == 'the guest agent of VM "fake": no \\u001b[31mred\\u000a\\u202e\n'


@pytest.mark.parametrize(("answers", "reason"), [
    ([b"rubbish"], "the agent answers what is not the guest agent protocol"),
    ([None], "the connection was closed"),
    ([STARTED, ended()], "the agent answers guest-exec-status with what is no status"),
    ([b'{"return": "' + b"x" * 70000 + b'"}'], "the agent's answer is too long"),
    # Not too long: but an answer of such values would take fifty times its length of memory.
    ([STARTED, b'{"return":[' + b"0," * (1 << 20) + b"0]}"], "the agent's answer has too many values"),
    ([STARTED, b'{"return":[' + b"[]," * (20 << 20) + b"0]}"], "the agent's answer has too many values"),
])
def test_bad_answers(play, answers, reason):
    done, _ = play(answers)
    assert (done.returncode, done.stdout.decode(), done.stderr.decode()) == (1, "", NO_AGENT.format(reason))


def test_vm_that_stops_meanwhile(play):
    done, _ = play([STARTED, lambda agent: agent.config.close()])
    assert (done.returncode, done.stderr.decode()) == (1, 'VM "fake" stopped before the command ended\n')


def test_words_and_input(play):
    done, agent = play([STARTED, ended(exitcode=0)], "-i", data=b"\0\xff", words=("--", "-x", "ä b", "", "-i"))
    assert done.returncode == 0, done.stderr
    assert agent.questions[0]["arguments"] == {"path": "-x", "arg": ["ä b", "", "-i"], "capture-output": True,
                                               "input-data": "AP8="}


def test_too_much_input(play):
    done, agent = play([], "-i", data=bytes((16 << 20) + 1))
    assert (done.returncode, done.stderr.decode()) == (
        1, "standard input is longer than the 16 MiB that the guest agent takes: use `tartlet ssh'\n")
    assert not agent.questions


def test_output_that_cannot_be_written(play):
    answer = ended(exitcode=0, **{"out-data": base64.b64encode(b"out").decode()})
    with open("/dev/full", "wb") as full:
        done, _ = play([STARTED, answer], stdout=full)
    assert (done.returncode, done.stderr) == (1, b"cannot write to standard output: No space left on device\n")


def test_interrupted_while_it_writes(start):
    """The command has ended: there is nothing to say."""
    output = base64.b64encode(bytes(1 << 20)).decode()
    process, _ = start([STARTED, ended(exitcode=0, **{"out-data": output})])
    assert process.stdout.read(1) == b"\0"  # more than that is not taken from the pipe
    process.send_signal(signal.SIGINT)
    assert process.wait(120) == -signal.SIGINT
    assert process.stderr.read() == b""


@pytest.mark.parametrize(("argv", "sentence"), [
    ((), "the VM's NAME is missing"),
    (("fake",), "the COMMAND is missing"),
    (("fake", "--"), "the COMMAND is missing"),
    (("fake", b"\xff"), '"\\xff" is not UTF-8, and the guest agent takes nothing else'),
    (("-t", "fake", "top"), "the guest agent has no terminals (-t): use `tartlet ssh -t fake top ...'"),
])
def test_usage(program, argv, sentence):
    done = subprocess.run([program, "exec", *argv], capture_output=True, timeout=120, check=False)
    assert (done.returncode, done.stderr.decode().splitlines()[0]) == (64, f"tartlet exec: {sentence}")


# --- a real guest --------------------------------------------------------------------------------

def test_output_errors_and_exit_code(execute, vm):
    done = execute("sh", "-c", "echo here; echo there >&2; exit 7", expect=7)
    assert (done.stdout, done.stderr) == (b"here\n", b"there\n")
    assert execute("echo", "a  b", "", "ä", "$HOME").stdout == "a  b  ä $HOME\n".encode()
    assert execute("sh", "-c", "kill -9 $$", expect=137).stdout == b""
    assert b'the guest agent of VM "shared": ' in execute("no-such-program", expect=1).stderr


def test_input(execute, vm):
    data = bytes(range(256)) * 2048
    assert execute("cat", options=["-i"], data=data).stdout == data
    assert execute("cat", options=["-i"], data=b"").stdout == b""
    assert execute("cat", data=b"not asked for").stdout == b""


def test_several_at_once(execute, tartlet, vm):
    """Each goes on only when another has come as far: one after the other they would never end."""
    execute("mkfifo", "/tmp/there", "/tmp/back")
    with subprocess.Popen(tartlet.argv("exec", "shared", "sh", "-c", "cat /tmp/there; echo b >/tmp/back"),
                          env=tartlet.environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as first:
        assert execute("sh", "-c", "echo a >/tmp/there; cat /tmp/back").stdout == b"b\n"
        assert first.communicate(timeout=150)[0] == b"a\n"
    assert first.returncode == 0
    execute("rm", "/tmp/there", "/tmp/back")


def test_clients_that_break_off(execute, tartlet, vm):
    """What the agent still has to say to them is nobody's answer."""
    path = tartlet.home / "vms/shared/agent.sock"
    for question in (b'{"execute":"guest-info"}\n{"execute":"guest-info"}\n', b'{"execute":"guest-inf', b"\xff"):
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))
            client.sendall(question)
        assert execute("echo", "mine").stdout == b"mine\n"


def test_interrupted(execute, tartlet, vm):
    """Ctrl-C ends the waiting; the sentence says how to end the command. SIGKILL leaves no lock behind."""
    def start():
        return subprocess.Popen(tartlet.argv("exec", "shared", "sh", "-c", "echo $$ >/tmp/pid; exec sleep 1000"),
                                env=tartlet.environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE)
    agent = vm.agent()
    for number in (signal.SIGINT, signal.SIGKILL):
        with start() as process:
            pid = agent.run("while ! [ -s /tmp/pid ]; do usleep 20000; done; cat /tmp/pid; rm /tmp/pid")
            # Over TCP it was quick: the client may not have the agent's answer yet.
            assert execute("kill", "-0", pid).stdout == b""
            process.send_signal(number)
            said = process.communicate(timeout=120)[1].decode()
        assert process.returncode == -number
        assert said == ("" if number == signal.SIGKILL else
                        f'\nthe command goes on in VM "shared" as its process {pid}; '
                        f"`tartlet exec shared kill {pid}' ends it\n")
        execute("kill", pid)


def test_address(tartlet, vm):
    assert tartlet.command("ip", "shared", "--resolver", "agent").stdout == f"{vm.address}\n"


def test_without_an_agent(execute, tartlet, vm):
    guest = vm.agent()
    guest.run("kill $(cat /run/qemu-ga.pid); while [ -e /run/qemu-ga.pid ]; do usleep 20000; done")
    try:
        with subprocess.Popen(tartlet.argv("exec", "shared", "true"), env=tartlet.environment,
                              stderr=subprocess.PIPE, text=True) as waiting:
            said = tartlet.command("ip", "shared", "--resolver", "agent", expect=1).stderr
            assert said == ("no IP address found (also make sure that the QEMU guest agent is running inside of "
                            "a VM)\n")
            assert waiting.communicate(timeout=150)[1] == NO_AGENT.format("the agent does not answer")
        assert waiting.returncode == 1
    finally:
        guest.run("start-qemu-ga")
    assert execute("echo", "again").stdout == b"again\n"
    said = tartlet.command("ip", "shared", "--resolver", "agent", "--wait", 100).stdout
    assert said == f"{vm.address}\n"


def test_not_running(execute, tartlet, guest):
    tartlet.create("idle-exec", guest)
    assert execute("true", name="idle-exec", expect=2).stderr == b'VM "idle-exec" is not running\n'
    assert execute("true", name="missing", expect=2).stderr == (
        b'the specified VM "missing" does not exist\n')
    said = tartlet.command("ip", "idle-exec", "--resolver", "agent", expect=1).stderr
    assert said == ("no IP address found, is your VM running? (also make sure that the QEMU guest agent is running "
                    "inside of a VM)\n")

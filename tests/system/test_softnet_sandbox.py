"""What softnet can still do when it is ready for its VM, tried by itself (tests/proof), and that no installed program
can be made to try."""

import contextlib
import os
import pathlib
import socket
import subprocess
import tempfile

import pytest
from lab.softnet import Softnet

NOBODY = 65534

# Whatever the sandbox is made of, and whoever started it. The engine may make pairs of unix stream sockets (its own
# DNS and HTTP services are behind one); such a socket can ask to be connected, but it is connected already, and
# has no path to name.
REFUSED = {"EPERM", "EACCES", "ENOSYS"}
BESIDES = {"connect to a unix socket": "ENOENT", "connect to an abstract socket": "EISCONN"}


@pytest.fixture(scope="module")
def proof_program(request):
    path = pathlib.Path(request.config.getoption("--build-dir")) / "tests/proof/softnet-proof"
    assert os.access(path, os.X_OK), f"{path} is not a program: build first"
    return str(path.resolve())


@contextlib.contextmanager
def bait(place, namespace):
    """A file, and two sockets that listen; open to everybody."""
    directory = place / "bait"
    directory.mkdir()
    directory.chmod(0o777)
    (directory / "file").write_text("what is to stay unread")
    (directory / "file").chmod(0o666)
    with contextlib.ExitStack() as stack:
        for name in str(directory / "socket"), f"\0{directory}/socket":
            listener = stack.enter_context(namespace.socket(socket.AF_UNIX, socket.SOCK_STREAM))
            listener.bind(name)
            listener.listen()
        (directory / "socket").chmod(0o777)
        yield directory


@pytest.mark.parametrize("who", ["root", "ordinary user"])
def test_nothing_can_be_done(proof_program, lab, dns, scratch, who):
    """Each attempt of the engine itself is refused: files, programs, processes, sockets, rights, memory."""
    place = pathlib.Path(tempfile.mkdtemp(prefix="proof-", dir=scratch))
    wrapper = ()
    if who != "root":
        wrapper = ("setpriv", "--reuid", NOBODY, "--regid", NOBODY, "--clear-groups")
        (place / "softnet").mkdir(mode=0o700)
        for path in place, place / "softnet":
            os.chown(path, NOBODY, NOBODY)
    report, report_end = os.pipe()
    with bait(place, lab.host) as directory, open(report, encoding="ascii") as lines:
        vm = Softnet(proof_program, lab.host, place, "--sandbox", "strict", before=(report_end, directory),
                     wrapper=wrapper, passed=(report_end,))
        os.close(report_end)
        tried = {}
        for line in lines:
            if line == "end\n":
                break
            name, _, result = line.rstrip("\n").rpartition(": ")
            tried[name] = result
        assert len(tried) > 30
        assert not {name: result for name, result in tried.items() if result not in REFUSED and
                    BESIDES.get(name) != result}
        assert vm.lease()["router"] == (vm.gateway,)  # and it still does what it is for
        assert vm.end() == (0, "")
        assert (directory / "file").read_text() == "what is to stay unread"
        assert sorted(path.name for path in directory.iterdir()) == ["file", "socket"]


def test_no_program_has_it(softnet_program):
    """The attempts are in the test's program alone."""
    symbols = subprocess.run(["nm", softnet_program], check=True, text=True, stdout=subprocess.PIPE).stdout
    assert "softnet_run" in symbols and "sandbox_prove" not in symbols

import pytest

import counts

STRACE = """\
% time     seconds  usecs/call     calls    errors syscall
------ ----------- ----------- --------- --------- ----------------
 62.50    0.000500           5       100        12 recvfrom
 25.00    0.000200           4        50           epoll_wait
 12.50    0.000100          10        10           sendmsg
------ ----------- ----------- --------- --------- ----------------
100.00    0.000800           5       160        12 total
"""


def test_system_calls_of_strace():
    assert counts.SystemCalls.read(STRACE) == 160
    assert counts.SystemCalls.read("") is None


@pytest.mark.parametrize(("text", "expected"), [
    ("# started on Thu\n\n123456789,,instructions,1000,100.00,1.05,insn per cycle\n", 123456789),
    ("77,,instructions:u,1000,100.00,,\n", 77),
    ("<not supported>,,instructions,0,100.00,,\n", None),
    ("<not counted>,,instructions,0,0.00,,\n", None),
    ("", None),
])
def test_instructions_of_perf(text, expected):
    assert counts.Instructions.read(text) == expected

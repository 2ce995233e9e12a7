import syscalls

STRACE = """\
% time     seconds  usecs/call     calls    errors syscall
------ ----------- ----------- --------- --------- ----------------
 62.50    0.000500           5       100        12 recvfrom
 25.00    0.000200           4        50           epoll_wait
 12.50    0.000100          10        10           sendmsg
------ ----------- ----------- --------- --------- ----------------
100.00    0.000800           5       160        12 total
"""


def test_counts_of_strace_are_read():
    assert syscalls.read(STRACE) == {"recvfrom": 100, "epoll_wait": 50, "sendmsg": 10}


def test_no_calls_at_all():
    assert syscalls.read("") == {}

"""A profile by hand: the world's loop calls the engine, both use a codec, the engine copies by the C
library, and a table of base asks the engine back."""

import pytest

import callgrind

PROFILE = """\
# callgrind format
version: 1
positions: line
events: Ir
summary: 1000

ob=(1) /usr/lib/libc.so.6
fl=(1) ./string/memcpy.S
fn=(1) memcpy
10 70

ob=(2) bench-scenario
fl=(2) ../src/nat/tcp.c
fn=(2) tcp_input
5 100
+3 20
cob=(1)
cfi=(1)
cfn=(1)
calls=2 10
* 50
cfi=(3) ../src/wire/tcp.c
cfn=(3) tcp_parse
calls=1 1
+1 30
cfi=(4) ../tests/scenario/rig/rig_port.c
cfn=(4) rig_port_push
calls=1 1
6 400
cfi=(5) ../src/base/index.c
cfn=(5) index_find
calls=1 1
6 25
fi=(6) ../src/base/list.h
9 5
fe=(2)
9 1

fl=(3)
fn=(3)
1 45

fl=(5)
fn=(5)
1 15
cfi=(2)
cfn=(6) match
calls=1 1
1 10

fl=(2)
fn=(6)
1 10

fl=(4)
fn=(4)
1 385
cfi=(3)
cfn=(3)
calls=1 1
2 15
cfi=(1)
cfn=(1)
calls=1 1
2 20
"""


@pytest.fixture
def profile():
    return callgrind.read(PROFILE.splitlines())


def test_names_are_written_once(profile):
    assert profile.own[("../src/wire/tcp.c", "tcp_parse")] == 45
    assert profile.edges[(("../src/nat/tcp.c", "tcp_input"), ("./string/memcpy.S", "memcpy"))] == 50


def test_inlined_code_belongs_to_its_function(profile):
    assert profile.own[("../src/nat/tcp.c", "tcp_input")] == 126


def test_the_engine_pays_for_itself_and_for_what_it_asks(profile):
    # itself 126 and 10; memcpy 50, its share of the codec 30, the table 25, which holds the 10 again
    assert callgrind.engine_cost(profile) == 126 + 10 + 50 + 30 + 25 - 10


def test_dearest(profile):
    assert callgrind.dearest(profile, 2) == [("tcp_input", 126), ("memcpy", 50)]


@pytest.mark.parametrize(("path", "expected"), [
    ("/x/build/../src/nat/tcp.c", callgrind.ENGINE), ("src/bridge/fdb.c", callgrind.ENGINE),
    ("/x/src/wire/tcp.c", callgrind.HELPER), ("/x/src/loop/loop.c", callgrind.HELPER),
    ("./malloc/malloc.c", callgrind.HELPER), ("???", callgrind.HELPER),
    ("/x/tests/scenario/rig/rig.c", callgrind.WORLD), ("/x/bench/scenario/scenario.c", callgrind.WORLD),
])
def test_whose_a_file_is(path, expected):
    assert callgrind.side(path) == expected

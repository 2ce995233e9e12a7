"""softnet's control channel: each error with its code, and rules that are as before; limits; the end."""

import json
import select
import socket

import pytest
from lab import servers, topology

GET = "softnet.policy.get"
SET = "softnet.policy.set"
LONGEST = 1 << 20


def request(method=GET, **fields):
    return json.dumps({"jsonrpc": "2.0", "id": 1, "method": method} | fields)


def change(**params):
    """A request for other rules than those in force, with these parameters in place of good ones."""
    return request(SET, params={"allow": [], "block": ["@host"], "desiredRevision": "other"} | params)


@pytest.fixture(scope="module")
def vm(softnet_kept):
    made = softnet_kept("--allow", "10.0.0.0/8")
    made.ask(SET, allow=["@host", "10.0.0.0/8"], block=["0.0.0.0/0"], desiredRevision="first")
    return made


PARSE_ERRORS = [
    "", "nonsense", "{", '{"jsonrpc": "2.0"', request() + request(), b"\xff\xfe", b'"\xc3\x28"', "\0", request() + "\0",
    '{"jsonrpc": "2.0", "id": 1, "id": 2, "method": "softnet.policy.get"}',
    change(desiredRevision="a\0b"), change(block=["@host\0"]),
    '{"jsonrpc": "2.0", "id": 99999999999999999999, "method": "softnet.policy.get"}',
    "[" * 10000, '{"a":' * 10000,
]

INVALID_REQUESTS = [
    "1", "null", "true", '"softnet.policy.get"', "[]", "{}", f"[{request()}]", f"[{request()}, {request()}]",
    '{"jsonrpc": "2.0", "method": "softnet.policy.get"}',  # a notification
    '{"id": 1, "method": "softnet.policy.get"}',
    '{"jsonrpc": "2.0", "id": 1}',
    *[request(id=identity) for identity in (None, 1.5, True, [1], {"a": 1}, "x" * 257, "\u00e4" * 129)],
    *[request(jsonrpc=version) for version in ("1.0", "2", "", 2, 2.0, None)],
    *[request(method) for method in (None, 1, [GET])],
    request(extra=1),
]

UNKNOWN_METHODS = ["", "softnet.policy", "softnet.policy.list", "Softnet.policy.get", "softnet.policy.get ", "rpc.discover"]

INVALID_PARAMS = [
    request(params=[]), request(params={"allow": []}), request(params=1), request(params="x"),
    request(SET), request(SET, params=None), request(SET, params=[]), request(SET, params={}),
    *[request(SET, params={"allow": [], "block": [], "desiredRevision": "other"} | {key: "left out"}).replace(
        f'"{key}": "left out"', f'"{key}s": "left out"') for key in ("allow", "block", "desiredRevision")],
    change(more=1), change(allow=None), change(allow="@host"), change(allow={"0": "@host"}), change(block=1),
    change(block=[1]), change(block=[None]), change(block=[["@host"]]),
    change(desiredRevision=7), change(desiredRevision=None), change(desiredRevision=""),
    change(desiredRevision="r" * 257), change(desiredRevision="\u00e4" * 129),
    change(allow=[f"10.{i >> 8}.{i & 255}.0/24" for i in range(4096)]),  # and the one that is blocked
]

# The reference's rejected inputs, and what a person mistypes.
BAD_RULES = [
    "", "from @host", "in", "out", "in from @host", "out to @host", "infrom @host", " in @host", "in @host ", "in\t@host",
    "10.0.0.0/8:", "10.0.0.0/8:0", "10.0.0.0/8:65536", "10.0.0.0/8:+80", "10.0.0.0/8: 80", "10.0.0.0/8:80-",
    "10.0.0.0/8:-80", "10.0.0.0/8:90-80", "10.0.0.0/8:80:90", "@host:ssh", "@hosts", "@HOST", "10.0.0.0", "10.0.0.0/33",
    "10.0.0.0/-1", "10.0.0/8", "10.0.0.256/32", "2001:db8::/129", "[2001:db8::]/32", "0x0a000000/8",
    "10.0.0.0/255.0.0.0", "any", "*", "10.0.0.0/8,@host", "in out @host", "@host:80-90-100", "10.0.0.0 /8", "x" * 300,
]


def refused(vm, line, code):
    """The error, and the rules as they were."""
    before = vm.ask(GET)["result"]
    answer = vm.say(line)
    assert set(answer) == {"jsonrpc", "id", "error"} and answer["jsonrpc"] == "2.0"
    assert set(answer["error"]) == {"code", "message"} and answer["error"]["code"] == code
    assert vm.ask(GET)["result"] == before
    return answer


@pytest.mark.parametrize("line", PARSE_ERRORS, ids=range(len(PARSE_ERRORS)))
def test_parse_error(vm, line):
    assert refused(vm, line, -32700)["id"] is None


@pytest.mark.parametrize("line", INVALID_REQUESTS, ids=range(len(INVALID_REQUESTS)))
def test_invalid_request(vm, line):
    answer = refused(vm, line, -32600)
    asked = json.loads(line)
    is_good = isinstance(asked, dict) and type(asked.get("id")) is int
    assert answer["id"] == (1 if is_good else None)


@pytest.mark.parametrize("method", UNKNOWN_METHODS)
def test_method_not_found(vm, method):
    assert "softnet.policy.set" in refused(vm, request(method, id="mine"), -32601)["error"]["message"]


@pytest.mark.parametrize("line", INVALID_PARAMS, ids=range(len(INVALID_PARAMS)))
def test_invalid_params(vm, line):
    assert refused(vm, line, -32602)["id"] == 1


@pytest.mark.parametrize("where", ["allow", "block"])
@pytest.mark.parametrize("rule", BAD_RULES)
def test_bad_rule(vm, rule, where):
    """Also behind good ones: all or nothing."""
    other = {"allow": "block", "block": "allow"}[where]
    answer = refused(vm, change(**{where: ["192.168.0.0/16", rule], other: ["@host"]}), -32602)
    assert answer["error"]["message"].startswith(f'{where}: invalid rule "{rule[:64]}"')


@pytest.mark.parametrize("character", ["\u00e9", "\u20ac", "\U0001f600"])
def test_bad_rule_of_wide_characters(vm, character):
    """The sentence shows whole characters, as many as there is room for."""
    for start in "", "x", "xy", "xyz":
        message = refused(vm, change(block=[start + character * 64]), -32602)["error"]["message"]
        shown = message.partition('"')[2].partition('"')[0]
        assert shown == start + character * ((64 - len(start)) // len(character.encode()))


def test_revisions(vm):
    """One revision has one policy: a second is refused, the same again is a success."""
    wanted = {"allow": ["192.168.0.0/16"], "block": ["@host:22"]}
    first = vm.ask(SET, **wanted, desiredRevision="r1")["result"]
    assert first == wanted | {"desiredRevision": "r1", "ruleCount": 2, "bridgeIsolation": True}
    assert vm.ask(SET, **wanted, desiredRevision="r1")["result"] == first
    spelt = {"allow": ["192.168.7.7/16", "192.168.0.0/16"], "block": ["@host:22-22"]}
    assert vm.ask(SET, **spelt, desiredRevision="r1")["result"] == first
    refused(vm, change(desiredRevision="r1"), -32001)
    refused(vm, change(desiredRevision="r1", allow=["0.0.0.0/0"]), -32001)
    assert vm.ask(SET, **wanted, desiredRevision="r2")["result"] == first | {"desiredRevision": "r2"}
    assert vm.ask(SET, allow=[], block=[], desiredRevision="r1")["result"]["ruleCount"] == 0


def test_isolation(vm, softnet):
    """What was chosen at the start, by a rule for everything, stays."""
    refused(vm, change(allow=["0.0.0.0/0"]), -32002)
    refused(vm, change(allow=["7.7.7.7/0"], block=["0.0.0.0/0"]), -32002)
    assert vm.ask(SET, allow=["0.0.0.0/1", "128.0.0.0/1"], block=[], desiredRevision="halves")["result"]["bridgeIsolation"]
    other = softnet("--allow", "0.0.0.0/0")
    assert other.ask(GET)["result"] == {"allow": ["0.0.0.0/0"], "block": [], "desiredRevision": None, "ruleCount": 1,
                                        "bridgeIsolation": False}
    refused(other, change(), -32002)
    assert "result" in other.ask(SET, allow=["0.0.0.0/0"], block=["0.0.0.0/0"], desiredRevision="closed")


def test_normalised(vm):
    """In an order of its own, each once, without host bits."""
    given = ["out 10.9.8.7/8", "@host", "192.168.1.1/16:443", "in 10.0.0.1/32:80-90", "2001:DB8:0::1/32", "@host",
             "192.168.0.0/16:443-443", "in   @host", "198.51.100.255/24"]
    result = vm.ask(SET, allow=given, block=list(reversed(given)), desiredRevision="normal")["result"]
    wanted = {"out 10.0.0.0/8", "@host", "192.168.0.0/16:443", "in 10.0.0.1/32:80-90", "2001:db8::/32", "in @host",
              "198.51.100.0/24"}
    assert set(result["allow"]) == wanted and len(result["allow"]) == len(wanted)
    assert result["block"] == result["allow"]
    again = vm.ask(SET, allow=result["block"], block=result["allow"], desiredRevision="normal")["result"]
    assert again == result == vm.ask(GET)["result"]


def test_longest(vm):
    """1 MiB is a request; one byte more is none, once, however much more follows; the next line is one again."""
    text = request()
    assert "result" in vm.say(text + " " * (LONGEST - len(text)))
    for more in 1, 100, 3 * LONGEST:
        assert refused(vm, text + " " * (LONGEST - len(text) + more), -32700)["id"] is None
    rules = [f"10.{i >> 8}.{i & 255}.0/24" for i in range(4096)]
    assert vm.ask(SET, allow=rules, block=[], desiredRevision="many")["result"]["ruleCount"] == 4096


def test_pieces(vm):
    """A request in pieces, and several in one."""
    vm.ask(SET, allow=["@host"], block=[], desiredRevision="pieces")
    for byte in request(id="slow"):
        vm.control.sendall(byte.encode())
    assert not select.select([vm.control], [], [], 0.05)[0]
    assert vm.say("")["id"] == "slow"
    vm.control.sendall("".join(f"{request(id=i)}\r\n" for i in range(500)).encode())
    assert [vm.heard()["id"] for _ in range(500)] == list(range(500))


def test_deaf(vm):
    """Who asks and does not listen is not read any further; memory is bounded, and no answer is lost."""
    vm.ask(SET, allow=[f"10.0.{i}.0/24" for i in range(256)], block=[], desiredRevision="deaf")
    before = vm.memory()
    lines, asked, rest = 0, request().encode() + b"\n", b""
    # That it takes no more is no event: it has half a second to, while a buffer that is drained takes none.
    while select.select([], [vm.control], [], 0.5)[1]:
        rest = rest or asked * 100
        lines += 100 if len(rest) == 100 * len(asked) else 0
        rest = rest[vm.control.send(rest, socket.MSG_DONTWAIT):]
        assert lines < 1000000
    assert lines > 100 and vm.memory() - before < 8 << 20
    vm.control.setblocking(False)
    heard = 0
    while heard < lines:
        readable, writable, _ = select.select([vm.control], [vm.control] if rest else [], [], 30)
        assert readable or writable, f"{heard} answers of {lines}"
        if writable:
            rest = rest[vm.control.send(rest):]
        if readable:
            heard += vm.control.recv(1 << 20).count(b"\n")
    vm.control.settimeout(30)
    assert heard == lines and vm.ask(GET)["result"]["ruleCount"] == 256
    assert vm.memory() - before < 8 << 20


def test_closing(softnet, lab):
    """The last rules stay; half a line is no request; the network goes on."""
    with servers.TcpEcho(lab.server) as echo:
        vm = softnet()
        vm.lease()
        vm.ask(SET, allow=[f"{topology.SERVER}/32"], block=[], desiredRevision="1")
        vm.control.sendall(change(allow=[], block=[f"{topology.SERVER}/32"]).encode())
        vm.close_control()
        assert vm.tcp(topology.SERVER, echo.port, 2000) == "SA"
        assert vm.tcp("198.51.100.130", echo.port, 2001) == "RA"
    assert vm.end() == (0, "")


def test_last_words(softnet, lab):
    """A whole line before the end is a request, though nobody hears the answer."""
    with servers.TcpEcho(lab.server) as echo:
        vm = softnet()
        vm.lease()
        vm.control.sendall((change(allow=[f"{topology.SERVER}/32"]) + "\n").encode())
        vm.control.shutdown(socket.SHUT_WR)
        assert vm.heard()["result"]["allow"] == [f"{topology.SERVER}/32"]
        assert vm.answers.readline() == b""
        assert vm.tcp(topology.SERVER, echo.port, 2000) == "SA"
    assert vm.end() == (0, "")


def test_last_answers(softnet):
    """Who has asked for much and ends its half gets all of it."""
    vm = softnet()
    vm.ask(SET, allow=[f"10.{i >> 8}.{i & 255}.0/24" for i in range(4096)], block=[], desiredRevision="many")
    vm.control.sendall("".join(f"{request(id=i)}\n" for i in range(30)).encode())
    vm.control.shutdown(socket.SHUT_WR)
    answers = [vm.heard() for _ in range(30)]
    assert [answer["id"] for answer in answers] == list(range(30))
    assert {answer["result"]["ruleCount"] for answer in answers} == {4096}
    assert vm.answers.readline() == b""
    assert vm.end() == (0, "")

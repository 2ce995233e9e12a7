"""tests/softnet_cases.txt: policies, and what they say of addresses. The format is explained in the file."""

import dataclasses
import pathlib

FILE = pathlib.Path(__file__).resolve().parents[2] / "softnet_cases.txt"
# What the gateway is called there.
GATEWAY = "192.168.64.1"


@dataclasses.dataclass
class Question:
    line: str
    direction: str  # in, out, host
    address: str
    port: int  # 0: none
    passes: bool


@dataclasses.dataclass
class Policy:
    name: str
    allow: list = dataclasses.field(default_factory=list)
    block: list = dataclasses.field(default_factory=list)
    rules: int | None = None
    questions: list = dataclasses.field(default_factory=list)

    def isolates(self):
        return "0.0.0.0/0" not in self.allow

    def opens_host(self, port):
        """Whether a rule names the host and opens that port, or all (what is blocked is another matter)."""
        for rule in self.allow:
            direction, _, target = rule.rpartition(" ")
            name, _, ports = target.partition(":")
            first, _, last = ports.partition("-")
            if direction != "in" and name in ("@host", f"{GATEWAY}/32") and \
                    (not ports or int(first) <= port <= int(last or first)):
                return True
        return False

    def named_ports(self):
        """The first port of each rule that has one."""
        targets = [rule.split()[-1].rpartition("/")[2] for rule in self.allow + self.block]
        return {int(target.partition(":")[2].split("-")[0]) for target in targets if ":" in target}


def _host_question(line):
    _, port, follows = line.split()
    return Question(line, "host", GATEWAY, 0 if port == "any" else int(port), follows == "pass")


def _question(line):
    direction, remote, verdict, *follows = line.split()
    address, port = remote, 0
    if remote.count(":") == 1:
        address, port = remote.split(":")
    passes = follows[0] == "pass" if follows else verdict == "allow"
    return Question(line, direction, address, int(port), passes)


def read():
    policies = []
    for line in FILE.read_text(encoding="utf-8").splitlines():
        word, _, rest = line.partition(" ")
        if not line or line.startswith("#"):
            continue
        if word == "policy":
            policies.append(Policy(rest))
        elif word in ("allow", "block"):
            getattr(policies[-1], word).append(rest)
        elif word == "rules":
            policies[-1].rules = int(rest)
        elif word == "host":
            policies[-1].questions.append(_host_question(line))
        elif word != "stateful":
            policies[-1].questions.append(_question(line))
    return policies

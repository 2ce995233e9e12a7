"""Tartlet: `tartlet netns` joins the guest namespace by a TAP."""

import os
import pathlib
import subprocess

import rules
import topology
from engines import engine


class Ours(engine.Engine):
    def __init__(self, name, build, back_end=None, rule_count=0):
        self.name = name
        self.title = "tartlet netns" + (f", TCP back end {back_end}" if back_end else "") + \
            (f", {rule_count} rules" if rule_count else "")
        self.program = pathlib.Path(build, "src/cli/tartlet")
        self.back_end = back_end
        self.rule_count = rule_count

    def missing(self):
        if not self.program.exists():
            return f"{self.program} is not built"
        done = subprocess.run([self.program, "netns", "--help"], check=False, stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL, text=True)
        if done.returncode != 0 or "--netns" not in done.stdout:
            return "this tartlet has no command netns"
        return None

    def version(self):
        return subprocess.run([self.program, "--version"], check=False, text=True,
                              stdout=subprocess.PIPE).stdout.strip()

    def start(self, place, mtu, forwards=()):
        home = place.home()
        environment = os.environ | {"TARTLET_HOME": str(home), "XDG_RUNTIME_DIR": str(home),
                                    "HOME": str(home)}
        argv = [self.program, "netns", "--netns", place.guest.path, "--mtu", mtu,
                "--net-vmnet-subnet", f"10.9.{place.index}.0/30"]
        if self.back_end:
            argv += ["--net-tcp-backlog", self.back_end]
        if self.rule_count:
            allow, block = rules.mix(topology.SERVER, self.rule_count)
            argv += ["--net-vmnet-allow", ",".join(allow), "--net-vmnet-block", ",".join(block)]
        if forwards:
            argv += ["--net-vmnet-expose",
                     ",".join(f"{port + topology.FORWARD_PLUS}:{port}" for port in forwards)]
        return engine.Running(place.start(place.host, *argv, env=environment))

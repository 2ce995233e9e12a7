"""A real guest under QEMU, with its network from QEMU itself, from Tartlet or from passt.

All of them boot the guest of tools/guest/build-guest with one virtual processor on the same QEMU: 10.0 where
tools/qemu10 makes one, because vhost-user needs it here, else the machine's. KVM is not used: what is
compared is the network, and few machines that run this could.
"""

import contextlib
import functools
import os
import pathlib
import re
import shutil
import subprocess
import time

import process
import topology
from engines import agent, engine
from engines.pasta import passt_version

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
PROGRAM = "qemu-system-x86_64"
MEMORY_MB = 256
BOOT_SECONDS = 60
CMDLINE = "console=ttyS0 quiet"
MAC = "02:62:65:6e:63:10"
# what the guest's own servers listen on: control, iperf3, echo
TCP_PORTS = (agent.PORT, 5201, agent.ECHO_PORT)
UDP_PORTS = (agent.ECHO_PORT,)


class Hypervisor:
    """Where QEMU and the guest's files are; looked for once."""

    @functools.cached_property
    def folder(self):
        """Of QEMU 10, None where the machine's own must do."""
        script = ROOT / "tools/qemu10"
        if not script.exists():
            return None
        done = subprocess.run([script], check=False, text=True, stdout=subprocess.PIPE)
        return done.stdout.strip() or None if done.returncode == 0 else None

    @property
    def program(self):
        return f"{self.folder}/{PROGRAM}" if self.folder else PROGRAM

    @functools.cached_property
    def environment(self):
        path = os.environ.get("PATH", "")
        return os.environ | {"PATH": f"{self.folder}:{path}" if self.folder else path}

    @functools.cached_property
    def version(self):
        text = subprocess.run([self.program, "--version"], check=False, text=True,
                              stdout=subprocess.PIPE).stdout
        found = re.search(r"version (\S+)", text)
        return found.group(1) if found else "unknown"

    @functools.cached_property
    def cpu(self):
        """As `tartlet run` has it (src/vm/cpu_model.c), so that all guests copy memory equally fast."""
        late = tuple(map(int, re.findall(r"\d+", self.version)[:2])) >= (8, 1)
        return "max,erms=off,fsrm=off" + (",fzrm=off,fsrs=off,fsrc=off" if late else "")

    @functools.cached_property
    def guest(self):
        """kernel, vmlinux and initrd, by name."""
        done = subprocess.run([ROOT / "tools/guest/build-guest"], check=False, text=True,
                              stdout=subprocess.PIPE)
        if done.returncode != 0:
            raise process.Failure("tools/guest/build-guest could not make the guest")
        return dict(line.split("=", 1) for line in done.stdout.splitlines())

    def missing(self, ten=False):
        if not self.folder and not shutil.which(PROGRAM):
            return f"{PROGRAM} is not installed (apt-get install qemu-system-x86)"
        if ten and not self.folder:
            return "vhost-user needs QEMU 10 here, which tools/qemu10 does not give"
        return None


HYPERVISOR = Hypervisor()


class Vm(engine.Engine):
    kind = "vm"
    ten = False  # needs QEMU 10

    def missing(self):
        return HYPERVISOR.missing(self.ten)

    def version(self):
        return f"under QEMU {HYPERVISOR.version}"

    def boot(self, place, netdev, device="", memory=()):
        """QEMU with a network device."""
        return place.start(
            place.host, HYPERVISOR.program, "-nodefaults", "-no-user-config", "-machine", "q35", "-accel", "tcg",
            "-cpu", HYPERVISOR.cpu, "-smp", "1", "-m", f"{MEMORY_MB}M", "-display", "none", *memory,
            "-kernel", HYPERVISOR.guest["vmlinux"], "-initrd", HYPERVISOR.guest["initrd"],
            "-append", CMDLINE, *netdev, "-device", f"virtio-net-pci,netdev=net0,mac={MAC},romfile={device}")


class RunningVm(engine.Running):
    """`main` is the engine, or QEMU itself where that is the engine."""

    def __init__(self, place, main, hypervisor=None):
        super().__init__(main)
        self.agent = agent.Agent(place)
        self.hypervisor = hypervisor

    def pids(self):
        """Of the engine beside QEMU; none where it is QEMU."""
        return [pid for pid in super().pids() if PROGRAM not in process.program_name(pid)]

    def all_pids(self):
        return super().pids() + (process.tree(self.hypervisor.pid) if self.hypervisor else [])

    def check(self):
        super().check()
        if self.hypervisor and not self.hypervisor.running():
            raise self.hypervisor.failure(f"ended with {self.hypervisor.child.returncode}")

    def stop(self):
        if self.hypervisor:
            self.hypervisor.release()
        super().stop()


class QemuUser(Vm):
    name = "qemu-user"
    title = "QEMU guest, QEMU's user networking"
    mtu_max = 1500

    def start(self, place, mtu, forwards=()):
        rules = [f"hostfwd=tcp::{port + topology.FORWARD_PLUS}-:{port}" for port in TCP_PORTS]
        rules += [f"hostfwd=udp::{port + topology.FORWARD_PLUS}-:{port}" for port in UDP_PORTS]
        return RunningVm(place, self.boot(place, ["-netdev", "user,id=net0," + ",".join(rules)]))


class QemuPasst(Vm):
    def __init__(self, vhost_user, program):
        self.vhost_user = vhost_user
        self.ten = vhost_user
        self.program = program
        way = "vhost-user" if vhost_user else "stream"
        self.name = f"qemu-passt-{way}"
        self.title = f"QEMU guest, passt by {way}"

    def missing(self):
        why = super().missing() or engine.program(self.program, "passt")
        if why or not self.vhost_user:
            return why
        done = subprocess.run([self.program, "--help"], check=False, text=True, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if "vhost-user" not in done.stdout:
            return "this passt has no vhost-user (name a newer one by PASST=; bench/newer-peers makes one)"
        return None

    def version(self):
        return f"{passt_version(self.program)} {super().version()}"

    def start(self, place, mtu, forwards=()):
        path = place.scratch() / "socket"
        tcp, udp = (",".join(f"{port + topology.FORWARD_PLUS}:{port}" for port in ports)
                    for ports in (TCP_PORTS, UDP_PORTS))
        main = place.start(
            place.host, self.program, "--foreground", "--quiet", "--runas", "0", "--socket", path, "--mtu", mtu,
            "--ipv4-only", "--address", "10.9.0.2", "--netmask", "24", "--gateway", "10.9.0.1", "--no-map-gw",
            "--tcp-ports", tcp, "--udp-ports", udp, *(["--vhost-user"] if self.vhost_user else []))
        engine.wait_path(main, path)
        if not self.vhost_user:
            netdev = ["-netdev", f"stream,id=net0,server=off,addr.type=unix,addr.path={path}"]
            return RunningVm(place, main, self.boot(place, netdev))
        netdev = ["-chardev", f"socket,id=char0,path={path}", "-netdev", "vhost-user,id=net0,chardev=char0"]
        memory = ["-object", f"memory-backend-memfd,id=mem0,size={MEMORY_MB}M,share=on",
                  "-numa", "node,memdev=mem0"]
        return RunningVm(place, main, self.boot(place, netdev, ",rx_queue_size=1024,tx_queue_size=1024",
                                                memory))


class QemuOurs(Vm):
    def __init__(self, attach, build):
        self.attach = attach
        self.ten = attach == "vhost-user"
        self.program = pathlib.Path(build, "src/cli/tartlet")
        self.name = f"qemu-ours-{attach}"
        self.title = f"QEMU guest, tartlet run by {attach}"

    @functools.cached_property
    def options(self):
        """What `tartlet run` knows, by its help."""
        done = subprocess.run([self.program, "run", "--help"], check=False, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        return done.stdout

    @property
    def mtu_max(self):
        return 65520 if "--mtu" in self.options else 1500

    def missing(self):
        why = super().missing()
        if why:
            return why
        if not self.program.exists():
            return f"{self.program} is not built"
        if self.attach == "vhost-user" and "--net-attach" not in self.options:
            return "this tartlet has no vhost-user"
        return None

    def start(self, place, mtu, forwards=()):
        home = place.home()
        environment = HYPERVISOR.environment | {"TARTLET_HOME": str(home), "XDG_RUNTIME_DIR": str(home),
                                                "HOME": str(home)}
        command = [self.program, "create", "guest", "--kernel", HYPERVISOR.guest["vmlinux"],
                   "--initrd", HYPERVISOR.guest["initrd"], "--memory", MEMORY_MB, "--cpu", 1,
                   "--cmdline", CMDLINE]
        process.Process(place.host.argv(*command), env=environment).finish(30)
        expose = [f"{port + topology.FORWARD_PLUS}:{port}" for port in TCP_PORTS]
        expose += [f"{port + topology.FORWARD_PLUS}:{port}/udp" for port in UDP_PORTS]
        options = ["--accel", "tcg", "--net-vmnet-expose", ",".join(expose)]
        if "--net-attach" in self.options:
            options += ["--net-attach", self.attach]
        if mtu != 1500:
            options += ["--mtu", mtu]
        return RunningVm(place, place.start(place.host, self.program, "run", "guest", *options,
                                            env=environment))


@contextlib.contextmanager
def run(vm, place, mtu):
    """The guest, until the block ends; its control service has answered."""
    HYPERVISOR.guest  # made before the clock starts
    started = time.monotonic()
    running = vm.start(place, mtu)
    try:
        running.agent.first_byte(running.check, BOOT_SECONDS)
        running.ready_ms = (time.monotonic() - started) * 1000
        if mtu != 1500:
            running.agent.ask(f"ip link set eth0 mtu {mtu}")
        yield running
        running.check()
    finally:
        running.stop()

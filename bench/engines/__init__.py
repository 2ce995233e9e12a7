"""What is measured. Each engine gives the guest namespace of a topology its network."""

from engines.gvproxy import Gvproxy
from engines.kernel import Kernel
from engines.ours import Ours
from engines.pasta import Pasta
from engines.qemu import QemuOurs, QemuPasst, QemuUser
from engines.slirp4netns import Slirp4netns
from engines.virtio import OursVirtio
from rules import COUNT


def known(build, environment):
    """All engines by name, in the order of the reports."""
    engines = [
        Kernel(),
        Ours("ours", build),
        Ours("ours-kept", build, back_end="kept"),
        Ours("ours-peek", build, back_end="peek"),
        OursVirtio(build),
        Ours("ours-rules", build, rule_count=COUNT),
        Pasta("pasta", "pasta"),
    ]
    if environment.get("PASTA"):
        engines.append(Pasta("pasta-new", environment["PASTA"]))
    engines += [
        Slirp4netns(),
        Gvproxy(environment.get("GVPROXY", "gvproxy")),
        QemuUser(),
        QemuOurs("stream", build),
        QemuOurs("vhost-user", build),
        # Debian 12's by the stream socket: the one of Debian 13 dies there (segmentation fault).
        QemuPasst(False, "passt"),
        QemuPasst(True, environment.get("PASST", "passt")),
    ]
    return {engine.name: engine for engine in engines}


# Not part of --quick unless named: the variants of ours are for a closer look.
NOT_QUICK = ["ours-kept", "ours-peek", "ours-rules", "ours-vhost-user"]

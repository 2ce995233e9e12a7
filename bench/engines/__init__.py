"""What is measured. Each engine gives the guest namespace of a topology its network."""

from engines.gvproxy import Gvproxy
from engines.kernel import Kernel
from engines.ours import Ours
from engines.pasta import Pasta
from engines.slirp4netns import Slirp4netns


def known(build, environment):
    """All engines by name, in the order of the reports."""
    engines = [
        Kernel(),
        Ours("ours", build),
        Ours("ours-kept", build, back_end="kept"),
        Ours("ours-peek", build, back_end="peek"),
        Pasta("pasta", "pasta"),
    ]
    if environment.get("PASTA"):
        engines.append(Pasta("pasta-new", environment["PASTA"]))
    engines += [Slirp4netns(), Gvproxy(environment.get("GVPROXY", "gvproxy"))]
    return {engine.name: engine for engine in engines}


# What is measured when nobody says otherwise: the two variants of ours are for a closer look.
DEFAULT = ["kernel", "ours", "pasta", "pasta-new", "slirp4netns", "gvproxy"]

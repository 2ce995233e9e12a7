"""What is to be seen of a `tartlet run` when a test failed: CI shows nothing but what pytest prints."""

import contextlib
import os
import pathlib
import stat
import time

TICKS = os.sysconf("SC_CLK_TCK")
LINES = 40


def read(path):
    """Nothing for a file that is not there, is none, or is going."""
    with contextlib.suppress(OSError):
        if path is not None and stat.S_ISREG(os.stat(path).st_mode):
            return pathlib.Path(path).read_bytes()
    return b""


def tail(data, lines=LINES):
    """The last lines, without what would steer a terminal."""
    text = data.decode(errors="replace").replace("\r", "")
    kept = ["".join(letter if letter.isprintable() or letter == "\t" else "?" for letter in line)
            for line in text.splitlines()]
    left_out = [f"[{len(kept) - lines} lines before]"] if len(kept) > lines else []
    return "\n".join(left_out + kept[-lines:]) or "(nothing)"


def cpu_seconds(pid):
    """What a process has used so far, its threads together; proc(5)."""
    words = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / TICKS


def _threads(pid):
    states = []
    for task in sorted(pathlib.Path(f"/proc/{pid}/task").iterdir(), key=lambda path: int(path.name)):
        name, _, rest = (task / "stat").read_text().partition(" (")[2].rpartition(") ")
        words = rest.split()
        states.append(f"{name} {words[0]} {(int(words[11]) + int(words[12])) / TICKS:.2f} s")
    return ", ".join(states)


def processes(pids):
    """One line for each: who, the CPU seconds so far, the state of each thread."""
    lines = []
    for pid in pids:
        try:
            program = os.path.basename(os.readlink(f"/proc/{pid}/exe"))
            lines.append(f"{pid} {program}: {cpu_seconds(pid):.2f} s of CPU; {_threads(pid)}")
        except OSError:
            lines.append(f"{pid}: gone")
    return "\n".join(lines) or "(none)"


def listing(directory):
    lines = []
    with contextlib.suppress(OSError):
        for path in sorted(directory.iterdir()):
            status = path.lstat()
            lines.append(f"{stat.filemode(status.st_mode)} {status.st_size:>12} "
                         f"{time.time() - status.st_mtime:9.1f} s old  {path.name}")
    return "\n".join(lines) or "(nothing, or no such directory)"


def machine():
    """How busy it is; /proc/pressure is not on every machine."""
    found = [f"load {os.getloadavg()}, {os.cpu_count()} processors"]
    for path, prefix in (("/proc/meminfo", "MemAvailable"), ("/proc/pressure/cpu", "some"),
                         ("/proc/pressure/io", "full"), ("/proc/pressure/memory", "full")):
        with contextlib.suppress(OSError):
            found += [f"{path}: {line}" for line in pathlib.Path(path).read_text().splitlines()
                      if line.startswith(prefix)]
    return "\n".join(found)


def chapters(*titles_and_texts):
    return "\n".join(f"--- {title}\n{text}" for title, text in titles_and_texts)

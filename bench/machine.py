"""What the figures were measured on."""

import os
import pathlib
import platform
import re
import subprocess
import time


def _first(path, pattern):
    found = re.search(pattern, pathlib.Path(path).read_text(encoding="utf-8", errors="replace"), re.MULTILINE)
    return found.group(1).strip() if found else "unknown"


def commit(root):
    done = subprocess.run(["git", "-C", root, "describe", "--always", "--dirty"], check=False, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    return done.stdout.strip() or "unknown"


def facts(root):
    return {
        "date": time.strftime("%Y-%m-%d %H:%M"),
        "commit": commit(root),
        "kernel": platform.release(),
        "processors": len(os.sched_getaffinity(0)),
        "processor": _first("/proc/cpuinfo", r"^(?:model name|CPU part)\s*:\s*(.*)$"),
        "memory_mb": int(_first("/proc/meminfo", r"^MemTotal:\s+(\d+)")) // 1000,
        "load_at_start": round(os.getloadavg()[0], 2),
        "iperf3": subprocess.run(["iperf3", "--version"], check=False, text=True,
                                 stdout=subprocess.PIPE).stdout.split("\n")[0],
    }

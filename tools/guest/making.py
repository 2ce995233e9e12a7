"""What build-guest and build-debian-disk have in common: a cache of what was made, each in a directory
named after a hash of all its inputs, and one builder at a time."""

import contextlib
import fcntl
import hashlib
import os
import pathlib
import shutil
import signal
import stat
import subprocess
import sys
import time

KEEP_DAYS = 14
UNFINISHED = "building-"

HERE = pathlib.Path(__file__).resolve().parent
PROGRAM = pathlib.Path(sys.argv[0]).name


class Failure(Exception):
    """What a person reads when something cannot be made."""


def say(text):
    print(f"{PROGRAM}: {text}", file=sys.stderr, flush=True)


def run(argv, **options):
    try:
        return subprocess.run(argv, check=True, text=True, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, **options).stdout
    except FileNotFoundError as error:
        raise Failure(f"{argv[0]} is missing: run tools/install-packages") from error
    except subprocess.CalledProcessError as error:
        raise Failure(f"{' '.join(map(str, argv))} failed:\n{error.stderr.strip()}") from error


def end_on_sigterm():
    """As Ctrl-C does: what is half made is removed."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))


def files_below(directory):
    return sorted(path for path in directory.rglob("*") if path.is_file())


def hash_files(digest, paths):
    """Names, modes and contents of files that stand below this directory."""
    for path in paths:
        digest.update(f"{path.relative_to(HERE)} {stat.S_IMODE(path.stat().st_mode):o}\0".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())


def cache_directory(name):
    home = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    cache = pathlib.Path(home) / "tartlet" / name
    cache.mkdir(parents=True, exist_ok=True)
    return cache


@contextlib.contextmanager
def only_builder(cache):
    """Whoever comes second waits, and then finds what the first has made. What killed builders left
    is removed: none is alive."""
    with open(cache / "lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for path in cache.glob(f"{UNFINISHED}*"):
            shutil.rmtree(path, ignore_errors=True)
        yield


def prune(cache, keep):
    """Removes what nobody asked for in a while."""
    os.utime(keep)
    limit = time.time() - KEEP_DAYS * 86400
    for path in cache.iterdir():
        old = path != keep and path.name != "packages" and path.is_dir() \
            and not path.name.startswith(UNFINISHED) and path.stat().st_mtime < limit
        if old:
            shutil.rmtree(path, ignore_errors=True)

#!/usr/bin/python3
"""A program in QEMU's place, for what tartlet does around it: it answers --version, speaks as much QMP
as a start needs, and ends in the way that $FAKE_QEMU says.

    run         until a signal comes (the default)
    stubborn    the same, but SIGTERM does not end it
    poweroff    as when the guest turns itself off
    signalled   as when somebody else sends it SIGTERM
    quit        as when somebody types Ctrl-A X on its console
    fail        writes two lines to its standard error and exits with 1 before the guest is started
    crash       kills itself by SIGABRT once the guest is started
    babble      sends nonsense to its network once the guest is started: by a stream a frame length of 4 GB,
                by vhost-user a message that there is not
    old         says that it is 6.2
    no window   says that it has no windows
    slow        says nothing of its version; writes a byte into the FIFO $FAKE_QEMU_ASKED when it is asked
"""

import json
import os
import pathlib
import signal
import socket
import sys


def fd_of(beginning):
    """The descriptor that an argument ends with."""
    for argument in sys.argv:
        if argument.startswith(beginning):
            return int(argument.rpartition("=")[2])
    sys.exit(f"no argument {beginning}")


def babble():
    path = next((argument.rpartition("=")[2] for argument in sys.argv
                 if argument.startswith("socket,id=net0-control,path=")), None)
    if path is None:
        os.write(fd_of("stream,id=net0,"), b"\xff" * 4)
        return
    control = socket.socket(socket.AF_UNIX)
    control.connect(path)
    control.sendall((99).to_bytes(4, sys.byteorder) + (1).to_bytes(4, sys.byteorder) + bytes(4))
    control.recv(1)  # until it is closed


def main():
    how = os.environ.get("FAKE_QEMU", "run")
    if "--version" in sys.argv:
        if how == "slow":
            pathlib.Path(os.environ["FAKE_QEMU_ASKED"]).write_text("x", encoding="ascii")
            signal.alarm(60)  # who asked may be killed
            signal.pause()
        print(f"QEMU emulator version {'6.2.0' if how == 'old' else '7.2.22'} (fake)")
        return 0
    if sys.argv[1:] == ["-display", "help"]:
        print("Available display backend types:\nnone" + ("" if how == "no window" else "\ngtk"))
        return 0
    if how == "fail":
        print("qemu: first line", "qemu: the disk is on fire", sep="\n", file=sys.stderr)
        return 1
    if how == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    monitor = socket.socket(fileno=fd_of("socket,id=qmp0,fd="))
    stream = monitor.makefile("rw")

    def say(message):
        stream.write(json.dumps(message) + "\r\n")
        stream.flush()

    say({"QMP": {"version": {}, "capabilities": []}})
    asked = json.loads(stream.readline())
    assert asked["execute"] == "qmp_capabilities"
    say({"return": {}, "id": asked["id"]})
    if how == "poweroff":
        say({"event": "SHUTDOWN", "data": {"guest": True, "reason": "guest-shutdown"}})
        return 0
    if how == "signalled":
        say({"event": "SHUTDOWN", "data": {"guest": False, "reason": "host-signal"}})
        return 0
    if how == "quit":
        say({"event": "SHUTDOWN", "data": {"guest": False, "reason": "host-qmp-quit"}})
        return 0
    if how == "crash":
        os.abort()
    if how == "babble":
        babble()
    while line := stream.readline():
        command = json.loads(line)
        if command["execute"] == "system_powerdown":
            say({"event": "SHUTDOWN", "data": {"guest": True, "reason": "guest-shutdown"}})
            return 0
        if command["execute"] == "set_password":
            say({"error": {"class": "GenericError", "desc": "no VNC here"}, "id": command["id"]})
    return 0


sys.exit(main())

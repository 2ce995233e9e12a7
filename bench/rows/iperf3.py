"""Bulk TCP by iperf3, as one measurement with what it cost the engine."""

import json
import math

import figures
import process
import topology


def words(address, port, seconds, flows=1, down=False):
    """The command; it takes whole seconds, and 0 for as long as it lives."""
    return ["iperf3", "--json", "-c", address, "-p", port, "-t", math.ceil(seconds), "-P", flows,
            "--connect-timeout", 3000, *(["-R"] if down else [])]


def bulk(namespace, address, port, seconds, flows=1, down=False, pids=()):
    """Gbit/s that arrived, the fairness among flows, and seconds of processor time per 10^9 bytes of
    the processes given."""
    before = process.cpu_seconds(pids)
    client = process.Process(namespace.argv(*words(address, port, seconds, flows, down)))
    try:
        text = client.finish(seconds + 8)
    except process.Failure:
        raise process.Failure(_reason(client) or f"iperf3 did not end within {seconds + 8:g} s") from None
    finally:
        client.release()
    cost = process.cpu_seconds(pids) - before
    return read(text, cost)


def _reason(client):
    try:
        return f"iperf3: {json.loads(client.printed())['error']}"
    except (ValueError, KeyError):
        return None


def read(text, cost=0.0):
    end = json.loads(text)["end"]
    if "sum_received" not in end:
        raise process.Failure("iperf3 did not say what was received")
    size = end["sum_received"]["bytes"]
    return {
        "bytes": size,
        "gbit": end["sum_received"]["bits_per_second"] / 1e9,
        "fairness": figures.fairness([stream["receiver"]["bits_per_second"] for stream in end["streams"]]),
        "cpu": cost / (size / 1e9) if size > 10e6 else None,
    }


class Load:
    """A bulk flow in the background while something else is measured."""

    def __init__(self, namespace, seconds, down):
        self.client = process.Process(namespace.argv(
            *words(topology.SERVER, topology.PORTS["iperf3"], seconds, down=down)))
        self.seconds = seconds

    def end(self):
        """Waits for its end; Gbit/s, None where it failed."""
        try:
            return read(self.client.finish(self.seconds + 8))["gbit"]
        except process.Failure:
            return None
        finally:
            self.client.release()

"""Client against client: one connection, back to back, in alternating order."""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
from pathlib import Path

from field import Field
from gateways import PEERS, ROOT

REPETITIONS = 5
SECONDS = 1.5
HERE = Path(__file__).parent
PIPELINED = "ours, 8 at a time"
# Where client and server run decides more than who the client is. On one core there is always work, and what is
# measured is work. On two, every answer first wakes a sleeping core, for everybody alike.
PLACES = {"one core": (0, 0), "two cores": (0, 1)}


def clients(field: Field) -> dict[str, list[str]]:
    """Who takes part, and how each is started."""
    host, port = field.host, str(field.port)
    return {
        "ours": [str(ROOT / "target/release/examples/back_to_back"), f"{host}:{port}"],
        PIPELINED: [str(ROOT / "target/release/examples/back_to_back"), f"{host}:{port}"],
        "libmodbus": [str(PEERS / "libmodbus"), host, port],
        "pymodbus asyncio": [str(PEERS / "pymodbus/bin/python"), str(HERE / "asyncio_client.py"), host, port],
    }


def once(command: list[str], core: int, more: list[str]) -> tuple[float, float]:
    """Readings a second, and processor seconds that the client took in all."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    pinned = ["taskset", "-c", str(core), *command, str(SECONDS), *more]
    done = subprocess.run(pinned, capture_output=True, text=True, check=True, timeout=60)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return float(done.stdout), after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def compare(field: Field, say) -> dict:
    """By place and client: the median rate, and the median of processor microseconds for a reading."""
    present = {name: command for name, command in clients(field).items() if Path(command[0]).exists()}
    for name in clients(field).keys() - present.keys():
        say(f"{name} is left out, not installed")
    figures: dict = {}
    for place, (server, client) in PLACES.items():
        if client >= (os.cpu_count() or 1):
            continue
        subprocess.run(["taskset", "-a", "-cp", str(server), str(field.process.pid)], capture_output=True, check=True)
        seen: dict[str, list[tuple[float, float]]] = {name: [] for name in present}
        for turn in range(REPETITIONS):
            order = list(present)
            for name in order[turn % len(order) :] + order[: turn % len(order)]:
                field.order("reset")
                rate, cpu = once(present[name], client, ["8"] if name == PIPELINED else [])
                seen[name].append((rate, 1e6 * cpu / field.order("count")))
        figures[place] = {
            name: {"rate": statistics.median(r for r, _ in runs), "cpu": statistics.median(c for _, c in runs)}
            for name, runs in seen.items()
        }
    every = ",".join(str(core) for core in sorted(os.sched_getaffinity(0)))
    subprocess.run(["taskset", "-a", "-cp", every, str(field.process.pid)], capture_output=True, check=True)
    return figures


def rows(figures: dict) -> tuple[list[str], list[list[str]]]:
    """The table."""
    head = ["client and server on", "client", "readings/s", "ours / it", "8 at a time / it", "its CPU µs a reading"]
    body = []
    for place, seen in figures.items():
        for name, one in seen.items():
            ratios = [f"{seen[ours]['rate'] / one['rate']:.2f}" for ours in ("ours", PIPELINED)]
            body.append([place, name, f"{one['rate']:.0f}", *ratios, f"{one['cpu']:.1f}"])
    return head, body

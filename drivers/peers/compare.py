"""Our acquisition beside other gateways', in one run on one machine: `make peers`.

compare.py [--only NAME…] [--skip PART…] [--json FILE], where a part is meters, loopback or crowd.

Every gateway meets the same process that plays the meters, one after the other and nothing else beside it. All times
are taken there, from what went over the wire.
"""

from __future__ import annotations

import argparse
import datetime
import getpass
import json
import os
import platform
import resource
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

import crowd
import loopback
from field import UNITS, Field
from gateways import BROKER, GATEWAYS, ROOT, Gateway
from process import Child, free_port

SILENT = {0: [], 1: [7], 5: [7, 14, 21, 28, 35]}
PACE = 60


def say(text: str) -> None:
    print(text, flush=True)


def load() -> str:
    return " ".join(f"{n:.1f}" for n in os.getloadavg())


def table(head: list[str], rows: list[list[str]]) -> None:
    """Columns as wide as they must be, in the form of the README's tables."""
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    for row in [head, ["-" * width for width in widths], *rows]:
        say("| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths)) + " |")
    say("")


def settle(child: Child, field: Field, silent: list[int], seconds: float) -> None:
    """Until every live unit was read once, or for 10 s; then for so long again, so that what is learned is learned."""
    field.order("reset")
    field.wait(10, lambda report: report.never(silent) == 0 or not child.alive)
    time.sleep(seconds)
    if not child.alive:
        raise RuntimeError(f"ended by itself: {child.tail()}")
    field.order("reset")


def all_twice(silent: list[int]):
    """Whether every live unit that is read at all was read twice."""
    return lambda report: all(len(unit.complete) > 1 for unit in report.live(silent) if unit.worth)


def measure(gateway: Gateway, field: Field, folder: Path, broker: int) -> dict:
    """All rows of one gateway, started anew for each."""
    figures: dict = {"name": gateway.name, "load": load()}
    for count, silent in SILENT.items():
        home = folder / f"silent-{count}"
        home.mkdir(parents=True)
        field.order("silent", *silent)
        with gateway.start(home, field, broker) as child:
            settle(child, field, silent, 7)
            cpu, began = child.cpu(), time.monotonic()
            # With silent units it is told apart only after a while whether a gateway recovers or gets worse.
            time.sleep(10 if count == 0 else 25)
            report = field.wait(30, all_twice(silent))
            if count == 0:
                figures["questions"] = report.questions / max(report.worth, 1)
                figures["cpu"] = 100 * (child.cpu() - cpu) / (time.monotonic() - began)
                figures["resident"] = child.resident()
            figures[f"refresh-{count}"] = report.refresh(silent)
            figures[f"longest-{count}"] = max(unit.longest for unit in report.live(silent))
            figures[f"never-{count}"] = report.never(silent)
    field.order("silent")
    field.order("pace", PACE)
    home = folder / "slow"
    home.mkdir()
    with gateway.start(home, field, broker) as child:
        settle(child, field, list(range(2, UNITS + 1)), 4)
        time.sleep(20)
        report = field.report()
        figures["round"] = UNITS * report.seconds / max(report.worth, 1)
    field.order("pace", 0)
    return figures


def meters(field: Field, folder: Path, only: list[str]) -> list[dict]:
    """Every gateway in turn; says what could not be measured."""
    rows = []
    port = free_port()
    home = folder / "broker"
    home.mkdir()
    # With a change of user it would lose the order to end with us.
    config = f"listener {port} 127.0.0.1\nallow_anonymous true\nuser {getpass.getuser()}\n"
    (home / "mosquitto.conf").write_text(config)
    with Child([BROKER, "-c", "mosquitto.conf"] if BROKER.exists() else ["sleep", "infinity"], home):
        for gateway in GATEWAYS:
            if only and not any(name in gateway.name for name in only):
                continue
            if gateway.missing:
                say(f"{gateway.name} is left out, {gateway.missing}")
                continue
            try:
                rows.append(measure(gateway, field, folder / gateway.name.replace(" ", "-"), port))
                brief = {key: round(value, 2) for key, value in rows[-1].items() if isinstance(value, float)}
                say(f"{gateway.name}: {brief}")
            except (RuntimeError, OSError) as problem:
                say(f"{gateway.name} is left out: {problem}")
                field.order("silent")
                field.order("pace", 0)
    return rows


def refresh(row: dict, count: int) -> str:
    """What a live meter's refresh was, how long one was left unread at most, and how many were never read."""
    value, never = row[f"refresh-{count}"], row[f"never-{count}"]
    text = f"{value:.2f} s" if value != float("inf") else "never"
    return f"{text} ({never} live ones never)" if never else f"{text} ({row[f'longest-{count}']:.1f})"


def times(value: float, ours: float) -> str:
    return f"{value / ours:.1f}"


def show(rows: list[dict]) -> None:
    say("\n50 meters of ten floats on one port, wanted every second; refresh of a live meter as seen on the wire")
    say("(in brackets the longest time in the window that a live meter went without a complete reading)")
    head = ["gateway", "questions per reading", "refresh", "1 silent", "5 silent"]
    head += [f"round at {PACE} ms", "RSS MiB", "CPU %", "load before"]
    body = []
    for row in rows:
        line = [row["name"], f"{row['questions']:.2f}", *(refresh(row, n) for n in SILENT)]
        line += [f"{row['round']:.2f} s", f"{row['resident']:.1f}", f"{row['cpu']:.1f}", row["load"]]
        body.append(line)
    table(head, body)
    base = next((row for row in rows if row["name"] == "ours"), None)
    if base and len(rows) > 1:
        say("the same, as multiples of ours")
        keys = ["questions", "refresh-0", "refresh-1", "refresh-5", "round", "resident", "cpu"]
        head = ["gateway", "questions", "refresh", "1 silent", "5 silent", "round", "RSS", "CPU"]
        table(head, [[r["name"], *(times(r[key], base[key]) for key in keys)] for r in rows if r is not base])


def main() -> None:
    parser = argparse.ArgumentParser(description="Our Modbus acquisition beside other gateways'.")
    parser.add_argument("--only", nargs="*", default=[], help="gateways whose names have one of these in them")
    parser.add_argument("--skip", nargs="*", default=[], choices=["meters", "loopback", "crowd"])
    parser.add_argument("--json", type=Path, help="also writes every figure there")
    options = parser.parse_args()
    # A thousand devices are a thousand sockets on either side.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, 20_000), most))
    # So that whoever stops us stops all.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    began = time.monotonic()
    figures: dict = {"date": f"{datetime.date.today()}", "cores": os.cpu_count(), "machine": platform.machine()}
    say(f"{figures['date']}, {figures['cores']} cores, {figures['machine']}, load {load()}")
    folder = Path(tempfile.mkdtemp(prefix="peers-", dir=ROOT / "target/peers"))
    field = Field(ROOT / "target/release/examples/field")
    try:
        if "meters" not in options.skip:
            figures["meters"] = meters(field, folder, options.only)
            show(figures["meters"])
        if "loopback" not in options.skip:
            say(f"one connection, one question for 20 registers after the other; load {load()}")
            figures["loopback"] = loopback.compare(field, say)
            table(*loopback.rows(figures["loopback"]))
        if "crowd" not in options.skip:
            say(f"a crowd; load {load()}")
            figures["crowd"] = crowd.measure(field, folder)
            table(*crowd.rows(figures["crowd"]))
        say(f"took {(time.monotonic() - began) / 60:.1f} min; load {load()}")
    finally:
        field.close()
        shutil.rmtree(folder, ignore_errors=True)
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main())

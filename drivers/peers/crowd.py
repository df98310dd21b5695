"""Ours alone: a thousand Modbus TCP devices, each on an address of its own, and a full serial line, in one gateway."""

from __future__ import annotations

import contextlib
import sqlite3
import statistics
import time
from pathlib import Path

from field import Field
from gateways import our_gateway, our_meter
from process import free_port

DEVICES = 1000
UNITS = 247
BAUD = 19_200
PERIOD = 10
SECONDS = 60


def recorded(home: Path) -> int:
    """Readings in the ledger of a running gateway."""
    with contextlib.closing(sqlite3.connect(f"file:{home}/state/ledger.db?mode=ro", uri=True, timeout=30)) as ledger:
        return ledger.execute("SELECT count(*) FROM readings").fetchone()[0]


def measure(field: Field, folder: Path) -> dict:
    addresses = field.order("crowd", DEVICES)
    line = field.order("line", BAUD)
    body = ""
    for n, address in enumerate(addresses):
        body += f'[[bus]]\nid = "tcp-{n}"\nkind = "modbus-tcp"\naddress = "{address}"\ntimeout = "1s"\n'
        body += our_meter(f"tcp-{n}", f"tcp-{n}", 1, f"{PERIOD}s")
    body += f'[[bus]]\nid = "line"\nkind = "modbus-rtu"\nport = "{line}"\nbaud = {BAUD}\nparity = "none"\n'
    body += "".join(our_meter(f"rtu-{n}", "line", n, f"{PERIOD}s") for n in range(1, UNITS + 1))
    home = folder / "crowd"
    home.mkdir()
    meters = DEVICES + UNITS
    field.order("reset")
    with our_gateway(home, free_port(), body) as child:
        field.wait(60, lambda report: report.readings >= meters or not child.alive)
        # Until the first round of everybody is over and the accounts are open on the chain.
        time.sleep(2 * PERIOD)
        if not child.alive:
            raise RuntimeError(f"ended by itself: {child.tail()}")
        before, cpu = recorded(home), child.cpu()
        field.order("reset")
        time.sleep(SECONDS)
        report, spent, after = field.report(), child.cpu() - cpu, recorded(home)
        resident = child.resident()
    units = list(report.units.values())
    wire = [unit for (place, _), unit in report.units.items() if place == "line"]
    return {
        "meters": meters,
        "read": len([unit for unit in units if unit.complete]),
        "due": meters * report.seconds / PERIOD,
        "readings": report.readings,
        "recorded": after - before,
        "questions": report.questions / max(report.readings, 1),
        # A gap of one and a half periods is a reading that did not happen when it was due.
        "missed": sum(int(unit.longest > 1.5 * PERIOD) for unit in units) + meters - len(units),
        "longest": max(unit.longest for unit in units),
        "line": statistics.mean(unit.refresh for unit in wire) if wire else float("inf"),
        "resident": resident,
        "cpu": 100 * spent / report.seconds,
    }


def rows(f: dict) -> tuple[list[str], list[list[str]]]:
    """The table."""
    what = f"{DEVICES} TCP devices on {DEVICES} addresses and {UNITS} units at {BAUD} baud, every {PERIOD} s"
    return [what, f"{SECONDS} s"], [
        ["meters read", f"{f['read']} of {f['meters']}"],
        ["readings due, complete on the wire, recorded", f"{f['due']:.0f}, {f['readings']}, {f['recorded']}"],
        ["questions per reading", f"{f['questions']:.3f}"],
        [f"meters with a gap above {1.5 * PERIOD:.0f} s", f"{f['missed']}"],
        ["longest gap", f"{f['longest']:.2f} s"],
        ["mean refresh on the serial line", f"{f['line']:.2f} s"],
        ["RSS", f"{f['resident']:.1f} MiB"],
        ["CPU of one core", f"{f['cpu']:.1f} %"],
    ]

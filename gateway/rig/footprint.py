"""What a gateway costs, beside collectd and mosquitto in the same run: `make footprint`.

footprint.py [--for SECONDS] [--only NAME…] [--json FILE]

Fifty meters of ten floats on one Modbus TCP port, played by `simulate` in a process of its own, read every second. Ours
has broker, page, ledger and settlement on, and a program asks for the page's picture every ten seconds. collectd publishes every
value to mosquitto.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import shutil
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from street import ANVIL, EMBEDDED, MOSQUITTO, RICH_KEY, ROOT, Child, Site, anvil, free_port, memory, mosquitto
from street import node_is_up, private, say, table, until

METERS = 50
COLLECTD = Path("/usr/sbin/collectd")
MQTT_PLUGIN = Path("/usr/lib/collectd/mqtt.so")


def watched(child: Child, seconds: float, busy) -> dict[str, float]:
    """Memory and processor time over so many seconds; `busy` is called every ten."""
    busy()
    began, cpu = time.monotonic(), child.cpu()
    while (passed := time.monotonic() - began) < seconds:
        time.sleep(min(10, seconds - passed))
        busy()
    used = 100 * (child.cpu() - cpu) / (time.monotonic() - began)
    return memory(child) | {"cpu": used}


def ours(folder: Path, seconds: float, embedded: bool) -> dict[str, float]:
    """Our row, settling on the embedded chain or on a node that is not counted."""
    with ExitStack() as running:
        chain = EMBEDDED
        if not embedded:
            folder.mkdir(parents=True)
            node = free_port()
            running.enter_context(anvil(folder / "anvil", node))
            until("anvil answers", 20, lambda: node_is_up(node))
            private(folder / "settler.key", RICH_KEY)
            chain = f'kind = "rpc"\nurl = "http://127.0.0.1:{node}"\nkey_file = "settler.key"\nconfirmations = 1'
        site = Site("street", folder, METERS, chain, model="ten-floats", settle_every="20s")
        running.enter_context(site.devices())
        began = time.monotonic()
        gateway = running.enter_context(site.run())
        until("a reading is recorded", 30, lambda: site.ledger("SELECT 1 FROM readings LIMIT 1"), 0.002)
        first = time.monotonic() - began
        site.comes_in()
        # Deployment, opening of accounts and the first batches are not the steady state, but leave their memory behind.
        until("two batches are settled", 300, lambda: (site.state() or {})["ledger"]["settled_batches"] >= 2, 2)
        before = site.recorded()
        started = time.monotonic()
        figures = watched(gateway, seconds, site.recorded)
        figures["readings"] = (site.recorded() - before) / (time.monotonic() - started)
        return figures | {"first": first}


def collectd(folder: Path, seconds: float) -> dict[str, float]:
    """collectd and the mosquitto that it publishes to, added up."""
    site = Site("street", folder, METERS, EMBEDDED, model="ten-floats")
    port, home, broker_home = free_port(), folder / "collectd", folder / "mosquitto"
    home.mkdir()
    lines = ["Interval 1", 'TypesDB "/usr/share/collectd/types.db"', f'BaseDir "{home}"', f'PIDFile "{home}/pid"']
    lines += ["LoadPlugin modbus", "LoadPlugin mqtt", '<Plugin mqtt>\n<Publish "all">\nHost "127.0.0.1"']
    lines += [f"Port {port}", "QoS 0", "Retain true", "</Publish>", "</Plugin>", "<Plugin modbus>"]
    for i in range(10):
        lines += [f'<Data "v{i}">', f"RegisterBase {2 * i}", "RegisterType Float", "RegisterCmd ReadInput"]
        lines += ["Type gauge", f'Instance "v{i}"', "</Data>"]
    lines += ['<Host "field">', 'Address "127.0.0.1"', f'Port "{site.ports[0]}"', "Interval 1"]
    for n in range(1, METERS + 1):
        lines += [f"<Slave {n}>", f'Instance "m{n}"', *(f'Collect "v{i}"' for i in range(10)), "</Slave>"]
    (home / "collectd.conf").write_text("\n".join([*lines, "</Host>", "</Plugin>", ""]))
    with site.devices(), mosquitto(broker_home, port) as broker:
        with Child([COLLECTD, "-f", "-C", home / "collectd.conf"], home) as agent:
            time.sleep(10)
            began = broker.cpu()
            figures = watched(agent, seconds, lambda: None)
            if not agent.alive:
                raise RuntimeError(f"collectd ended: {agent.tail()}")
            beside = memory(broker)
            figures = {name: value + beside.get(name, 0.0) for name, value in figures.items()}
            figures["cpu"] += 100 * (broker.cpu() - began) / seconds
            return figures


ROWS = {
    "ours, settling on a node": (lambda folder, seconds: ours(folder, seconds, False), [ANVIL]),
    "ours, with the embedded chain": (lambda folder, seconds: ours(folder, seconds, True), []),
    "collectd + mosquitto": (collectd, [MOSQUITTO, COLLECTD, MQTT_PLUGIN]),
}


def main() -> None:
    parser = argparse.ArgumentParser(description="What a gateway with fifty meters costs, beside collectd and mosquitto.")
    parser.add_argument("--for", dest="seconds", type=float, default=120, help="seconds to watch each (120)")
    parser.add_argument("--only", nargs="*", default=[], help="rows whose names have one of these in them")
    parser.add_argument("--json", type=Path, help="also writes every figure there")
    options = parser.parse_args()
    say(f"{datetime.date.today()}, {os.cpu_count()} cores, {os.uname().machine}, load {os.getloadavg()[0]:.1f}")
    (ROOT / "target/rig").mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="footprint-", dir=ROOT / "target/rig"))
    figures = {}
    try:
        for number, (name, (measure, needs)) in enumerate(ROWS.items()):
            lacking = [p for p in needs if not p.exists()]
            if options.only and not any(part in name for part in options.only):
                continue
            if lacking:
                say(f"{name} is left out: {lacking[0]} is not installed")
                continue
            figures[name] = measure(folder / str(number), options.seconds) | {"load": os.getloadavg()[0]}
            say(f"{name}: { {key: round(value, 2) for key, value in figures[name].items()} }")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    row = lambda name, f: [  # noqa: E731
        name, f"{f['all']:.1f}", f"{f['anon']:.1f}", f"{f['file']:.1f}", f"{f['peak']:.1f}", f"{f['cpu']:.1f}",
        f"{f['readings']:.1f}" if "readings" in f else "", f"{f['first']:.2f}" if "first" in f else "", f"{f['load']:.1f}",
    ]  # fmt: skip
    head = ["50 meters at 1 Hz", "RSS MiB", "own", "of files", "peak", "CPU %", "readings/s", "first reading, s", "load"]
    table(head, [row(name, f) for name, f in figures.items()])
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main())

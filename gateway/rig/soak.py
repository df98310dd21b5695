"""A whole gateway under chaos for hours, and a street that lives three days meanwhile: `make soak-house`.

soak.py [--minutes N] [--seed N] [--json FILE]

One gateway on a node (anvil), with its devices, another broker that it is bridged to, and a wall clock of its own in other processes.
Every half minute or so something is taken from it, at random by the seed. After each time it has to be well again: readings are
recorded, nothing that the page acknowledged is gone. At the end every meter's bill is held against the meter's own register, the
ledger is billed again, and the contract is asked by ethers for every account. Beside it the demonstration's street lives
three days in the same time, with its clock as many times faster.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import audit
from street import ANVIL, GATEWAY, MOSQUITTO, RICH_KEY, ROOT, Child, Site, anvil, as_installed, ended, free_port, memory
from street import mosquitto, node_is_up, private, rpc, say, table, until

METERS = 20
DAYS = 3
# libfaketime: the wall clock of one process, as a file says; the clocks that nobody sets stay real.
FAKETIME = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)


class House:
    """The gateway and all that it leans on, each to be taken away."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.node, self.other = free_port(), free_port()
        chain = f'kind = "rpc"\nurl = "http://127.0.0.1:{self.node}"\nkey_file = "settler.key"\nconfirmations = 2'
        bridge = f'[bridge]\nurl = "mqtt://127.0.0.1:{self.other}"\nprefix = "soak/"\npublish = ["microgrid/#"]'
        self.site = Site(
            "soak", folder, METERS, chain, period="2s", settle_every="20s", more=bridge, switches=True, buses=2
        )
        private(folder / "settler.key", RICH_KEY)
        self.clock = folder / "clock"
        self.clock.write_text("+0\n")
        self.chain, self.devices, self.broker = self.new_chain(), self.site.devices(), self.new_broker()
        until("anvil answers", 30, lambda: node_is_up(self.node))
        self.gateway = self.new_gateway()
        until("the ledger is there", 60, lambda: self.site.ledger("SELECT 1 FROM readings LIMIT 1"), 0.2)
        self.site.comes_in()

    def new_chain(self) -> Child:
        kept = self.folder / "anvil.json"
        return anvil(self.folder / "anvil", self.node, "--state", kept, "--state-interval", 1)

    def new_broker(self) -> Child:
        return mosquitto(self.folder / "mosquitto", self.other)

    def new_gateway(self) -> Child:
        folder = self.folder / "gateway"
        folder.mkdir(exist_ok=True)
        env = {"FAKETIME_TIMESTAMP_FILE": str(self.clock), "FAKETIME_NO_CACHE": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
        if FAKETIME:
            env["LD_PRELOAD"] = str(FAKETIME)
        # The signal that comes with a limit on files would end it: a full disk sends none.
        command = ["sh", "-c", 'trap "" XFSZ; exec "$0" run -c "$1"', GATEWAY, self.site.config]
        child = Child(command, folder, as_installed() | env)
        os.link(child.log, folder / f"log-{time.monotonic_ns()}")
        return child

    def end(self) -> None:
        for child in (self.gateway, self.devices, self.broker, self.chain):
            child.__exit__()


def gone(child: Child, how: int = signal.SIGKILL) -> None:
    """Ends a process, and waits for it."""
    child.process.send_signal(how)
    child.process.wait(60)


# Each takes something away for a while and gives it back.
def killed(house: House, rng: random.Random) -> None:
    gone(house.gateway)
    house.gateway = house.new_gateway()


def stopped(house: House, rng: random.Random) -> None:
    gone(house.gateway, signal.SIGTERM)
    house.gateway = house.new_gateway()


def killed_twice(house: House, rng: random.Random) -> None:
    killed(house, rng)
    time.sleep(rng.random() * 0.6)
    killed(house, rng)


def devices_gone(house: House, rng: random.Random) -> None:
    gone(house.devices)
    time.sleep(rng.uniform(1, 12))
    house.devices = house.site.devices()


def devices_silent(house: House, rng: random.Random) -> None:
    frozen(house.devices, rng.uniform(2, 12))


def chain_silent(house: House, rng: random.Random) -> None:
    frozen(house.chain, rng.uniform(5, 25))


def chain_gone(house: House, rng: random.Random) -> None:
    # Ended politely, so that it keeps what it promised; a chain that forgets is another chain.
    gone(house.chain, signal.SIGTERM)
    time.sleep(rng.uniform(1, 15))
    house.chain = house.new_chain()
    until("anvil is back", 60, lambda: node_is_up(house.node))


def chain_reorganised(house: House, rng: random.Random) -> None:
    rpc(house.node, "anvil_reorg", rng.randint(1, 3), [])


def broker_gone(house: House, rng: random.Random) -> None:
    gone(house.broker)
    time.sleep(rng.uniform(1, 15))
    house.broker = house.new_broker()


def broker_flooded(house: House, rng: random.Random) -> None:
    """Connections that say nothing, and one that says nonsense."""
    idle = []
    for _ in range(60):
        idle.append(socket.create_connection(("127.0.0.1", house.site.mqtt), 5))
    with socket.create_connection(("127.0.0.1", house.site.mqtt), 5) as wild:
        wild.sendall(rng.randbytes(20_000))
    time.sleep(3)
    for one in idle:
        one.close()


def disk_full(house: House, rng: random.Random) -> None:
    limit = ["prlimit", "--pid", str(house.gateway.process.pid)]
    subprocess.run([*limit, "--fsize=1:unlimited"], check=True)
    time.sleep(rng.uniform(3, 15))
    subprocess.run([*limit, "--fsize=unlimited"], check=True)


def machine_suspended(house: House, rng: random.Random) -> None:
    frozen(house.gateway, rng.uniform(2, 15))


def clock_leaps(house: House, rng: random.Random) -> None:
    house.clock.write_text(f"{rng.choice(['+', '-'])}{rng.choice([90, 3600, 86400])}\n")
    time.sleep(rng.uniform(3, 12))
    house.clock.write_text("+0\n")


def clock_lost(house: House, rng: random.Random) -> None:
    """A start without a network on a board without a battery: 1970 until somebody sets it."""
    gone(house.gateway)
    house.clock.write_text(f"-{int(time.time()) - 60}\n")
    house.gateway = house.new_gateway()
    time.sleep(rng.uniform(4, 12))
    house.clock.write_text("+0\n")


def frozen(child: Child, seconds: float) -> None:
    child.process.send_signal(signal.SIGSTOP)
    time.sleep(seconds)
    child.process.send_signal(signal.SIGCONT)


FAULTS = {
    "gateway killed (kill -9)": killed,
    "gateway killed again while it starts": killed_twice,
    "gateway stopped and started": stopped,
    "gateway frozen, as a suspended machine": machine_suspended,
    "all devices gone, reconnected": devices_gone,
    "all devices silent on open connections": devices_silent,
    "node of the chain silent": chain_silent,
    "node of the chain gone": chain_gone,
    "chain reorganised, 1 to 3 blocks": chain_reorganised,
    "bridged broker killed": broker_gone,
    "broker: 60 idle connections and noise": broker_flooded,
    "disk full": disk_full,
    "wall clock leaps 90 s to a day, and back": clock_leaps,
    "started in 1970, clock set later": clock_lost,
}


def slope(lives: list[list[tuple[float, float]]]) -> float:
    """MiB an hour, by least squares with an origin of its own for each life."""
    above = below = 0.0
    for life in lives:
        if len(life) > 1:
            hours, sizes = [h for h, _ in life], [s for _, s in life]
            middle, mean = sum(hours) / len(hours), sum(sizes) / len(sizes)
            above += sum((h - middle) * (s - mean) for h, s in life)
            below += sum((h - middle) ** 2 for h in hours)
    return above / below if below else 0.0


def quarters(life: list[tuple[float, float]]) -> list[float]:
    """The mean of each quarter of a life."""
    parts = [life[len(life) * i // 4 : len(life) * (i + 1) // 4] for i in range(4)]
    return [round(sum(size for _, size in part) / len(part), 2) for part in parts if part]


class Watch:
    """Memory by life, and what was acknowledged."""

    def __init__(self) -> None:
        self.lives: list[list[tuple[float, float]]] = []
        self.most = 0.0
        self.pid, self.acknowledged, self.lost = 0, 0, []

    def look(self, house: House, began: float) -> int:
        """How many readings the page acknowledges; what was acknowledged before must be among them."""
        recorded = house.site.recorded()
        if recorded:
            if recorded < self.acknowledged:
                self.lost.append(f"{self.acknowledged} readings were acknowledged, {recorded} are left")
            self.acknowledged = recorded
        self.sample(house.gateway, began)
        return recorded

    def sample(self, child: Child, began: float) -> None:
        if child.process.pid != self.pid:
            self.pid, self.since = child.process.pid, time.monotonic()
            self.lives.append([])
        try:
            # A start's own memory is no leak, and neither are pages of the program that are used for the first time.
            if time.monotonic() - self.since > 90:
                held = memory(child)
                self.lives[-1].append(((time.monotonic() - began) / 3600, held["anon"]))
                self.most = max(self.most, held["peak"])
        except (OSError, KeyError):
            pass


def well_again(house: House, watch: Watch, began: float) -> float:
    """Seconds until new readings are recorded."""
    at = time.monotonic()
    first = until("the page answers", 120, lambda: watch.look(house, began), 0.25)
    until("readings are recorded", 120, lambda: watch.look(house, began) > first + METERS, 0.25)
    return time.monotonic() - at


def judged(house: House, watch: Watch) -> list[str]:
    """Everything that does not hold at the end."""
    least = audit.registers(house.site)
    audit.read_since(house.site, least, 120)
    gone(house.devices)
    late = audit.settled(house.site, 240)
    gone(house.gateway, signal.SIGTERM)
    return watch.lost + late + audit.wrong(house.site, least, house.node)


def days(folder: Path, minutes: float) -> tuple[Child, Path]:
    """The demonstration's street, three days of it within these minutes."""
    folder.mkdir()
    speed = round(DAYS * 24 * 60 / minutes)
    told = folder / "report.json"
    command = [GATEWAY, "demo", "--speed", speed, "--for", f"{round(minutes * 60)}s", "--json", told, "--state", folder / "state"]
    return Child(command, folder), told


def main() -> int:
    parser = argparse.ArgumentParser(description="A whole gateway under chaos, and three days of a street beside it.")
    parser.add_argument("--minutes", type=float, default=120, help="of real time (120)")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="of what happens when")
    parser.add_argument("--json", type=Path, help="also writes the figures there")
    options = parser.parse_args()
    for needed in (GATEWAY, ANVIL, MOSQUITTO):
        if not needed.exists():
            say(f"{needed} is not there: make soak-house installs it")
            return 1
    faults = dict(FAULTS)
    if not FAKETIME:
        say("without libfaketime the clock is left alone")
        faults = {name: f for name, f in faults.items() if f not in (clock_leaps, clock_lost)}
    say(f"{datetime.date.today()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, seed {options.seed}")
    (ROOT / "target/rig").mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="soak-", dir=ROOT / "target/rig"))
    # What ends the gateway comes more rarely, so that lives are long enough to see whether memory grows.
    weights = [1 if f in (killed, killed_twice, stopped, clock_lost) else 4 for f in faults.values()]
    rng, watch, fast = random.Random(options.seed), Watch(), Watch()
    happened, slowest = Counter(), Counter()
    house = House(folder)
    street, told = days(folder / "days", options.minutes)
    began = time.monotonic()
    wrong = []
    try:
        well_again(house, watch, began)
        while (time.monotonic() - began) / 60 < options.minutes:
            # Everything once, then at random.
            name = next((n for n in faults if not happened[n]), None) or rng.choices(list(faults), weights)[0]
            try:
                faults[name](house, rng)
                slowest[name] = max(slowest[name], well_again(house, watch, began))
                how = "well again"
            except (RuntimeError, OSError) as stuck:
                wrong.append(f"{name}: {stuck}")
                how = f"{stuck}"
            happened[name] += 1
            say(f"{(time.monotonic() - began) / 60:5.1f} min  {name}: {how}, {watch.acknowledged} readings")
            quiet = time.monotonic() + rng.expovariate(1 / 20)
            while time.monotonic() < quiet:
                watch.look(house, began)
                fast.sample(street, began)
                time.sleep(2)
        wrong += judged(house, watch)
        until("three days have passed", 180, lambda: not street.alive, 1)
        report = json.loads(told.read_text()) if told.exists() else {}
        broken = [n for n, holds in report.get("invariants", {"no report: " + street.tail(): False}).items() if not holds]
        wrong += [f"three days: {name}" for name in broken]
    finally:
        house.end()
        street.__exit__()
    minutes = (time.monotonic() - began) / 60
    table(["what happened", "times", "well again within, s"], [[n, happened[n], f"{slowest[n]:.1f}"] for n in faults])
    figures = {
        "minutes": round(minutes, 1), "seed": options.seed, "faults": sum(happened.values()), "lives": len(watch.lives),
        "readings": watch.acknowledged, "batches": house.site.ledger("SELECT COUNT(*) FROM batches WHERE state = 'done'")[0][0],
        "own_memory_slope_mib_per_hour": round(slope(watch.lives), 2), "samples": sum(map(len, watch.lives)),
        "longest_life_minutes": round(max((60 * (life[-1][0] - life[0][0]) for life in watch.lives if life), default=0), 1),
        "rss_most_mib": round(watch.most, 1),
        "days_own_memory_slope_mib_per_hour": round(slope(fast.lives), 2), "days_rss_most_mib": round(fast.most, 1),
        "days_own_memory_by_quarters": quarters(fast.lives[0] if fast.lives else []),
        "days": {k: report.get(k) for k in ("recorded", "settled_batches", "disconnections", "reconnections")},
        "wrong": wrong,
    }  # fmt: skip
    return ended(folder, figures, {"happened": happened}, options.json)


if __name__ == "__main__":
    sys.exit(main())

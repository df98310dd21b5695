"""Five gateways of 200 meters each on one machine: one account book on one node, one broker that all are bridged to, and one
of them lost with its disk and put back from its backup. `make cluster`

cluster.py [--gateways N] [--meters N] [--minutes N] [--json FILE]

At the end every meter's bill is held against the meter's own register, every ledger is billed again, ethers asks the
contract for every account, and the broker for every meter's last state.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import audit
from street import ANVIL, MOSQUITTO, RICH, RICH_KEY, ROOT, Child, Site, anvil, ended, free_port, memory, mosquitto
from street import node_is_up, private, rpc, say, table, until, verb

SET_SETTLER = "77a35465"
COIN = 10**18


def sent(node: int, **transaction: str) -> None:
    """A transaction of the account that has coin, in a block."""
    done = rpc(node, "eth_sendTransaction", {"from": RICH, **transaction})
    receipt = until("a transaction is in a block", 30, lambda: rpc(node, "eth_getTransactionReceipt", done), 0.2)
    if receipt["status"] != "0x1":
        raise RuntimeError(f"{transaction} was refused")


def neighbourhood(folder: Path, count: int, meters: int, node: int, broker: int) -> list[Site]:
    """The gateways, all settling in one contract, which takes batches from each."""
    sites, book = [], ""
    for n in range(count):
        home = folder / f"gateway-{n}"
        home.mkdir()
        key = home / "settler.key"
        if n:
            verb("key", "new", key)
        else:
            private(key, RICH_KEY)
        chain = f'kind = "rpc"\nurl = "http://127.0.0.1:{node}"\nkey_file = "settler.key"\nconfirmations = 2\n{book}'
        more = f'[bridge]\nurl = "mqtt://127.0.0.1:{broker}"\nprefix = "neighbourhood/"\npublish = ["microgrid/#"]'
        site = Site(
            f"street-{n}", home, meters, chain, period="5s", settle_every="30s", more=more, first_account=1 + 1000 * n, buses=4
        )
        if n:
            who = verb("key", "address", key).split()[0]
            sent(node, to=who, value=hex(10 * COIN))
            sent(node, to=sites[0].provider, data=f"0x{SET_SETTLER}{who[2:].lower():0>64}{1:064x}")
            site.provider = sites[0].provider
        else:
            site.provider = verb("chain", "deploy", "-c", site.config).strip()
            book = f'provider = "{site.provider}"\n'
            site.config.write_text(site.config.read_text().replace("confirmations = 2\n", "confirmations = 2\n" + book, 1))
        sites.append(site)
    return sites


def batches(site: Site) -> int:
    rows = site.ledger("SELECT COUNT(*) FROM batches WHERE state = 'done'")
    return rows[0][0] if rows else 0


def readings(site: Site) -> int:
    rows = site.ledger("SELECT COUNT(*) FROM readings")
    return rows[0][0] if rows else 0


def lost_and_replaced(site: Site, running: list[Child], n: int) -> dict[str, object]:
    """Backs a gateway up, lets it go on, takes it and its disk away, and puts it back."""
    copy = site.folder / "copy.db"
    verb("journal", "backup", copy, "-c", site.config)
    backed_up, had = batches(site), readings(site)
    until("batches are settled that the backup does not know", 240, lambda: batches(site) >= backed_up + 2, 1)
    lost, read = batches(site) - backed_up, readings(site) - had
    running[n].process.send_signal(signal.SIGKILL)
    running[n].process.wait()
    shutil.rmtree(site.folder / "state")
    began = time.monotonic()
    verb("journal", "restore", copy, "--by", "rig", "-c", site.config)
    running[n] = site.run()
    until("the replacement records", 120, lambda: readings(site) > had, 0.1)
    recording = time.monotonic() - began
    until("the replacement settles", 240, lambda: batches(site) > backed_up, 0.5)
    return {
        "readings_after_the_backup": read, "batches_after_the_backup": lost,
        "records_again_s": round(recording, 1), "settles_again_s": round(time.monotonic() - began, 1),
    }  # fmt: skip


def retained(broker: int, meters: int) -> int:
    """How many meters' states the broker that all share has kept, by mosquitto's own client."""
    command = ["mosquitto_sub", "-p", str(broker), "-t", "neighbourhood/microgrid/+/meter/+/state", "-F", "%t"]
    said = subprocess.run([*command, "--retained-only", "-C", str(meters), "-W", "20"], capture_output=True, text=True, check=False)
    return len(set(said.stdout.split()))


def main() -> int:
    parser = argparse.ArgumentParser(description="Many gateways on one chain and one broker; one is replaced from its backup.")
    parser.add_argument("--gateways", type=int, default=5)
    parser.add_argument("--meters", type=int, default=200, help="of each gateway, at most 900 (200)")
    parser.add_argument("--minutes", type=float, default=3, help="that all run before the loss, and again after it (3)")
    parser.add_argument("--json", type=Path, help="also writes the figures there")
    options = parser.parse_args()
    for needed in (ANVIL, MOSQUITTO):
        if not needed.exists():
            say(f"{needed} is not there: make cluster installs it")
            return 1
    say(f"{datetime.date.today()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    (ROOT / "target/rig").mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="cluster-", dir=ROOT / "target/rig"))
    node, broker = free_port(), free_port()
    gateways: list[Child] = []
    with ExitStack() as around:
        around.enter_context(anvil(folder / "anvil", node))
        around.enter_context(mosquitto(folder / "mosquitto", broker))
        until("anvil answers", 30, lambda: node_is_up(node))
        sites = neighbourhood(folder, options.gateways, options.meters, node, broker)
        fields = [around.enter_context(site.devices()) for site in sites]
        gateways += [site.run() for site in sites]
        around.callback(lambda: [child.__exit__() for child in gateways])
        for site in sites:
            until(f"{site.name} has every meter", 180, lambda site=site: readings(site) >= options.meters, 0.2)
        cpu, read, began = [g.cpu() for g in gateways], [readings(s) for s in sites], time.monotonic()
        time.sleep(options.minutes * 60)
        passed = time.monotonic() - began
        figures = [
            {
                "gateway": site.name,
                "readings_per_second": round((readings(site) - before) / passed, 1),
                "cpu_percent": round(100 * (child.cpu() - used) / passed, 1),
                "rss_mib": round(memory(child)["all"], 1),
                "own_mib": round(memory(child)["anon"], 1),
            }
            for site, child, used, before in zip(sites, gateways, cpu, read)
        ]
        for site in sites:
            until(f"{site.name} has settled", 240, lambda site=site: batches(site) >= 2, 1)
        say(json.dumps(figures, indent=1))
        replaced = lost_and_replaced(sites[-1], gateways, len(sites) - 1)
        say(json.dumps(replaced, indent=1))
        time.sleep(options.minutes * 60)
        kept = retained(broker, options.gateways * options.meters)
        least = [audit.registers(site) for site in sites]
        for site, registers in zip(sites, least):
            audit.read_since(site, registers, 120)
        for field in fields:
            field.process.send_signal(signal.SIGSTOP)
        wrong = [what for site in sites for what in audit.settled(site, 300)]
        settled = [batches(site) for site in sites]
        for child in gateways:
            child.process.send_signal(signal.SIGTERM)
        for child in gateways:
            child.process.wait(60)
        for site, registers in zip(sites, least):
            wrong += audit.wrong(site, registers, node)
        if kept != options.gateways * options.meters:
            wrong.append(f"the broker keeps the states of {kept} meters")
    table(
        ["gateway", "readings/s", "CPU %", "RSS MiB", "own", "batches settled", "readings"],
        [
            [f["gateway"], f["readings_per_second"], f["cpu_percent"], f["rss_mib"], f["own_mib"], done, readings(site)]
            for f, done, site in zip(figures, settled, sites)
        ],
    )
    energy = sum(row[0] for site in sites for row in site.ledger("SELECT SUM(settled_off_peak + settled_peak) FROM accounts"))
    told = {"replaced": replaced, "settled_wh": energy, "states_at_the_broker": kept, "load": os.getloadavg()[0], "wrong": wrong}
    return ended(folder, told, {"gateways": figures}, options.json)


if __name__ == "__main__":
    sys.exit(main())

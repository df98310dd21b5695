"""Gateways on streets that are simulated by a process of their own, and what can be asked of them."""

from __future__ import annotations

import getpass
import http.client
import json
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "drivers/peers"))

from process import Child, die_with_parent, free_port  # noqa: E402, F401

GATEWAY = Path(os.environ.get("MICROGRID_GATEWAY", ROOT / "target/release/microgrid-gateway"))
ANVIL = ROOT / "contracts/node_modules/@foundry-rs/anvil-linux-amd64/bin/anvil"
MOSQUITTO = Path("/usr/sbin/mosquitto")
MODEL = ROOT / "drivers/peers/ten-floats.toml"
CHAIN_ID = 31337
EMBEDDED = 'kind = "embedded"\nrpc_listen = "127.0.0.1:0"'


def say(text: str) -> None:
    print(text, flush=True)


def table(head: list[str], rows: list[list[object]]) -> None:
    """As the READMEs have them."""
    say("| " + " | ".join(head) + " |")
    say("|" + "---|" * len(head))
    for row in rows:
        say("| " + " | ".join(str(cell) for cell in row) + " |")
    say("")


def ended(folder: Path, figures: dict, also: dict, file: Path | None) -> int:
    """Says the figures, writes them down with what else was counted, and keeps the folder if something is wrong in it."""
    say(json.dumps(figures, indent=1))
    if file:
        file.write_text(json.dumps(figures | also, indent=1) + "\n")
    if figures["wrong"]:
        say(f"kept for a look: {folder}")
        return 1
    shutil.rmtree(folder, ignore_errors=True)
    return 0


def until(what: str, seconds: float, ready, pause: float = 0.01):
    """The first answer that is something."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = ready()
        if found:
            return found
        time.sleep(pause)
    raise RuntimeError(f"not within {seconds:.0f} s: {what}")


def verb(*words: object, fails: bool = False) -> str:
    """What one verb of ours says."""
    done = subprocess.run([str(GATEWAY), *map(str, words)], capture_output=True, text=True, check=False)
    if done.returncode and not fails:
        raise RuntimeError(f"{' '.join(map(str, words))} ended with {done.returncode}: {done.stdout}{done.stderr}")
    return done.stdout


def anvil(folder: Path, port: int, *options: object) -> Child:
    """A node of a chain of its own, with a block each second."""
    folder.mkdir(exist_ok=True)
    command = [ANVIL, "--port", port, "--chain-id", CHAIN_ID, "--block-time", 1, "--silent", *options]
    return Child(command, folder)


# The first of anvil's well-known development accounts. It has coin on every anvil chain and must have none elsewhere.
RICH_KEY = "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"
RICH = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"


def private(path: Path, text: str) -> None:
    """A file that nobody else reads."""
    path.touch(0o600)
    path.write_text(text)


def mosquitto(folder: Path, port: int) -> Child:
    """A broker that anybody on this machine may use. With a change of user it would lose the order to end with us."""
    folder.mkdir(exist_ok=True)
    config = f"listener {port} 127.0.0.1\nallow_anonymous true\nuser {getpass.getuser()}\n"
    (folder / "mosquitto.conf").write_text(config)
    return Child([MOSQUITTO, "-c", "mosquitto.conf"], folder)


def rpc(port: int, method: str, *params: object) -> object:
    """One question to a node."""
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{port}", body, {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=5) as answer:
        told = json.load(answer)
    if "error" in told:
        raise RuntimeError(f"{method}: {told['error']}")
    return told["result"]


def node_is_up(port: int) -> bool:
    try:
        return bool(rpc(port, "eth_chainId"))
    except OSError:
        return False


@dataclass
class Site:
    """A gateway, its configuration and its devices."""

    name: str
    folder: Path
    meters: int
    chain: str
    period: str = "1s"
    settle_every: str = "60s"
    model: str = "sim-home"
    more: str = ""
    switches: bool = False
    first_account: int = 1
    buses: int = 1
    mqtt: int = field(default_factory=free_port)
    page: int = field(default_factory=free_port)
    ports: list[int] = field(default_factory=list)
    token: str = ""
    provider: str = ""

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.ports = [free_port() for _ in range(self.buses)]
        self.config = self.folder / "gateway.toml"
        self.simulated = self.folder / "devices.toml"
        if self.model == MODEL.stem:
            (self.folder / "models").mkdir(exist_ok=True)
            shutil.copy(MODEL, self.folder / "models")
        self.config.write_text(self.text(False, "state"))
        self.simulated.write_text(self.text(True, "devices"))

    def text(self, simulate: bool, state: str) -> str:
        """The same street: for the gateway, to which it is real, and for the process that plays it."""
        lines = [f'[site]\nname = "{self.name}"\nstate = "{state}"\ncurrency = "EUR"']
        if self.model == MODEL.stem:
            lines.insert(0, 'templates = "models"')
        lines += ['[tariff]\noff_peak = "0.18"\npeak = "0.32"\nfeed_in = "0.08"\npeak_hours = ["17:00-22:00"]']
        lines += [f'[broker]\nlisten = "127.0.0.1:{self.mqtt}"\n[web]\nlisten = "127.0.0.1:{self.page}"']
        lines += [f'[chain]\nchain_id = {CHAIN_ID}\nsettle_every = "{self.settle_every}"\nfirst_account = {self.first_account}']
        lines += [self.chain, self.more]
        if simulate:
            lines += [f"[simulator]\nseed = {self.first_account}"]
        for n, port in enumerate(self.ports):
            lines += [f'[[bus]]\nid = "tcp-{n}"\nkind = "modbus-tcp"\naddress = "127.0.0.1:{port}"\nsimulate = {str(simulate).lower()}']
        for n in range(self.meters):
            bus, unit, name = self.place(n)
            lines += [f'[[account]]\nid = "{name}"\n[[meter]]\nid = "{name}"\nbus = "tcp-{bus}"\nunit = {unit}']
            lines += [f'model = "{self.model}"\naccount = "{name}"\nperiod = "{self.period}"']
            if simulate:
                lines += ["simulated_scale = 20000"]
            if self.switches:
                lines += [f'[[switch]]\nid = "{name}"\nbus = "tcp-{bus}"\nunit = {unit}\nmodel = "{self.model}"']
                lines += [f'account = "{name}"\non_silence = "hold"']
        return "\n".join(lines) + "\n"

    def place(self, n: int) -> tuple[int, int, str]:
        """Bus, unit and name of a meter."""
        return n * self.buses // self.meters, 1 + n % 247, f"{self.name}-{n}"

    def places(self) -> list[tuple[str, int, int]]:
        """Name, port and unit of every meter."""
        placed = (self.place(n) for n in range(self.meters))
        return [(name, self.ports[bus], unit) for bus, unit, name in placed]

    def devices(self) -> Child:
        """Starts the devices, and waits until they listen."""
        folder = self.folder / "simulator"
        folder.mkdir(exist_ok=True)
        child = Child([GATEWAY, "simulate", "-c", self.simulated], folder)
        for port in self.ports:
            until("simulated devices listen", 30, lambda port=port: listens(port))
        return child

    def run(self) -> Child:
        """Starts the gateway."""
        folder = self.folder / "gateway"
        folder.mkdir(exist_ok=True)
        return Child([GATEWAY, "run", "-c", self.config], folder, as_installed())

    def comes_in(self) -> None:
        """Makes a token, which needs a ledger to note it in."""
        said = verb("access", "token", "create", "rig", "--scope", "read,metrics", "--by", "rig", "-c", self.config)
        self.token = next(word for word in said.split() if word.startswith("mgw_"))

    def ledger(self, question: str) -> list[tuple]:
        """What the ledger's file says, read by SQLite's own reader; nothing while there is none."""
        try:
            with closing(sqlite3.connect(f"file:{self.folder}/state/ledger.db?mode=ro", uri=True, timeout=5)) as db:
                return db.execute(question).fetchall()
        except sqlite3.OperationalError:
            return []

    def get(self, path: str) -> str | None:
        """What the page's server says; nothing while it does not answer."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.page}{path}", headers={"authorization": f"Bearer {self.token}"}
        )
        try:
            with urllib.request.urlopen(request, timeout=5) as answer:
                return answer.read().decode()
        except (OSError, http.client.HTTPException):
            return None

    def state(self) -> dict | None:
        """The picture that the page shows."""
        told = self.get("/api/v1/state")
        return json.loads(told) if told else None

    def recorded(self) -> int:
        """Readings in the ledger; 0 while nobody answers."""
        return (self.state() or {}).get("ledger", {}).get("readings", 0)


def as_installed() -> dict[str, str]:
    """The environment that the packaged unit gives."""
    lines = (ROOT / "systemd/microgrid-gateway.service").read_text().splitlines()
    given = (line.removeprefix("Environment=") for line in lines if line.startswith("Environment="))
    return dict(pair.split("=", 1) for line in given for pair in line.split())


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def memory(child: Child) -> dict[str, float]:
    """MiB resident, and of what kind, of the first process of a session."""
    lines = Path(f"/proc/{child.process.pid}/status").read_text().splitlines()
    kib = {line.split(":")[0]: int(line.split()[1]) for line in lines if line.endswith("kB")}
    names = {"all": "VmRSS", "anon": "RssAnon", "file": "RssFile", "peak": "VmHWM"}
    return {name: kib[key] / 1024 for name, key in names.items()}

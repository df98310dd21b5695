"""Whether the books of a gateway are true: against its meters, against itself, against the contract."""

from __future__ import annotations

import json
import socket
import struct
import subprocess

from street import ROOT, Site, until, verb


def register(port: int, unit: int) -> int:
    """A meter's own import register, asked over Modbus TCP without any code of ours."""
    with socket.create_connection(("127.0.0.1", port), 10) as wire:
        wire.sendall(struct.pack(">HHHBBHH", 1, 0, 6, unit, 4, 0, 4))
        answer = b""
        while len(answer) < 17:
            more = wire.recv(64)
            if not more:
                raise RuntimeError(f"unit {unit} hung up")
            answer += more
    return int.from_bytes(answer[9:17], "big")


def registers(site: Site) -> dict[str, int]:
    """Every meter's, by name."""
    return {name: register(port, unit) for name, port, unit in site.places()}


def settled(site: Site, seconds: float) -> list[str]:
    """Waits until the contract has all that is billed; what is missing if it does not come to that."""
    sums = "SELECT SUM(off_peak + peak), SUM(settled_off_peak + settled_peak) FROM accounts"
    try:
        until("everything is settled", seconds, lambda: len(set((site.ledger(sums) or [(0, 1)])[0])) == 1, 1)
    except RuntimeError as late:
        return [f"{site.name}: {late}: {site.ledger(sums)}, {(site.state() or {}).get('chain')}"]
    return []


def read_since(site: Site, registers: dict[str, int], seconds: float) -> None:
    """Waits until the ledger has every meter at least where it was."""

    def all_read() -> bool:
        rows = dict(site.ledger("SELECT name, import FROM meters"))
        return all((rows.get(name) or 0) >= at for name, at in registers.items())

    until(f"every meter of {site.name} is read and billed", seconds, all_read, 0.5)


def wrong(site: Site, least: dict[str, int], node: int) -> list[str]:
    """Everything that does not add up, once the gateway is stopped. `least` is what the meters had counted."""
    found = []
    if twice := site.ledger("SELECT sequence, COUNT(*) FROM batches WHERE state = 'done' GROUP BY 1 HAVING COUNT(*) > 1"):
        found.append(f"batches twice: {twice}")
    rows = site.ledger(
        "SELECT m.name, m.import, m.first_import, m.held, a.off_peak + a.peak"
        " FROM meters m JOIN accounts a ON a.number = m.account"
    )
    if len(rows) != site.meters:
        found.append(f"{len(rows)} meters of {site.meters} are billed to somebody")
    for name, at, first, held, billed in rows:
        if held or at - first != billed or at < least[name]:
            found.append(f"{name}: from {first} to {at} Wh, billed {billed}, the meter had {least[name]}, held: {held}")
    report = json.loads(verb("journal", "verify", "-c", site.config, fails=True) or "{}")
    found += [str(finding) for finding in report.get("findings", ["journal verify said nothing"])]
    here = site.ledger("SELECT number, balance, settled_off_peak, settled_peak, settled_feed_in FROM accounts")
    there = books(site, node, [row[0] for row in here])
    for number, *row in here:
        if there[str(number)] != row:
            found.append(f"account {number}: the contract has {there[str(number)]}, the ledger {row}")
    return [f"{site.name}: {what}" for what in found]


def books(site: Site, node: int, numbers: list[int]) -> dict[str, list[int]]:
    """What the contract has of these accounts, asked by ethers."""
    ((provider,),) = site.ledger("SELECT value FROM meta WHERE key = 'provider'") or ((site.provider,),)
    asked = ["node", ROOT / "gateway/rig/books.mjs", provider, f"http://127.0.0.1:{node}", *numbers]
    said = subprocess.run([str(word) for word in asked], capture_output=True, text=True, check=False)
    if said.returncode:
        raise RuntimeError(f"ethers: {said.stderr[-500:]}")
    return json.loads(said.stdout)

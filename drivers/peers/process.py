"""Processes that end with the run, and what they cost."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")


def die_with_parent() -> None:
    """In a child, before it becomes another program: if we are killed, so is it (prctl's PR_SET_PDEATHSIG)."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def free_port() -> int:
    """A TCP port on loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Child:
    """A program in a session of its own, so that all that it starts can be found and ended."""

    def __init__(self, command: list[object], folder: Path, env: dict[str, str] | None = None) -> None:
        self.log = folder / "log"
        self.process = subprocess.Popen(
            [str(word) for word in command],
            cwd=folder,
            env=os.environ | (env or {}),
            stdin=subprocess.DEVNULL,
            stdout=self.log.open("w"),
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=die_with_parent,
        )

    def __enter__(self) -> Child:
        return self

    def __exit__(self, *_: object) -> None:
        # A second is enough for those who leave politely; nothing of the measurement depends on the others.
        for how, patience in ((signal.SIGTERM, 3), (signal.SIGKILL, 10)):
            for pid in self.session():
                try:
                    os.kill(pid, how)
                except ProcessLookupError:
                    pass
            try:
                self.process.wait(patience)
            except subprocess.TimeoutExpired:
                pass

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def tail(self) -> str:
        """The last of what it said."""
        return " | ".join(self.log.read_text(errors="replace").strip().splitlines()[-2:])[-300:]

    def session(self) -> list[int]:
        """Its processes."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                fields = (folder / "stat").read_text().rsplit(") ", 1)[1].split()
            except OSError:
                continue
            if int(fields[3]) == self.process.pid and fields[0] != "Z":
                found.append(int(folder.name))
        return found

    def cpu(self) -> float:
        """Seconds of processor time so far."""
        ticks = 0
        for pid in self.session():
            try:
                fields = Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1].split()
            except OSError:
                continue
            ticks += int(fields[11]) + int(fields[12])
        return ticks / TICKS

    def resident(self) -> float:
        """MiB."""
        kib = 0
        for pid in self.session():
            try:
                lines = Path(f"/proc/{pid}/status").read_text().splitlines()
            except OSError:
                continue
            kib += sum(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))
        return kib / 1024

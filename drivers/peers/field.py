"""The simulated meters (`drivers/examples/field`), and what they witnessed."""

from __future__ import annotations

import json
import statistics
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from process import die_with_parent

UNITS = 50


@dataclass
class Unit:
    """How one unit was read in a window of so many seconds."""

    questions: int
    # Complete readings' worth of registers.
    worth: float
    complete: list[float]
    window: float

    @property
    def refresh(self) -> float:
        """Mean seconds between two complete readings; with fewer than two, as long as one takes at this rate."""
        if len(self.complete) < 2:
            return self.window / self.worth if self.worth else float("inf")
        return (self.complete[-1] - self.complete[0]) / (len(self.complete) - 1)

    @property
    def longest(self) -> float:
        """The longest time without a complete reading, the borders of the window included."""
        times = [0.0, *self.complete, self.window]
        return max(b - a for a, b in zip(times, times[1:]))


@dataclass
class Report:
    """A window."""

    seconds: float
    units: dict[tuple[str, int], Unit]

    @property
    def questions(self) -> int:
        return sum(unit.questions for unit in self.units.values())

    @property
    def readings(self) -> int:
        return sum(len(unit.complete) for unit in self.units.values())

    @property
    def worth(self) -> float:
        return sum(unit.worth for unit in self.units.values())

    def live(self, silent: list[int]) -> list[Unit]:
        """The units of the port that would answer, those included that were never asked."""
        nobody = Unit(0, 0, [], self.seconds)
        return [self.units.get(("port", n), nobody) for n in range(1, UNITS + 1) if n not in silent]

    def refresh(self, silent: list[int]) -> float:
        """Median of live units; infinite if most of them told nothing."""
        return statistics.median_high(unit.refresh for unit in self.live(silent))

    def never(self, silent: list[int]) -> int:
        """Live units that told nothing."""
        return sum(1 for unit in self.live(silent) if not unit.worth)


class Field:
    """One process for the whole run. It ends when its standard input does, so also when we are killed."""

    def __init__(self, program: Path) -> None:
        self.process = subprocess.Popen(
            [program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, preexec_fn=die_with_parent
        )
        self.host, port = self.order("port").split(":")
        self.port = int(port)

    def order(self, *words: object):
        """Gives an order and returns the answer."""
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write(" ".join(str(word) for word in words) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def report(self) -> Report:
        told = self.order("report")
        units = {
            (u["place"], u["unit"]): Unit(u["questions"], u["registers"] / 20, u["complete"], told["seconds"])
            for u in told["units"]
        }
        return Report(told["seconds"], units)

    def wait(self, patience: float, enough) -> Report:
        """Until the report is `enough`, at most so many seconds."""
        end = time.monotonic() + patience
        while True:
            report = self.report()
            if enough(report) or time.monotonic() >= end:
                return report
            time.sleep(0.5)

    def close(self) -> None:
        assert self.process.stdin
        self.process.stdin.close()
        self.process.wait(5)

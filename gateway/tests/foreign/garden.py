"""Two meters and a relay that know nothing of the gateway, served by pymodbus.

    garden.py SERIAL_PORT

- on Modbus TCP, a port of its own choice, unit 1: an Eastron SDM230
- on Modbus RTU at SERIAL_PORT, unit 5: an Eastron SDM120; unit 9: a relay board whose first coil feeds that meter

Says "tcp PORT" once it listens, "coil open" or "coil closed" whenever that coil moves, and "frozen LAN_WH BARN_WH"
after it was told "freeze", from when on nothing counts any more.
"""

import asyncio
import struct
import sys
import time

from pymodbus.server import ModbusSerialServer, ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

WRITE_COIL = 5


class Meter:
    """Counts whole watt-hours at a steady power while it is fed."""

    def __init__(self, wh, watts):
        self.began_with, self.watts = wh, watts
        self.fed_for, self.fed_since = 0.0, time.monotonic()
        self.frozen = False

    def freeze(self):
        self.frozen = True
        self.feed(False)

    def feed(self, on):
        now = time.monotonic()
        on = on and not self.frozen
        if self.fed_since is not None:
            self.fed_for += now - self.fed_since
        self.fed_since = now if on else None

    def wh(self):
        fed_for = self.fed_for
        if self.fed_since is not None:
            fed_for += time.monotonic() - self.fed_since
        return self.began_with + int(fed_for * self.watts / 3600)

    async def answer(self, _function, start, _address, _count, registers, _written):
        watts = self.watts if self.fed_since is not None else 0.0
        values = {0x00: 230.5, 0x06: watts / 230.5, 0x0C: watts, 0x46: 50.0, 0x48: self.wh() / 1000, 0x4A: 0.0}
        for address, value in values.items():
            at = address - start
            registers[at : at + 2] = struct.unpack(">HH", struct.pack(">f", value))


class Relay:
    """One coil; it is open when the board gets power."""

    def __init__(self, meter):
        self.meter, self.closed = meter, False
        meter.feed(False)

    async def answer(self, function, _start, _address, _count, _registers, written):
        # pymodbus asks twice for one order: to write the coil, and to read it for the answer.
        if function == WRITE_COIL and written and bool(written[0]) != self.closed:
            self.closed = bool(written[0])
            self.meter.feed(self.closed)
            say("coil closed" if self.closed else "coil open")


def say(text):
    print(text, flush=True)


def eastron(unit, meter):
    registers = SimData(0, count=0x4C, datatype=DataType.REGISTERS)
    return SimDevice(id=unit, simdata=[registers], action=meter.answer)


async def main(serial_port):
    # 72 kW: absurd for a home, so that the test need not wait for energy.
    lan, barn = Meter(123_456, 72_000.0), Meter(654_321, 72_000.0)
    relay = Relay(barn)
    coils = SimData(0, values=[False] * 16, datatype=DataType.BITS)
    board = SimDevice(id=9, simdata=[coils], use_bit_addressing=True, action=relay.answer)
    tcp = ModbusTcpServer([eastron(1, lan)], address=("127.0.0.1", 0))
    rtu = ModbusSerialServer([eastron(5, barn), board], port=serial_port, baudrate=9600)
    await tcp.serve_forever(background=True)
    await rtu.serve_forever(background=True)
    say(f"tcp {tcp.transport.sockets[0].getsockname()[1]}")
    while line := await asyncio.to_thread(sys.stdin.readline):
        if line.strip() == "freeze":
            lan.freeze()
            barn.freeze()
            say(f"frozen {lan.wh()} {barn.wh()}")


asyncio.run(main(sys.argv[1]))

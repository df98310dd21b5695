"""Reads registers as somebody else's program would, with pymodbus.

    read.py tcp PORT    or    read.py rtu SERIAL_PORT

For every line "UNIT FIRST COUNT" on standard input, prints the input registers as decimal numbers.
"""

import sys

from pymodbus.client import ModbusSerialClient, ModbusTcpClient

transport, place = sys.argv[1:]
client = ModbusTcpClient("127.0.0.1", port=int(place)) if transport == "tcp" else ModbusSerialClient(place, baudrate=9600)
if not client.connect():
    sys.exit(f"cannot connect to {place}")
for line in sys.stdin:
    unit, first, count = map(int, line.split())
    answer = client.read_input_registers(first, count=count, device_id=unit)
    print("error " + str(answer) if answer.isError() else " ".join(map(str, answer.registers)), flush=True)

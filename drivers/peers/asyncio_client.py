"""One connection, one question for 20 registers after the other, by pymodbus on asyncio: prints readings a second.

asyncio_client.py HOST PORT SECONDS
"""

import asyncio
import sys
import time

from pymodbus.client import AsyncModbusTcpClient


async def main(host: str, port: int, seconds: float) -> None:
    client = AsyncModbusTcpClient(host, port=port)
    if not await client.connect():
        sys.exit(f"{host}:{port}: no connection")
    began, count = time.monotonic(), 0
    while time.monotonic() - began < seconds:
        answer = await client.read_input_registers(0, count=20, device_id=1)
        if answer.isError() or len(answer.registers) != 20:
            sys.exit(f"no reading: {answer}")
        count += 1
    print(count / (time.monotonic() - began))
    client.close()


asyncio.run(main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3])))

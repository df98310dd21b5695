"""Reads one telegram as somebody else's program would, and prints what the meter says it has imported, in Wh.

    telegrams.py p1|sml|mode-c SERIAL_PORT

Uses dsmr-parser for P1, smllib for SML and iec62056-21 for mode C of the standard of that name.
"""

import sys
import time
from decimal import Decimal

import serial

PATIENCE = 30


def pieces(port, baud):
    with serial.Serial(port, baudrate=baud, timeout=PATIENCE) as line:
        line.reset_input_buffer()
        while piece := line.read(max(1, line.in_waiting)):
            yield piece
    sys.exit(f"nothing was said on {port} for {PATIENCE} s")


def p1(port):
    from dsmr_parser import telegram_specifications
    from dsmr_parser.clients.telegram_buffer import TelegramBuffer
    from dsmr_parser.parsers import TelegramParser

    parser = TelegramParser(telegram_specifications.V5, apply_checksum_validation=True)
    buffer = TelegramBuffer()
    for piece in pieces(port, 115200):
        buffer.append(piece.decode("ascii"))
        for text in buffer.get_all():
            telegram = parser.parse(text)
            tariffs = telegram.ELECTRICITY_USED_TARIFF_1, telegram.ELECTRICITY_USED_TARIFF_2
            assert all(tariff.unit == "kWh" for tariff in tariffs), tariffs
            return sum(tariff.value for tariff in tariffs) * 1000


def sml(port):
    from smllib import SmlStreamReader
    from smllib.errors import CrcError

    reader = SmlStreamReader()
    for piece in pieces(port, 9600):
        reader.add(piece)
        try:
            frame = reader.get_frame()
        except CrcError:
            # It began in the middle of one.
            continue
        if frame is not None:
            [total] = [entry for entry in frame.get_obis() if entry.obis == "0100010800ff"]
            assert total.unit == 30, total.unit
            return total.value * Decimal(10) ** total.scaler


def mode_c(port):
    from iec62056_21.messages import AnswerDataMessage
    from iec62056_21.utils import bcc_valid

    # The client of the library listens so late after the acknowledgement that it misses most meters; it only parses.
    with serial.Serial(port, baudrate=300, bytesize=7, parity="E", timeout=PATIENCE) as line:
        line.write(b"/?!\r\n")
        identification = line.read_until(b"\r\n")
        assert identification[4:5] == b"5", identification
        line.write(b"\x06050\r\n")
        time.sleep(0.2)
        line.baudrate = 9600
        data = line.read_until(b"\x03") + line.read(1)
    assert bcc_valid(data), data
    [total] = [entry for entry in AnswerDataMessage.from_bytes(data).data if entry.address == "1.8.0"]
    assert total.unit == "kWh", total.unit
    return Decimal(total.value) * 1000


print(int({"p1": p1, "sml": sml, "mode-c": mode_c}[sys.argv[1]](sys.argv[2])))

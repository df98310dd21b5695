"""Answers questions about OpenPAYGO tokens with the reference implementation, one JSON object a line.

make: {"make": act, "key", "start", "count", "value", "extended"} -> {"count", "digits"}; count is the last one made.
read: {"read": digits, "key", "start", "state": [count, [used]]} -> {"act", "count", "value", "used"} or {"act": "over"} or
{"act": "invalid"}.
"""

import json
import sys

from openpaygo import OpenPAYGOTokenDecoder, OpenPAYGOTokenEncoder, TokenType

ACTS = {
    "add": TokenType.ADD_TIME,
    "set": TokenType.SET_TIME,
    "disable": TokenType.DISABLE_PAYG,
    "sync": TokenType.COUNTER_SYNC,
}
NAMES = {number: name for name, number in ACTS.items()}


def make(ask):
    value = ask["value"] if ask["make"] in ("add", "set") else None
    count, digits = OpenPAYGOTokenEncoder.generate_token(
        ask["key"],
        ask["count"],
        value,
        ACTS[ask["make"]],
        starting_code=ask["start"],
        extended_token=ask["extended"],
    )
    return {"count": count, "digits": digits}


def read(ask):
    count, used = ask["state"]
    try:
        value, kind, count, used = OpenPAYGOTokenDecoder.decode_token(
            ask["read"], ask["key"], count, used, starting_code=ask["start"]
        )
    except UnboundLocalError:
        # Version 0.6.3 forgets to say that twelve digits are no token.
        return {"act": "invalid"}
    if kind == TokenType.INVALID:
        return {"act": "invalid"}
    if kind == TokenType.ALREADY_USED:
        return {"act": "over"}
    return {"act": NAMES[kind], "count": count, "value": value, "used": used}


# All of it first: whoever asks may not read before everything is asked.
for line in sys.stdin.readlines():
    ask = json.loads(line)
    print(json.dumps(make(ask) if "make" in ask else read(ask)), flush=True)

"""A program of few lines, which knows nothing of subbit, and what a test makes it do.

    python small.py HOW

HOW is what it does when it is asked for `proxy_loss`.
"""

import base64
import ctypes
import json
import os
import struct
import sys
import time

REFUSED = {"dtype": "BF16", "shape": [1], "data": [1]}
DO = {
    "crash": lambda: ctypes.string_at(0),
    "exit": lambda: os._exit(3),
    "hang": lambda: time.sleep(1000),
    "spin": lambda: any(iter(int, 1)),
    "close": lambda: (os.close(1), time.sleep(1000)),
    "memory": lambda: bytearray(2**31),
}
SAY = {
    "number": {"type": "result", "id": 0, "value": 1.0},
    "type": {"type": "answer", "value": 1.0},
    "form": {"type": "result", "value": REFUSED},
    "file": {"type": "result", "value": 1.0, "tensors": "../away"},
    "ask": {"type": "ask", "callback": "c9", "arguments": []},
    "error": {"type": "error", "error": {"kind": "other", "message": "out of luck"}},
    "not an error": {"type": "error", "error": {"kind": "luck"}},
    "missing": {"type": "not_implemented", "message": "not yet"},
}

CHATTER = {
    "chatter": "Hello!",
    "two values": f'{{"type": "result", "value": [{"1, " * 50}2] [3]}}',
    "nan": '{"type": "result", "value": -nan}',
    "NaN": '{"type": "result", "value": NaN}',
    "list": "[1]",
}


def say(line):
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def rows(array):
    count, width = array["shape"]
    numbers = struct.unpack(f"<{count * width}d", base64.b64decode(array["base64"]))
    return [numbers[i * width : (i + 1) * width] for i in range(count)]


def weight_error(W, Q):
    pairs = zip(rows(W), rows(Q), strict=True)
    return sum((w - q) ** 2 for ws, qs in pairs for w, q in zip(ws, qs, strict=True))


def answer(call):
    if call["type"] == "hello":
        return {"type": "hello", "protocol": 1, "functions": ["proxy_loss", "weight_error"]}
    if call["function"] == "weight_error":
        return {"type": "result", "value": weight_error(**call["arguments"])}
    how = sys.argv[1]
    try:
        DO.get(how, int)()
    except MemoryError:
        return {"type": "error", "error": {"kind": "memory", "message": "no memory"}}
    return SAY.get(how, {})


for text in sys.stdin:
    message = json.loads(text)
    own = {"id": message["id"]} if "id" in message else {}
    line = CHATTER.get(sys.argv[1]) if message.get("function") == "proxy_loss" else None
    say(line or json.dumps(own | answer(message)))

"""Run single PTX instructions on the simulated device, one case per lane."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from subbit.fast.device.simulated import Simulated
from subbit.fast.device.simulated.parse import parse
from subbit.fast.device.simulated.program import Program

_WIDTH = {"b16": 16, "b32": 32, "b64": 64, "p": 32}


def run_instruction(
    instruction: str, into: str, kinds: Sequence[str], operands: Sequence[Any], tail: str = ""
) -> np.ndarray[Any, Any]:
    """Return the bits of the results.

    `instruction` is the opcode, `into` the type of its result (b16, b32, b64 or p), `kinds`
    the widths of its operands (b16, b32 or b64) and `operands` their bits.
    """
    count = len(operands[0])
    widths = [int(k[1:]) for k in kinds]
    arrays = [np.array(v, f"u{w // 8}") for v, w in zip(operands, widths, strict=True)]
    result = np.zeros(count, f"u{_WIDTH[into] // 8}")
    lines = []
    for i, width in enumerate(widths):
        lines.append(f"ld.param.u64 %a, [p{i}]; mad.lo.u64 %a, %t, {width // 8}, %a;"
                     f"ld.global.b{width} %x{width}_{i}, [%a];")  # fmt: skip
    names = [f"%x{w}_{i}" for i, w in enumerate(widths)]
    target = {"b16": "%h", "b32": "%r", "b64": "%rd", "p": "%q"}[into]
    lines.append(f"{instruction} {', '.join([target, *names, *([tail] if tail else [])])};")
    if into == "p":
        lines.append("selp.b32 %r, 1, 0, %q;")
        target = "%r"
    size = _WIDTH[into]
    parameters = ", ".join(f".param .u64 p{i}" for i in range(len(kinds) + 1))
    text = f""".version 8.0
.target sm_80
.visible .entry k({parameters}, .param .u32 n) {{
.reg .b64 %a, %t, %rd; .reg .b32 %r, %i, %n, %b, %d; .reg .b16 %h; .reg .pred %q, %out;
.reg .b16 %x16_<4>; .reg .b32 %x32_<4>; .reg .b64 %x64_<4>;
mov.u32 %i, %tid.x; mov.u32 %b, %ctaid.x; mov.u32 %d, %ntid.x; mad.lo.u32 %i, %b, %d, %i;
ld.param.u32 %n, [n]; setp.ge.u32 %out, %i, %n; @%out bra END;
cvt.u64.u32 %t, %i;
{chr(10).join(lines)}
ld.param.u64 %a, [p{len(kinds)}]; mad.lo.u64 %a, %t, {size // 8}, %a;
st.global.b{size} [%a], {target};
END: ret; }}"""
    program = Program(parse(text), "k")
    args = (*arrays, result, np.uint32(count))
    Simulated().launch_program(program, -(-count // 1024), min(count, 1024), args)
    return result

"""Ask NVIDIA's assembler what every opcode does, and write down its answers.

ptxas folds constant expressions, so the machine code of an instruction with constant
operands holds its result: NVIDIA's own arithmetic, without a GPU. The table in
opcode_table.json is what the simulated device is tested against where there is no ptxas.

    python tests/device/make_opcode_table.py [--check]
"""

import argparse
import json
import re
import shutil
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from subbit.fast.device.static import disassemble

TABLE = Path(__file__).with_name("opcode_table.json")
CASES = 32

# Instruction: result type, operand types. The types say which numbers are tried.
OPCODES = {
    "add.s32": "b32 i32 i32", "sub.s32": "b32 i32 i32", "mul.lo.s32": "b32 i32 i32",
    "mul.hi.s32": "b32 i32 i32", "mul.hi.u32": "b32 i32 i32", "mul.wide.s32": "b64 i32 i32",
    "mul.wide.u32": "b64 i32 i32", "mul24.lo.s32": "b32 i32 i32", "mul24.lo.u32": "b32 i32 i32",
    "mad.lo.s32": "b32 i32 i32 i32", "mad.wide.s32": "b64 i32 i32 i64",
    "mad.hi.s32": "b32 i32 i32 i32", "mad.hi.u32": "b32 i32 i32 i32",
    "add.s64": "b64 i64 i64", "sub.s64": "b64 i64 i64", "mul.lo.s64": "b64 i64 i64",
    "mul.hi.s64": "b64 i64 i64", "mul.hi.u64": "b64 i64 i64", "add.sat.s32": "b32 i32 i32",
    "sub.sat.s32": "b32 i32 i32",
    "div.s32": "b32 i32 n32", "div.u32": "b32 i32 n32", "rem.s32": "b32 i32 n32",
    "rem.u32": "b32 i32 n32", "div.s64": "b64 i64 n64", "rem.u64": "b64 i64 n64",
    "abs.s32": "b32 i32", "neg.s32": "b32 i32", "abs.s64": "b64 i64", "sad.u32": "b32 i32 i32 i32",
    "sad.s32": "b32 i32 i32 i32",
    "min.s32": "b32 i32 i32", "max.u32": "b32 i32 i32", "min.u64": "b64 i64 i64",
    "max.s64": "b64 i64 i64",
    "and.b32": "b32 i32 i32", "or.b32": "b32 i32 i32", "xor.b64": "b64 i64 i64",
    "not.b32": "b32 i32",
    "cnot.b32": "b32 i32",
    "shl.b32": "b32 i32 c32", "shr.u32": "b32 i32 c32", "shr.s32": "b32 i32 c32",
    "shl.b64": "b64 i64 c32", "shr.s64": "b64 i64 c32",
    "shf.l.wrap.b32": "b32 i32 i32 c32", "shf.r.clamp.b32": "b32 i32 i32 c32",
    "shf.r.wrap.b32": "b32 i32 i32 c32", "shf.l.clamp.b32": "b32 i32 i32 c32",
    "popc.b32": "b32 i32", "popc.b64": "b32 i64", "clz.b32": "b32 i32", "clz.b64": "b32 i64",
    "brev.b32": "b32 i32", "brev.b64": "b64 i64", "bfind.u32": "b32 i32", "bfind.s32": "b32 i32",
    "bfind.shiftamt.u32": "b32 i32", "bfind.u64": "b32 i64",
    "bfe.u32": "b32 i32 c32 c32", "bfe.s32": "b32 i32 c32 c32", "bfe.s64": "b64 i64 c32 c32",
    "bfi.b32": "b32 i32 i32 c32 c32", "bfi.b64": "b64 i64 i64 c32 c32",
    "prmt.b32": "b32 i32 i32 i32", "prmt.b32.f4e": "b32 i32 i32 i32",
    "prmt.b32.rc16": "b32 i32 i32 i32",
    "prmt.b32.b4e": "b32 i32 i32 i32", "prmt.b32.ecl": "b32 i32 i32 i32",
    "prmt.b32.ecr": "b32 i32 i32 i32", "prmt.b32.rc8": "b32 i32 i32 i32",
    "dp4a.s32.s32": "b32 i32 i32 i32", "dp4a.u32.s32": "b32 i32 i32 i32",
    "dp2a.lo.s32.s32": "b32 i32 i32 i32", "dp2a.hi.u32.u32": "b32 i32 i32 i32",
    "bmsk.clamp.b32": "b32 c32 c32", "szext.clamp.s32": "b32 i32 c32",
    "szext.clamp.u32": "b32 i32 c32",
    "lop3.b32:0x1b": "b32 i32 i32 i32", "lop3.b32:0xe8": "b32 i32 i32 i32",
    "add.rn.f32": "b32 f32 f32", "sub.rn.f32": "b32 f32 f32", "mul.rn.f32": "b32 f32 f32",
    "add.rn.ftz.f32": "b32 f32 f32", "mul.rn.ftz.f32": "b32 f32 f32", "add.rz.f32": "b32 f32 f32",
    "add.rm.f32": "b32 f32 f32", "mul.rp.f32": "b32 f32 f32", "mul.rz.ftz.f32": "b32 f32 f32",
    "add.rn.sat.f32": "b32 f32 f32",
    "fma.rn.f32": "b32 f32 f32 f32", "div.rn.f32": "b32 f32 f32", "sqrt.rn.f32": "b32 f32",
    "rcp.rn.f32": "b32 f32",
    "min.f32": "b32 f32 f32", "max.f32": "b32 f32 f32", "max.NaN.f32": "b32 f32 f32",
    "min.ftz.f32": "b32 f32 f32", "abs.f32": "b32 f32", "neg.f32": "b32 f32",
    "copysign.f32": "b32 f32 f32",
    "add.rn.f64": "b64 f64 f64", "mul.rn.f64": "b64 f64 f64", "fma.rn.f64": "b64 f64 f64 f64",
    "div.rn.f64": "b64 f64 f64", "sqrt.rn.f64": "b64 f64", "max.f64": "b64 f64 f64",
    "cvt.rn.f32.s32": "b32 i32", "cvt.rn.f32.u32": "b32 i32", "cvt.rz.f32.s32": "b32 i32",
    "cvt.rp.f32.u32": "b32 i32", "cvt.rn.f32.s64": "b32 i64", "cvt.rn.f32.u64": "b32 i64",
    "cvt.rm.f32.s64": "b32 i64",
    "cvt.rn.f64.s64": "b64 i64", "cvt.rn.f64.u64": "b64 i64", "cvt.rn.f64.s32": "b64 i32",
    "cvt.rzi.s32.f32": "b32 f32", "cvt.rzi.u32.f32": "b32 f32", "cvt.rni.s32.f32": "b32 f32",
    "cvt.rmi.s32.f32": "b32 f32", "cvt.rpi.s32.f32": "b32 f32", "cvt.rzi.s64.f32": "b64 f32",
    "cvt.rzi.u64.f32": "b64 f32", "cvt.rzi.s32.f64": "b32 f64", "cvt.rzi.s64.f64": "b64 f64",
    "cvt.rzi.ftz.s32.f32": "b32 f32",
    "cvt.rni.f32.f32": "b32 f32", "cvt.rzi.f32.f32": "b32 f32", "cvt.rmi.f32.f32": "b32 f32",
    "cvt.f64.f32": "b64 f32", "cvt.ftz.f64.f32": "b64 f32", "cvt.rn.f32.f64": "b32 f64",
    "cvt.rz.f32.f64": "b32 f64", "cvt.rn.ftz.f32.f64": "b32 f64", "cvt.sat.f32.f32": "b32 f32",
    "cvt.rn.f16.f32": "b16 f32", "cvt.rz.f16.f32": "b16 f32", "cvt.f32.f16": "b32 f16",
    "cvt.rn.bf16.f32": "b16 f32", "cvt.rz.bf16.f32": "b16 f32", "cvt.f64.f16": "b64 f16",
    "cvt.rn.f16.s32": "b16 i32", "cvt.rzi.s32.f16": "b32 f16", "cvt.rn.f16.f64": "b16 f64",
    "cvt.rn.f16x2.f32": "b32 f32 f32", "cvt.rn.bf16x2.f32": "b32 f32 f32",
    "cvt.s32.s16": "b32 i16", "cvt.u32.u16": "b32 i16", "cvt.s64.s32": "b64 i32",
    "cvt.u64.u32": "b64 i32", "cvt.u32.u64": "b32 i64", "cvt.s16.s32": "b16 i32",
    "cvt.sat.s16.s32": "b16 i32", "cvt.sat.u16.s32": "b16 i32", "cvt.sat.s32.u32": "b32 i32",
    "cvt.sat.s32.s64": "b32 i64", "cvt.s32.s8": "b32 i32",
    "add.f16": "b16 f16 f16", "mul.f16": "b16 f16 f16", "fma.rn.f16": "b16 f16 f16 f16",
    "add.f16x2": "b32 i32 i32", "fma.rn.f16x2": "b32 i32 i32 i32",
    "fma.rn.bf16x2": "b32 i32 i32 i32",
    "setp.lt.f32": "p f32 f32", "setp.geu.f32": "p f32 f32", "setp.ne.f32": "p f32 f32",
    "setp.num.f32": "p f32 f32", "setp.eq.ftz.f32": "p f32 f32", "setp.lt.s32": "p i32 i32",
    "setp.hi.u32": "p i32 i32", "setp.le.u64": "p i64 i64", "setp.gt.f64": "p f64 f64",
    "setp.lt.f16": "p f16 f16", "set.lt.u32.f32": "b32 f32 f32", "set.ge.f32.s32": "b32 i32 i32",
    "ex2.approx.ftz.f32": "b32 f32", "rcp.approx.ftz.f32": "b32 f32",
    "rsqrt.approx.ftz.f32": "b32 f32", "lg2.approx.ftz.f32": "b32 f32",
    "sqrt.approx.ftz.f32": "b32 f32", "div.approx.ftz.f32": "b32 f32 f32",
}  # fmt: skip

_EDGES = {
    "i": [0, 1, -1, 2, 31, 32, 1 << 31, (1 << 31) - 1, 0x80000001, 1 << 63, (1 << 63) - 1, 0xFF],
    "f32": [0x0, 0x80000000, 0x3F800000, 0xBF800000, 0x7F800000, 0xFF800000, 0x7FC00000, 0x00000001,
            0x807FFFFF, 0x00800000, 0x7F7FFFFF, 0x4F000000, 0x5F000000, 0x3FC00000, 0x3F000001],
    "f64": [0x0, 1 << 63, 0x3FF0000000000000, 0x7FF0000000000000, 0x7FF8000000000000, 0x1,
            0x41DFFFFFFFC00000, 0xC3E0000000000000, 0x47EFFFFFF0000000, 0x36A0000000000001,
            0x3FF0000010000000, 0x3FF0000030000001],
    "f16": [0x0, 0x8000, 0x3C00, 0xBC00, 0x7C00, 0x7E00, 0x0001, 0x03FF, 0x0400, 0x7BFF, 0x3555],
}  # fmt: skip


def numbers(kind: str, rng: np.random.Generator, count: int, *, first: bool) -> list[int]:
    """Return operands of a type: edges first, then random ones."""
    bits = int(kind[1:])
    mask = (1 << bits) - 1
    if kind[0] == "c":
        return [int(x) for x in rng.choice([0, 1, 5, 8, 31, 32, 33, 40, 63, 64, 200], count)]
    if kind[0] in "in":
        edges = [e & mask for e in _EDGES["i"]]
        drawn = [int(x) >> int(rng.integers(0, bits)) for x in rng.integers(0, 1 << 63, count)]
        values = [
            e if rng.random() < 0.3 else d
            for e, d in zip(rng.choice(edges, count), drawn, strict=True)
        ]
        return [(int(v) & mask) or (kind[0] == "n") * 7 for v in values]
    edges = [int(rng.choice(np.array(_EDGES[kind], np.uint64))) for _ in range(count)]
    drawn = [e if rng.random() < 0.3 else _random_float(kind, rng) for e in edges]
    return [*_EDGES[kind], *drawn][:count] if first else drawn


def _random_float(kind: str, rng: np.random.Generator) -> int:
    if rng.random() < 0.3:
        return int(rng.integers(0, 1 << 63)) & ((1 << int(kind[1:])) - 1)
    value = float(rng.standard_normal() * 2.0 ** int(rng.integers(-12, 13)))
    code, integer = {"f32": ("f", "I"), "f64": ("d", "Q"), "f16": ("e", "H")}[kind]
    return int(struct.unpack(integer, struct.pack(code, value))[0])


def statement(name: str, into: str, operands: list[str]) -> str:
    """Return the PTX of an instruction; ``lop3.b32:0x1b`` has its table behind the colon."""
    name, _, table = name.partition(":")
    tail = [table] if table else []
    return f"{name} {', '.join([into, *operands, *tail])};"


HEADER = ".version 8.0\n.target sm_80\n.address_size 64\n"


def entry(label: str, name: str, cases: list[list[int]]) -> str:
    """Return a PTX kernel that computes the cases from constants and stores the results."""
    into, *kinds = OPCODES[name].split()
    lines = []
    for i, case in enumerate(cases):
        operands = []
        for j, (kind, value) in enumerate(zip(kinds, case, strict=True)):
            bits = kind[1:]
            lines.append(f"mov.b{bits} %c{bits}_{j}, {value:#x};")
            operands.append(f"%c{bits}_{j}")
        result = {"b32": "%r", "b64": "%rd", "b16": "%h", "p": "%p"}[into]
        lines.append(statement(name, result, operands))
        lines += {
            "b32": [f"st.global.b32 [%base+{8 * i}], %r;"],
            "b64": ["mov.b64 {%r, %r2}, %rd;", f"st.global.b32 [%base+{8 * i}], %r;",
                    f"st.global.b32 [%base+{8 * i + 4}], %r2;"],
            "b16": ["cvt.u32.u16 %r, %h;", f"st.global.b32 [%base+{8 * i}], %r;"],
            "p": ["selp.b32 %r, 1, 0, %p;", f"st.global.b32 [%base+{8 * i}], %r;"],
        }[into]  # fmt: skip
    body = "\n".join(lines)
    return f""".visible .entry {label}(.param .u64 {label}_out) {{
.reg .b64 %base, %rd; .reg .b32 %r, %r2; .reg .b16 %h; .reg .pred %p;
.reg .b32 %c32_<4>; .reg .b64 %c64_<4>; .reg .b16 %c16_<4>;
ld.param.u64 %base, [{label}_out];
cvta.to.global.u64 %base, %base;
{body}
ret; }}
"""


def folded(ptx: str) -> dict[str, dict[int, int]]:
    """Return the constants that each kernel's machine code stores, by offset in bytes."""
    with tempfile.TemporaryDirectory() as folder:
        source, cubin = Path(folder, "k.ptx"), Path(folder, "k.cubin")
        source.write_text(ptx)
        command = [str(shutil.which("ptxas")), "-arch=sm_80", str(source), "-o", str(cubin)]
        subprocess.run(command, check=True, capture_output=True)
        text = disassemble(cubin.read_bytes())
    result: dict[str, dict[int, int]] = {}
    for part in text.split("Function : ")[1:]:
        known: dict[str, int | None] = {"RZ": 0}
        stores = result.setdefault(part.split()[0], {})
        if re.search(r"\b(CALL|BSSY)", part):
            continue  # not folded: the value of a register depends on the path
        for match in re.finditer(r"/\*[0-9a-f]{4,}\*/\s+(.*?) ?;", part):
            _follow(match[1], known, stores)
    return result


def _follow(text: str, known: dict[str, int | None], stores: dict[int, int]) -> None:
    """Track the registers whose value is a constant through one machine instruction."""
    store = re.match(r"STG\.E(\.64|\.128)? \S*?\[R\d+(?:\.64)?(?:\+(0x[0-9a-f]+))?\], (R\w+)", text)
    if store:
        width = {None: 1, ".64": 2, ".128": 4}[store[1]]
        first = int(store[2] or "0", 16)
        for i in range(width):
            name = store[3] if store[3] == "RZ" else f"R{int(store[3][1:]) + i}"
            value = known.get(name)
            if value is not None:
                stores[first + 4 * i] = value
        return
    into = re.match(r"(@!?\w+ )?(\S+) (R\d+), (.*)", text)
    if into is None:
        return
    guard, opcode, register, rest = into.groups()
    known[register] = None if guard else _value(opcode, rest, known)
    if ".WIDE" in opcode or ".64" in opcode:
        known[f"R{int(register[1:]) + 1}"] = None
    if opcode == "CS2R" and rest == "SRZ":
        known[f"R{int(register[1:]) + 1}"] = 0


def _value(opcode: str, rest: str, known: dict[str, int | None]) -> int | None:
    """Return the constant that an instruction loads, None for any other."""
    parts = [p.strip() for p in rest.split(",")]
    if (opcode == "MOV" and len(parts) == 1) or (
        opcode == "IMAD.MOV.U32" and parts[:2] == ["RZ", "RZ"]
    ):
        last = parts[-1]
        return int(last, 16) if last.startswith("0x") else known.get(last)
    if opcode.startswith("HFMA2") and parts[:2] == ["-RZ", "RZ"]:
        if "NAN" in rest:
            return None  # the disassembler does not say which
        high, low = (struct.unpack("H", struct.pack("e", _half(p)))[0] for p in parts[2:4])
        return int(high << 16 | low)
    return 0 if opcode.startswith("CS2R") else None


def _half(text: str) -> float:
    return float(text.replace("INF", "inf"))


def cases_of(k: int, name: str) -> list[list[int]]:
    """Return the operands that are tried for the k-th opcode."""
    rng = np.random.default_rng(k)
    kinds = OPCODES[name].split()[1:]
    columns = [numbers(kind, rng, CASES, first=i == 0) for i, kind in enumerate(kinds)]
    return [list(case) for case in zip(*columns, strict=True)]


def make() -> dict[str, list[list[int]]]:
    """Return the answers: operands and result of every case that ptxas folded."""
    cases = {name: cases_of(k, name) for k, name in enumerate(OPCODES)}
    entries = [entry(f"k{k}", name, cases[name]) for k, name in enumerate(OPCODES)]
    stores = folded(HEADER + "\n".join(entries))
    table: dict[str, list[list[int]]] = {}
    for k, name in enumerate(OPCODES):
        found, wide = stores[f"k{k}"], OPCODES[name].startswith("b64")
        table[name] = []
        for i, case in enumerate(cases[name]):
            need = [8 * i, 8 * i + 4] if wide else [8 * i]
            if all(at in found for at in need):
                result = sum(found[at] << 32 * j for j, at in enumerate(need))
                table[name].append([*case, result])
    return table


def dumps(table: dict[str, list[list[int]]]) -> str:
    """Return the table as text, one opcode per line, numbers in base 16."""
    lines = [
        f'"{name}": "' + " ".join(",".join(f"{v:x}" for v in row) for row in rows) + '"'
        for name, rows in table.items()
    ]
    return "{\n" + ",\n".join(lines) + "\n}\n"


def loads(text: str) -> dict[str, list[list[int]]]:
    """Return the table from its text."""
    return {
        name: [[int(v, 16) for v in row.split(",")] for row in rows.split()]
        for name, rows in json.loads(text).items()
    }


def main() -> int:
    """Make the table, or compare the committed one with a new one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare only")
    text = dumps(make())
    if parser.parse_args().check:
        return int(text != TABLE.read_text())
    TABLE.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Reads a file of layer records by what `docs/format.md` says, and knows nothing of subbit."""

import hashlib
import itertools
import json
import math

import numpy as np

TYPES = {"U8": "u1", "F16": "<f2", "F32": "<f4", "F64": "<f8"}


def safetensors(data):
    end = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:end])
    about = header.pop("__metadata__")
    return about, {
        name: np.frombuffer(data[end:][slice(*t["data_offsets"])], dtype=TYPES[t["dtype"]])
        for name, t in header.items()
    }


class Parts:
    """What is left of each tensor of a layer."""

    def __init__(self, tensors):
        self.bits = {n: list(np.unpackbits(x)) for n, x in tensors.items() if x.dtype == "u1"}
        self.values = {n: list(map(float, x)) for n, x in tensors.items() if x.dtype != "u1"}
        self.references = []

    def next_bits(self, part, count):
        own = self.bits.get(part, [])
        taken, own[:count] = own[:count], []
        assert len(taken) == count, part
        return taken

    def wholes(self, part, count, width):
        bits = np.reshape(self.next_bits(part, count * width), (count, width))
        return [sum(int(b) << i for i, b in enumerate(row)) for row in bits]

    def numbers(self, part, count):
        own = self.values.get(part, [])
        taken, own[:count] = own[:count], []
        assert len(taken) == count, part
        return np.array(taken)


def width_of(count):
    return math.ceil(math.log2(count)) if count else 0


def kept_entries(parts, layout, shape):
    (rows, columns), named = shape, np.ones(shape, dtype=bool)
    if "pattern" in layout:
        keep, group = layout["pattern"]
        patterns = list(itertools.combinations(range(group), keep))
        count = columns // group
        numbers = parts.wholes("pattern_map", rows * count, width_of(len(patterns)))
        named[:, : count * group] = False
        for place, number in enumerate(numbers):
            for column in patterns[number]:
                named[place // count, place % count * group + column] = True
    if layout["kept"] == "columns":
        named &= np.array(parts.next_bits("kept_map", columns), dtype=bool)
    if layout["kept"] == "entries":
        named[named] = parts.next_bits("kept_map", int(named.sum()))
    return named


def block(parts, layout, shape):
    salient = np.zeros(shape[1], dtype=bool)
    if layout["salient"]:
        salient[:] = parts.next_bits("column_map", shape[1])
    kept = kept_entries(parts, layout, shape)
    masks = [np.zeros(shape, dtype=bool) for _ in layout["groups"]]
    for columns, places in zip((salient, ~salient), layout["zones"], strict=True):
        here = np.argwhere(kept & columns)
        for (i, j), one in zip(
            here, parts.wholes("group_map", len(here), width_of(len(places))), strict=True
        ):
            masks[places[one]][i, j] = True
    decoded = np.zeros(shape)
    for group, mask in zip(layout["groups"], masks, strict=True):
        if mask.any():
            decoded[mask] = values(parts, group, mask)[mask]
    return decoded


CODES = ["0", "1", "1:16", "2:16", "3:16", "2", "3", "4"]


def levels(parts, group, shape):
    rows, columns = shape
    code = CODES[parts.wholes("column_map", 1, 3)[0]]
    if code == "0":
        return np.zeros(shape)
    if group["reference"] == len(parts.references):
        parts.references.append(parts.numbers("references", rows))
    scale = parts.references[group["reference"]][:, None]
    if group["exponents"]:
        codes = np.array(parts.wholes("exponents", rows, 8))
        scale = scale * 2.0 ** ((codes[:, None] - 128) / 16)
    wide = parts.numbers("scales", columns) if group["column_scale"] else np.ones(columns)
    if ":" not in code:
        p = int(code)
        codes = np.reshape(parts.wholes("codes", rows * columns, p), shape)
        return scale * (2.0 * codes - 2**p + 1) * wide
    found = np.reshape(2.0 * np.array(parts.next_bits("signs", rows * columns)) - 1, shape)
    patterns = list(itertools.combinations(range(16), int(code[0])))
    count = columns // 16
    for place, number in enumerate(
        parts.wholes("level_map", rows * count, width_of(len(patterns)))
    ):
        for column in patterns[number]:
            found[place // count, place % count * 16 + column] *= 3
    return scale * found * wide


def product(parts, group, shape):
    (rows, columns), rank = shape, group["rank"]
    left, right = (
        np.reshape(2.0 * np.array(parts.next_bits("signs", n * m)) - 1, (n, m))
        for n, m in ((rows, rank), (rank, columns))
    )
    scale = parts.numbers("scales", rows)[:, None]
    return scale * (left @ right) * parts.numbers("scales", columns)


def haar(parts, group, shape):
    rows, decoded, rest = shape[0], np.zeros(shape), np.ones(shape[1], dtype=bool)
    for term in group["haar"]:
        columns = rest.copy() if term["columns"] == "rest" else np.ones(shape[1], dtype=bool)
        if term["columns"] == "map":
            columns[:] = parts.next_bits("column_map", shape[1])
        rest &= ~columns
        width = int(columns.sum())
        low = width if term["axis"] == "rows" else (width + 1) // 2
        bands = [slice(0, low), slice(low, width)][: len(term["bands"])]
        masks = [np.zeros((rows, width), dtype=bool) for _ in term["groups"]]
        for band, places in zip(bands, term["bands"], strict=True):
            of = parts.wholes("group_map", rows * (band.stop - band.start), width_of(len(places)))
            for place, one in enumerate(places):
                masks[one][:, band] = np.reshape(of, (rows, -1)) == place
        coefficients = np.zeros((rows, width))
        for own, mask in zip(term["groups"], masks, strict=True):
            if mask.any():
                coefficients += np.where(mask, values(parts, own, mask), 0.0)
        if group["shared_means"]:
            for band in bands:
                coefficients[:, band] += parts.numbers("means", rows)[:, None]
        decoded[:, columns] += unpaired(coefficients, term["axis"])
    return decoded


def unpaired(coefficients, axis):
    C = coefficients.T if axis == "rows" else coefficients
    k = C.shape[1]
    X, low = C[:, : (k + 1) // 2].repeat(2, axis=1)[:, :k], C[:, (k + 1) // 2 :]
    X[:, : k - k % 2] += low.repeat(2, axis=1) * np.resize([1, -1], k - k % 2)
    X[:, : k - k % 2] /= math.sqrt(2)
    return X.T if axis == "rows" else X


def values(parts, group, mask):
    rows, found, count = len(mask), np.zeros(mask.shape), int(mask.sum())
    if "plain" in group:
        found[mask] = parts.numbers("values", count)
    elif "levels" in group:
        found = levels(parts, group, mask.shape)
    elif "rank" in group:
        found = product(parts, group, mask.shape)
    elif "haar" in group:
        used = mask[0]
        found[:, used] = haar(parts, group, (rows, int(used.sum())))
    elif "bits" in group:
        found[mask] = parts.wholes("codes", count, group["bits"])
        zero = np.array(parts.wholes("zero_points", rows, group["bits"]))
        found = parts.numbers("scales", rows)[:, None] * (found - zero[:, None])
    else:
        for plane in group["planes"]:
            sign = np.zeros(mask.shape)
            signs = 2.0 * np.array(parts.next_bits("signs", count)) - 1
            if plane["zeros"]:
                signs[np.array(parts.next_bits("zero_signs", count), dtype=bool)] = 0
            sign[mask] = signs
            sign *= parts.numbers("scales", rows)[:, None]
            if plane["column_scale"]:
                used = mask.any(axis=0)
                sign[:, used] *= parts.numbers("scales", int(used.sum()))
            found += sign
        if group["mean"]:
            found += parts.numbers("means", rows)[:, None]
    return found


def read(data):
    """Return the decoded weights of each layer."""
    about, tensors = safetensors(data)
    said = json.loads(about["subbit"])
    digest = hashlib.sha256(json.dumps(said["content"], separators=(",", ":")).encode())
    for name in sorted(tensors):
        dtype = {"u1": "uint8", "f2": "float16", "f4": "float32", "f8": "float64"}
        values_ = tensors[name]
        digest.update(f"{name} {dtype[values_.dtype.str[1:]]} ({len(values_)},)".encode())
        digest.update(values_.tobytes())
    assert digest.hexdigest() == said["sha256"]
    layers = {}
    for name, layout in said["content"]["layers"].items():
        own = {n.rpartition("/")[2]: x for n, x in tensors.items() if n.rpartition("/")[0] == name}
        parts, (rows, columns) = Parts(own), layout["shape"]
        blocks, start = [], 0
        for stop, place in layout["blocks"]:
            blocks.append(block(parts, layout["patterns"][place], (rows, stop - start)))
            start = stop
        layers[name] = np.concatenate(blocks, axis=1)
        if layout["ordered"]:
            order = parts.wholes("order", columns, width_of(columns))
            layers[name][:, order] = layers[name].copy()
    return layers

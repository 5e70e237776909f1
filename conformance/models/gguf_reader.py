"""Reading GGUF metadata in one pass
=================================

The `gguf` library makes several arrays of each element of an array in the metadata, and a
tokenizer has a hundred thousand. The reader here takes the elements of an array together;
all else is the library's. If the library renames the method that is replaced, files are read
as before, only slower.
"""

import struct
import sys
from functools import cache
from typing import Any, TypeAlias

import numpy as np

_Parts: TypeAlias = tuple[int, list[Any], list[int], list[Any]]
"""Bytes, parts, numbers of the parts that are values, and types, as the library has them."""
HEAD = 12  # bytes of an array before its elements: their type and their number
LENGTH = 8  # bytes of a string before its text


@cache
def reader_class(library: Any) -> Any:  # noqa: ANN401 - an untyped library
    """Return a reader of GGUF files that reads the arrays of the metadata quickly.

    Parameters
    ----------
    library : module
        The `gguf` library.

    Returns
    -------
    type
        A kind of ``gguf.GGUFReader`` with the same fields and tensors.
    """
    kinds = library.GGUFValueType

    class Reader(library.GGUFReader):  # type: ignore[misc]
        def _get_field_parts(self, orig_offs: int, raw_type: int) -> _Parts:
            if raw_type != kinds.ARRAY:
                return super()._get_field_parts(orig_offs, raw_type)
            item, length = self._get(orig_offs, np.uint32), self._get(orig_offs + 4, np.uint64)
            kind, count, first = kinds(item[0]), int(length[0]), orig_offs + HEAD
            if kind == kinds.STRING:
                elements, stop = _strings(self.data, first, count, swapped=self.byte_order == "S")
            elif kind in self.gguf_scalar_to_np:
                values = self._get(first, self.gguf_scalar_to_np[kind], count)
                _check_inside(count, len(values))
                elements, stop = [values], first + values.nbytes
            else:
                return super()._get_field_parts(orig_offs, raw_type)
            parts = [item, length, *elements]
            return stop - orig_offs, parts, list(range(2, len(parts))), [kinds.ARRAY, kind]

    return Reader


def _strings(
    data: Any,  # noqa: ANN401 - a memory map
    start: int,
    count: int,
    *,
    swapped: bool,
) -> tuple[list[Any], int]:
    """Return the strings that begin at an offset, and the offset after the last one."""
    little = (sys.byteorder == "little") != swapped
    read = struct.Struct("<Q" if little else ">Q").unpack_from
    buffer, offset, found = memoryview(data), start, []
    for _ in range(count):
        _check_inside(offset + LENGTH, len(buffer))
        first, stop = offset + LENGTH, offset + LENGTH + read(buffer, offset)[0]
        _check_inside(stop, len(buffer))
        found.append(buffer[first:stop])
        offset = stop
    return found, offset


def _check_inside(stop: int, end: int) -> None:
    if stop > end:
        message = "an array goes on after the end of the file"
        raise ValueError(message)

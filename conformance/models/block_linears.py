"""The linears of a decoder block, found by observing one pass
===========================================================

A linear is a matrix by which the block multiplies: the weight of a ``Linear`` or ``Conv1D``
module, or one matrix of a parameter that stacks those of all experts, along an axis of its
own or row upon row (`products`). Each expert's matrix is a linear of its own, such as
``mlp.experts.3.down_proj``, and its input is the tokens that the router sends there.

Linears share an input if the very same tensor goes into them. Every other matrix of the
block stays in full precision, and is listed: routers and gates, convolutions, and what is
used in some other way.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from .base import Linear
from .decoder import Module
from .products import Place, Watch, expert_name, plain_kinds

KINDS = {
    "q_proj": "q", "k_proj": "k", "v_proj": "v", "qkv_proj": "qkv", "query_key_value": "qkv",
    "c_attn": "qkv", "Wqkv": "qkv", "W_pack": "qkv", "o_proj": "o", "out_proj": "o",
    "c_proj": "o", "mlp.c_proj": "fc2", "self_attn.dense": "o", "attention.dense": "o",
    "self_attention.dense": "o", "gate_proj": "gate", "up_proj": "up", "gate_up_proj": "gate_up",
    "down_proj": "down", "c_fc": "fc1", "fc_in": "fc1", "fc_out": "fc2",
    "dense_h_to_4h": "fc1", "dense_4h_to_h": "fc2",
}  # fmt: skip
INPUTS = {
    "q": "attention_input", "k": "attention_input", "v": "attention_input",
    "qkv": "attention_input", "o": "attention_heads", "gate": "mlp_input", "up": "mlp_input",
    "gate_up": "mlp_input", "fc1": "mlp_input", "down": "mlp_hidden", "fc2": "mlp_hidden",
}  # fmt: skip
NUMBER = re.compile(r"(?<![^.])\d+(?![^.])")
GATES = re.compile(r"(^|\.)(\w*router\w*|\w*gate)(\.|$)")


@dataclass(frozen=True)
class BlockLinears:
    """The linears of a decoder block.

    Parameters
    ----------
    linears : tuple of Linear
        In the order in which they are computed.
    places : dict of str to Place
        Where the matrix of each is stored.
    kept : tuple of str
        Names of the other matrices in the block, which stay in full precision.
    """

    linears: tuple[Linear, ...]
    places: dict[str, Place]
    kept: tuple[str, ...]

    def first_of_inputs(self) -> dict[str, str]:
        """Return the first linear that reads each input.

        Returns
        -------
        dict of str to str
            `Linear.input_name` by `Linear.name`.
        """
        first: dict[str, str] = {}
        for linear in self.linears:
            first.setdefault(linear.input_name, linear.name)
        return {name: input_name for input_name, name in first.items()}


def kind_of(name: str) -> str:
    """Return the kind of a linear, `Linear.kind`.

    Parameters
    ----------
    name : str
        Its name inside its block.

    Returns
    -------
    str
        A familiar kind, or the last word of the name.

    Examples
    --------
    >>> kind_of("attn.c_proj"), kind_of("mlp.c_proj"), kind_of("mlp.experts.3.down_proj")
    ('o', 'fc2', 'down')
    >>> kind_of("moe.input_linear.3")
    'input_linear'
    """
    words = [word for word in name.split(".") if not word.isdecimal()]
    return KINDS.get(".".join(words[-2:])) or KINDS.get(words[-1], words[-1])


def describe(block: Module, watch: Watch) -> BlockLinears:
    """Describe the linears of a block that was observed.

    Parameters
    ----------
    block : torch.nn.Module
        The block.
    watch : Watch
        Its products.

    Returns
    -------
    BlockLinears
        The linears, with those of experts that no token reached.
    """
    shapes = {name: tuple(x.shape) for name, x in block.named_parameters()}
    places = dict(sorted(_all_places(block, watch, shapes).items(), key=_order(watch)))
    gates = set(_gates(places, shapes))
    places = {name: place for name, place in places.items() if name not in gates}
    inputs = _input_names(places, watch)
    linears = []
    for name, place in places.items():
        rows, columns = place.rows or shapes[place.parameter][0], shapes[place.parameter][-1]
        shape = (columns, rows) if place.transposed else (rows, columns)
        linears.append(Linear(name, kind_of(name), inputs[name], shape))
    used = {place.parameter for place in places.values()}
    kept = tuple(name for name, shape in shapes.items() if len(shape) > 1 and name not in used)
    return BlockLinears(tuple(linears), places, kept)


def _pattern(name: str) -> str:
    return NUMBER.sub("*", name)


def _numbers(name: str) -> tuple[int, ...]:
    return tuple(int(word) for word in NUMBER.findall(name))


def _all_places(
    block: Module, watch: Watch, shapes: dict[str, tuple[int, ...]]
) -> dict[str, Place]:
    """Return the places seen, and those of the experts beside them that no token reached."""
    places = dict(watch.places)
    for place in {place.parameter: place for place in watch.places.values()}.values():
        if place.expert is not None:
            for expert in range(place.experts(shapes[place.parameter])):
                name = expert_name(place.parameter, expert)
                places.setdefault(name, replace(place, expert=expert))
    seen = {_pattern(name): place for name, place in places.items()}
    for name, module in block.named_modules():
        if isinstance(module, plain_kinds()) and _pattern(name) in seen:
            transposed = seen[_pattern(name)].transposed
            places.setdefault(name, Place(f"{name}.weight", transposed))
    return places


def _order(watch: Watch) -> Callable[[tuple[str, Place]], tuple[int, tuple[int, ...], int]]:
    """Return a key that sorts by the order of computation, experts by their numbers."""
    stems: dict[str, int] = {}
    patterns: dict[str, int] = {}
    for position, name in enumerate(watch.places):
        stems.setdefault(_pattern(name).partition("*")[0], position)
        patterns.setdefault(_pattern(name), position)

    def key(item: tuple[str, Place]) -> tuple[int, tuple[int, ...], int]:
        pattern = _pattern(item[0])
        return stems[pattern.partition("*")[0]], _numbers(item[0]), patterns[pattern]

    return key


def _gates(places: dict[str, Place], shapes: dict[str, tuple[int, ...]]) -> Iterator[str]:
    """Yield the linears that choose among experts, or weigh one."""
    counts = {1} | {place.experts(shapes[place.parameter]) for place in places.values()}
    counts |= {_numbers(name)[0] + 1 for name in places if _numbers(name)}
    for name, place in places.items():
        outputs = shapes[place.parameter][place.transposed]
        if len(counts) > 1 and GATES.search(name) and outputs in counts:
            yield name


def _input_names(places: dict[str, Place], watch: Watch) -> dict[str, str]:
    """Name the inputs; experts have their own, shared like those of the first one reached."""
    owners: dict[object, str] = {}
    alike: dict[str, str] = {}
    for name in places:
        if name in watch.inputs:
            key = (tuple(watch.inputs[name]), _numbers(name))
            owner = owners.setdefault(key, name)
            alike.setdefault(_pattern(name), _pattern(owner))
    names: dict[str, str] = {}
    given: dict[str, str] = {}
    for name in places:
        owner = alike[_pattern(name)]
        for number in _numbers(name):
            owner = owner.replace("*", str(number), 1)
        familiar = INPUTS.get(kind_of(owner), "")
        if "*" in alike[_pattern(name)] or not familiar or given.get(familiar, owner) != owner:
            names[name] = f"{owner}.input"
        else:
            given[familiar] = owner
            names[name] = familiar
    return names

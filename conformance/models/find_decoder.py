"""Which modules are a model's decoder blocks
=========================================

In one pass of a few tokens, every list of modules is observed. The decoder blocks are the
one list that runs in order, each entry once, on the hidden states that the entry before
returned. What does not have this form is refused with the reason: blocks that run twice or
out of order, two such lists, blocks that get more of the text than their hidden states, a
model whose logits depend on later tokens.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

from subbit.reference.errors import ArgumentError

from .decoder import Arguments, Decoder, Module, Tensor, first_of, outer_lists, run_whole
from .needs import require

CHECKED_SHARE = 1e-4  # of the largest logit; the modules are the same, sums may have another order
EXPECTED = "a model that runs one list of decoder blocks in order, each on what the last returned"


@dataclass(frozen=True)
class Call:
    """One observed run of an entry of a list.

    Parameters
    ----------
    entry : int
        Its number in the list.
    hidden : torch.Tensor
        What it took.
    arguments : Arguments
        Its further arguments.
    output : torch.Tensor or tuple
        What it returned.
    """

    entry: int
    hidden: Tensor
    arguments: Arguments
    output: Any


def find_decoder(model: Module, tokens: Tensor) -> tuple[Decoder, Tensor]:
    """Find the decoder blocks of a model by observing one pass.

    Parameters
    ----------
    model : transformers.PreTrainedModel
        A causal language model.
    tokens : torch.Tensor of int64, shape (2, L)
        Two short sequences whose first halves are equal.

    Returns
    -------
    tuple of (Decoder, torch.Tensor of float32, shape (2, L, V))
        The decoder, and the model's own logits.

    Raises
    ------
    ArgumentError
        If the model has another form; the message has the reason.
    """
    lists = outer_lists(model)
    try:
        calls, logits = _observe(model, lists, tokens)
    except Exception as error:
        expected = "a causal language model that runs on token numbers alone"
        came = f"{type(model).__name__} ({str(error).strip().partition(chr(10))[0]})"
        raise ArgumentError("model", expected, came) from error
    path = _chosen(model, {name: _fault(calls[name], len(lists[name]), tokens) for name in lists})
    returns = tuple(len(x.output) * isinstance(x.output, (tuple, list)) for x in calls[path])
    decoder = Decoder(model, path, returns)
    _check_carried(calls[path], decoder.arguments(*tokens.shape))
    _check_causal(model, logits)
    return decoder, logits


def _observe(
    model: Module, lists: Mapping[str, Module], tokens: Tensor
) -> tuple[dict[str, list[Call]], Tensor]:
    """Run the model, and return the calls of the entries of each list."""
    calls: dict[str, list[Call]] = {path: [] for path in lists}
    hooks = []
    for path, entries in lists.items():
        for number, entry in enumerate(entries):
            see = partial(_see, calls[path], number)
            hooks.append(entry.register_forward_hook(see, with_kwargs=True))
    try:
        return calls, run_whole(model, tokens)
    finally:
        for hook in hooks:
            hook.remove()


def _see(
    calls: list[Call],
    number: int,
    _module: Module,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    output: Any,  # noqa: ANN401 - an untyped library
) -> None:
    calls.append(Call(number, *Arguments.split(args, kwargs), output))


def _fault(calls: list[Call], count: int, tokens: Tensor) -> str | None:
    """Return why a list is not that of the decoder blocks, or None."""
    torch = require("torch", "model", "models")
    if [call.entry for call in calls] != list(range(count)):
        order = ", ".join(str(call.entry) for call in calls[:8]) or "none"
        return f"whose {count} entries ran in the order {order}"
    for call in calls:
        for verb, x in (("takes", call.hidden), ("returns", first_of(call.output))):
            shape = tuple(getattr(x, "shape", ()))
            if len(shape) != 3 or shape[:2] != tuple(tokens.shape) or not x.is_floating_point():
                return f"whose entry {call.entry} {verb} no hidden states of (N, L, d)"
            if shape != tuple(calls[0].hidden.shape):
                return f"whose entry {call.entry} {verb} hidden states of another width"
    for before, after in pairwise(calls):
        if not torch.equal(first_of(before.output), after.hidden):
            return (
                f"whose entry {after.entry} takes something else than entry {before.entry} returns"
            )
    return None


def _chosen(model: Module, faults: Mapping[str, str | None]) -> str:
    fitting = [path for path, fault in faults.items() if fault is None]
    if len(fitting) == 1:
        return fitting[0]
    kind = type(model).__name__
    if fitting:
        raise ArgumentError("model", EXPECTED, f"{kind} with {' and '.join(fitting)}")
    reasons = "; ".join(f"{path}, {fault}" for path, fault in faults.items())
    raise ArgumentError("model", EXPECTED, f"{kind} with {reasons or 'no list of modules'}")


def _check_carried(calls: list[Call], recorded: tuple[Arguments, ...]) -> None:
    """Refuse blocks whose further arguments depend on the text, or on other blocks."""
    for call, other in zip(calls, recorded, strict=True):
        mine, theirs = call.arguments.named(), other.named()
        for name, value in mine.items():
            if not _same(value, theirs.get(name)):
                expected = "decoder blocks to which the text comes by their hidden states only"
                came = f"{name} of decoder block {call.entry}, which depends on it too"
                raise ArgumentError("model", expected, came)


def _same(a: Any, b: Any) -> bool:  # noqa: ANN401 - any argument
    """Return whether two arguments are equal; what has no known equality is not."""
    torch = require("torch", "model", "models")
    if isinstance(a, torch.Tensor) and isinstance(b, torch.Tensor):
        return a.shape == b.shape and torch.equal(a, b)
    if isinstance(a, (tuple, list)) and isinstance(b, (tuple, list)):
        return len(a) == len(b) and all(map(_same, a, b))
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(_same(a[key], b[key]) for key in a)
    plain = (type(None), bool, int, float, str, torch.dtype, torch.device)
    return isinstance(a, plain) and isinstance(b, plain) and a == b


def _check_causal(model: Module, logits: Tensor) -> None:
    half = logits.shape[1] // 2
    apart = (logits[0, :half] - logits[1, :half]).abs().max() if half else 0.0
    if not apart <= CHECKED_SHARE * logits.abs().max():
        expected = "a decoder, whose logits do not depend on later tokens"
        raise ArgumentError("model", expected, type(model).__name__)

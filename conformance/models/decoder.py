"""A causal language model, run part by part
========================================

No architecture is known by name; `find_decoder` tells which list of modules the decoder
blocks are. Everything else stays the library's:

========== ============================================================================
part       the library's own forward pass
========== ============================================================================
embedding  up to the first block
block      the module, with the further arguments (positions, masks) that a pass gives it
head       with every block bypassed, and given rows in place of the last one's output
========== ============================================================================
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

from .needs import require

HIDDEN = "hidden_states"

Tensor: TypeAlias = Any  # torch's, which is imported only where a model needs it
Module: TypeAlias = Any
Instead: TypeAlias = Callable[[int, Tensor, "Arguments"], Tensor]


class _ReachedError(Exception):
    """Ends a forward pass that is needed only up to a block."""


@dataclass(frozen=True)
class Arguments:
    """What a decoder block is called with, besides its hidden states.

    Parameters
    ----------
    key : str, optional
        Name under which the hidden states are passed; None if they are the first argument.
    args : tuple
        Further arguments by position.
    kwargs : dict
        Further arguments by name.
    """

    key: str | None
    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    @classmethod
    def split(cls, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Tensor, "Arguments"]:
        """Take the hidden states out of a call.

        Parameters
        ----------
        args : tuple
            Arguments by position.
        kwargs : dict
            Arguments by name.

        Returns
        -------
        tuple of (object, Arguments)
            The hidden states, and the rest.

        Examples
        --------
        >>> Arguments.split((), {"mask": 1, "hidden_states": 2})
        (2, Arguments(key='hidden_states', args=(), kwargs={'mask': 1}))
        """
        if args:
            return args[0], cls(None, args[1:], dict(kwargs))
        key = HIDDEN if HIDDEN in kwargs else next(iter(kwargs), HIDDEN)
        rest = {name: value for name, value in kwargs.items() if name != key}
        return kwargs.get(key), cls(key, (), rest)

    def passed(self, block: Module, hidden: Tensor) -> Any:  # noqa: ANN401 - an untyped library
        """Call a block.

        Parameters
        ----------
        block : torch.nn.Module
            The block.
        hidden : torch.Tensor
            Its hidden states.

        Returns
        -------
        torch.Tensor or tuple
            What it returns.
        """
        if self.key is None:
            return block(hidden, *self.args, **self.kwargs)
        return block(**{self.key: hidden}, **self.kwargs)

    def named(self) -> dict[str, Any]:
        """Return the arguments by name, or by a number for those without one.

        Returns
        -------
        dict of str to object
            The arguments.
        """
        return {f"argument {i}": x for i, x in enumerate(self.args, 1)} | self.kwargs


def run_whole(model: Module, tokens: Tensor) -> Tensor:
    """Return the library's own logits.

    Parameters
    ----------
    model : transformers.PreTrainedModel
        The model.
    tokens : torch.Tensor of int64, shape (N, L)
        Token numbers.

    Returns
    -------
    torch.Tensor of float32, shape (N, L, V)
        Logits.
    """
    with require("torch", "model", "models").no_grad():
        return model(input_ids=tokens, use_cache=False).logits.float()


def outer_lists(model: Module) -> dict[str, Module]:
    """Return the lists of modules that are not inside an entry of another.

    Parameters
    ----------
    model : torch.nn.Module
        The model; its weights need not be there.

    Returns
    -------
    dict of str to torch.nn.ModuleList
        Lists by their path.
    """
    kind = require("torch", "model", "models").nn.ModuleList
    found: dict[str, Module] = {}
    for path, module in model.named_modules():
        inside = any(path.startswith(f"{outer}.") for outer in found)
        if isinstance(module, kind) and len(module) and not inside:
            found[path] = module
    return found


@dataclass
class Decoder:
    """A causal language model, run part by part.

    Parameters
    ----------
    model : transformers.PreTrainedModel
        The model.
    path : str
        Path of the list of its decoder blocks.
    returns : tuple of int
        Length of the tuple that each block returns, or 0 if it returns a tensor.
    """

    model: Module
    path: str
    returns: tuple[int, ...]

    def __post_init__(self) -> None:
        """Find the blocks."""
        self._torch = require("torch", "model", "models")
        self.blocks = self.model.get_submodule(self.path)
        self.last = len(self.blocks) - 1
        self._seen: dict[tuple[int, int], tuple[Arguments, ...]] = {}

    def embed(self, tokens: Tensor) -> Tensor:
        """Return the input of the first block.

        Parameters
        ----------
        tokens : torch.Tensor of int64, shape (N, L)
            Token numbers.

        Returns
        -------
        torch.Tensor of float32, shape (N, L, d)
            Hidden states.
        """
        found = []

        def stop(_index: int, hidden: Tensor, _arguments: Arguments) -> Tensor:
            found.append(hidden)
            raise _ReachedError

        self._bypass(stop, tokens)
        return found[0]

    def run(self, index: int, hidden: Tensor) -> Tensor:
        """Run one block on whole sequences.

        Parameters
        ----------
        index : int
            The block.
        hidden : torch.Tensor of float32, shape (N, L, d)
            Its input.

        Returns
        -------
        torch.Tensor of float32, shape (N, L, d)
            Its output.
        """
        arguments = self.arguments(*hidden.shape[:2])[index]
        with self._torch.no_grad():
            return first_of(arguments.passed(self.blocks[index], hidden))

    def head(self, rows: Tensor) -> Tensor:
        """Return the logits of some rows of the last block's output.

        Parameters
        ----------
        rows : torch.Tensor of float32, shape (T, d)
            The rows. They pass as T sequences of one token, so that neither a mask nor the
            longest sequence limits them.

        Returns
        -------
        torch.Tensor of float32, shape (T, V)
            Logits.
        """

        def give(index: int, hidden: Tensor, _arguments: Arguments) -> Tensor:
            return rows[:, None] if index == self.last else hidden

        tokens = self._torch.zeros((len(rows), 1), dtype=self._torch.int64)
        logits = self._bypass(give, tokens)
        return logits[:, 0]

    def arguments(self, count: int, length: int) -> tuple[Arguments, ...]:
        """Return the further arguments of every block.

        Parameters
        ----------
        count, length : int
            Sequences, and tokens of each.

        Returns
        -------
        tuple of Arguments
            As one pass gives them, in which no block runs.
        """
        shape = count, length
        if shape not in self._seen:
            seen = []

            def record(index: int, hidden: Tensor, arguments: Arguments) -> Tensor:
                seen.append(arguments)
                if index == self.last:
                    raise _ReachedError
                return hidden

            self._bypass(record, self._torch.zeros(shape, dtype=self._torch.int64))
            self._seen = {shape: tuple(seen)}
        return self._seen[shape]

    def _bypass(self, instead: Instead, tokens: Tensor) -> Tensor:
        """Run the model with a function in the place of each block; None if it ends the pass."""
        with self._bypassed(instead):
            try:
                return run_whole(self.model, tokens)
            except _ReachedError:
                return None

    @contextmanager
    def _bypassed(self, instead: Instead) -> Iterator[None]:
        own = [block.__dict__.get("forward") for block in self.blocks]
        for index, block in enumerate(self.blocks):
            block.forward = partial(self._stand_in, instead, index)
        try:
            yield
        finally:
            for block, forward in zip(self.blocks, own, strict=True):
                del block.forward
                if forward is not None:
                    block.forward = forward

    def _stand_in(self, instead: Instead, index: int, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        hidden, arguments = Arguments.split(args, kwargs)
        out = instead(index, hidden, arguments)
        # What a block returns besides is not used, or the arguments of the next differ.
        return (out, *[None] * (self.returns[index] - 1)) if self.returns[index] else out


def first_of(output: Any) -> Tensor:  # noqa: ANN401 - an untyped library
    """Return the hidden states that a block returns.

    Parameters
    ----------
    output : torch.Tensor or tuple
        What it returns.

    Returns
    -------
    torch.Tensor
        The output, or the first of several.

    Examples
    --------
    >>> first_of((1, None)), first_of(1)
    (1, 1)
    """
    return output[0] if isinstance(output, (tuple, list)) else output

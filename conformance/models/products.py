"""The matrices by which a decoder block multiplies
================================================

While a block runs, its products are seen in two ways: hooks on its ``Linear`` and ``Conv1D``
modules, and a mode of torch in which every product with another parameter of the block is
looked at. A factor that is a slice of a parameter, by its address, is an expert's matrix;
parameters stack those along an axis of their own, or row upon row.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

from .decoder import Module, Tensor
from .needs import require


@dataclass(frozen=True)
class Place:
    """Where a linear's matrix is stored.

    Parameters
    ----------
    parameter : str
        Name of the parameter inside the block.
    transposed : bool
        Whether rows of the stored matrix are inputs.
    expert : int, optional
        Its place in a parameter that stacks the matrices of experts.
    rows : int, optional
        Rows that the parameter stores of each expert.
    """

    parameter: str
    transposed: bool
    expert: int | None = None
    rows: int | None = None

    def matrix(self, parameter: Tensor) -> Tensor:
        """Return a view of the matrix, with outputs as rows.

        Parameters
        ----------
        parameter : torch.Tensor
            The parameter.

        Returns
        -------
        torch.Tensor, shape (n, m)
            The view.
        """
        stored = parameter
        if self.expert is not None:
            stored = parameter.view(-1, self.rows, parameter.shape[-1])[self.expert]
        return stored.T if self.transposed else stored

    def experts(self, shape: tuple[int, ...]) -> int:
        """Return how many matrices the parameter stacks.

        Parameters
        ----------
        shape : tuple of int
            Shape of the parameter.

        Returns
        -------
        int
            The number; 1 for the weight of a module.
        """
        return 1 if self.rows is None else math.prod(shape[:-1]) // self.rows


See: TypeAlias = Callable[[str, Place, Tensor], None]


@contextmanager
def watched(block: Module, see: See) -> Iterator[None]:
    """Observe the products of a block with its matrices.

    Parameters
    ----------
    block : torch.nn.Module
        The block.
    see : callable
        Called as ``see(name, place, x)`` before each product; `x` is (..., m).

    Yields
    ------
    None
        While the block runs.
    """
    torch = require("torch", "model", "models")
    with ExitStack() as stack:
        plain = set()
        for name, module in block.named_modules():
            if isinstance(module, plain_kinds()):
                place = Place(f"{name}.weight", not isinstance(module, torch.nn.Linear))
                plain.add(place.parameter)
                before = partial(_before, see, name, place)
                hook = module.register_forward_pre_hook(before, with_kwargs=True)
                stack.callback(hook.remove)
        others = [name for name, x in block.named_parameters() if x.ndim > 1]
        if stacked := [name for name in others if name not in plain]:
            stack.enter_context(_products(block, stacked, see))
        yield


def plain_kinds() -> Any:  # noqa: ANN401 - classes of an untyped library
    """Return the kinds of modules whose weight is one linear.

    Returns
    -------
    tuple of type
        Torch's, whose rows are outputs, and the library's, whose columns are.
    """
    torch = require("torch", "model", "models")
    return torch.nn.Linear, require("transformers.pytorch_utils", "model", "models").Conv1D


def _before(
    see: See,
    name: str,
    place: Place,
    _module: Module,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> None:
    see(name, place, args[0] if args else next(iter(kwargs.values())))


def _products(block: Module, stacked: list[str], see: See) -> Any:  # noqa: ANN401 - torch's class
    """Return a mode in which products with a stacked parameter are seen."""
    torch = require("torch", "model", "models")
    matmuls = {
        torch.matmul, torch.mm, torch.bmm, torch.Tensor.matmul, torch.Tensor.mm,
        torch.Tensor.bmm, torch.Tensor.__matmul__,
    }  # fmt: skip
    linear = torch.nn.functional.linear

    class Products(torch.overrides.TorchFunctionMode):  # type: ignore[misc, name-defined]
        def __torch_function__(
            self,
            func: Any,  # noqa: ANN401 - as torch calls it
            types: Any,  # noqa: ANN401 - as torch calls it
            args: tuple[Any, ...] = (),
            kwargs: dict[str, Any] | None = None,
        ) -> Any:  # noqa: ANN401 - any result
            if func is linear or func in matmuls:
                x, matrix, *_ = (*args, *(kwargs or {}).values())
                for name in stacked:
                    parameter = block.get_parameter(name)
                    for expert, flipped, part in _slices(parameter, matrix, x):
                        # x Wᵀ for `linear`, x W for the others.
                        transposed = flipped is (func is linear)
                        rows = matrix.shape[-1 if flipped else -2]
                        see(expert_name(name, expert), Place(name, transposed, expert, rows), part)
            return func(*args, **(kwargs or {}))

    return Products()


def _slices(parameter: Tensor, matrix: Tensor, x: Tensor) -> Iterator[tuple[int, bool, Tensor]]:
    """Yield the experts whose matrices a factor is, whether transposed, and their inputs."""
    width, whole = parameter.shape[-1], matrix.ndim == parameter.ndim == 3
    if parameter.device.type == "meta" or parameter.ndim > 3 or matrix.ndim != 2 + whole:
        return
    flipped = matrix.stride()[-2:] == (1, width)
    columns, rows = matrix.shape[-2:] if flipped else matrix.shape[:-3:-1]
    if columns != width or matrix.stride()[-2:] not in {(1, width), (width, 1)}:
        return
    stored = parameter.view(-1, width) if parameter.is_contiguous() else parameter[:0]
    stacks = rows == parameter.shape[1] if parameter.ndim == 3 else rows < len(stored)
    if not stacks or len(stored) % rows:
        return
    bytes_apart = matrix.data_ptr() - parameter.data_ptr()
    number, rest = divmod(bytes_apart, rows * width * parameter.element_size())
    if rest or not 0 <= number < len(stored) // rows:
        return
    if whole and len(matrix) == len(parameter) and x.ndim <= 3:
        for expert, part in enumerate(x.expand(len(parameter), *x.shape[-2:])):
            yield expert, flipped, part
    elif not whole:
        yield number, flipped, x


def expert_name(parameter: str, expert: int) -> str:
    """Return the name of an expert's linear.

    Parameters
    ----------
    parameter : str
        Name of the parameter that stacks the matrices of all experts.
    expert : int
        The expert.

    Returns
    -------
    str
        The name.

    Examples
    --------
    >>> expert_name("mlp.experts.down_proj", 3), expert_name("moe.input_linear.weight", 3)
    ('mlp.experts.3.down_proj', 'moe.input_linear.3')
    """
    owner, dot, last = parameter.rpartition(".")
    return f"{owner}{dot}{expert}" + ("" if last == "weight" else f".{last}")


@dataclass
class Watch:
    """The products of one pass of a block, from which `describe` tells its linears."""

    def __post_init__(self) -> None:
        """Start with none."""
        self.places: dict[str, Place] = {}
        self.inputs: dict[str, list[object]] = {}
        # Held, so that no other tensor gets the address of one that was seen.
        self._held: list[Tensor] = []

    def see(self, name: str, place: Place, x: Tensor) -> None:
        """Note a product, as `watched` reports it.

        Parameters
        ----------
        name : str
            The linear.
        place : Place
            Where its matrix is.
        x : torch.Tensor
            Its input.
        """
        self._held.append(x)
        self.places.setdefault(name, place)
        key = x.data_ptr(), tuple(x.shape), x.stride(), x._version  # noqa: SLF001 - torch's own count of changes
        self.inputs.setdefault(name, []).append(key)

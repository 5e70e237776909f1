"""Weights that stay in their files until a decoder block needs them
=================================================================

A model is loaded with its lists of modules left on disk, as transformers and accelerate
do it. Here the weights of one entry, a decoder block, are in memory at a time, in float32;
changed ones are written to a temporary folder when another block is asked for.
"""

import shutil
import tempfile
import weakref
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from subbit.reference.errors import ArgumentError

from .decoder import Module, Tensor, outer_lists
from .needs import require


class Weights(Protocol):
    """Weights of a model by their full names."""

    def __getitem__(self, name: str) -> Tensor:
        """Return a weight, to be read."""

    def for_writing(self, name: str) -> Tensor:
        """Return a weight that may be changed in place.

        Parameters
        ----------
        name : str
            Its full name.

        Returns
        -------
        torch.Tensor
            The weight; the change stays.
        """


class HeldWeights:
    """Weights that are all in memory; a `Weights`.

    Parameters
    ----------
    model : torch.nn.Module
        The model.
    """

    def __init__(self, model: Module) -> None:
        self._model = model

    def __getitem__(self, name: str) -> Tensor:
        """Return a weight, to be read."""
        return self._model.get_parameter(name).detach()

    def for_writing(self, name: str) -> Tensor:
        """Return a weight that may be changed in place.

        Parameters
        ----------
        name : str
            Its full name.

        Returns
        -------
        torch.Tensor
            The weight.
        """
        return self[name]


class StoredWeights(Mapping[str, Any]):
    """Weights in files, of which one decoder block's are in memory; a `Weights`.

    Parameters
    ----------
    model : torch.nn.Module
        The model, whose entries of lists are without weights.
    stored : accelerate.utils.OffloadedWeightsLoader
        Reads a weight; its index is updated when changed ones are written.
    folder : Path
        A folder for changed weights; removed at the end.
    """

    def __init__(self, model: Module, stored: Any, folder: Path) -> None:  # noqa: ANN401
        self._entries = tuple(outer_lists(model))
        self._shapes = {name: tuple(x.shape) for name, x in model.named_parameters()}
        self._whole = HeldWeights(model)
        self._stored, self.folder = stored, folder
        self.held: dict[str, Tensor] = {}
        self._changed: set[str] = set()
        self._entry, self._count = "", 0
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)

    def __getitem__(self, name: str) -> Tensor:
        """Return a weight, to be read; refuse one whose shape is not the model's."""
        entry = self._entry_of(name)
        if not entry:
            return self._whole[name]
        if entry != self._entry:
            self._write_changed()
            self.held, self._entry = {}, entry
        if name not in self.held:
            weight, shape = self._stored[name], self._shapes[name]
            if weight.shape != shape:
                raise ArgumentError("model", f"{name} of shape {shape}", tuple(weight.shape))
            self.held[name] = weight
        return self.held[name]

    def __iter__(self) -> Iterator[str]:
        """Go through the names."""
        return iter(self._shapes)

    def __len__(self) -> int:
        """Count the weights."""
        return len(self._shapes)

    def for_writing(self, name: str) -> Tensor:
        """Return a weight that may be changed in place.

        Parameters
        ----------
        name : str
            Its full name.

        Returns
        -------
        torch.Tensor
            The weight.
        """
        weight = self[name]
        if self._entry_of(name) and name not in self._changed:
            # What was read may be a view of the source file.
            self.held[name] = weight = weight.clone()
            self._changed.add(name)
        return weight

    def _entry_of(self, name: str) -> str:
        """Return the entry of a list that has a weight, such as ``model.layers.3``, or ""."""
        for path in self._entries:
            if name.startswith(f"{path}."):
                number = name.removeprefix(f"{path}.").partition(".")[0]
                return f"{path}.{number}"
        return ""

    def _write_changed(self) -> None:
        if not self._changed:
            return
        self._count += 1
        path, index = self.folder / f"changed-{self._count}.safetensors", self._stored.index
        changed = {name: self.held[name].contiguous() for name in self._changed}
        require("safetensors.torch", "model", "models").save_file(changed, path)
        before = {Path(index[name]["safetensors_file"]) for name in changed}
        for name in changed:
            index[name] = {
                "safetensors_file": str(path), "weight_name": name, "dtype": "float32"
            }  # fmt: skip
        left = {Path(entry["safetensors_file"]) for entry in index.values()}
        for old in before - left:
            if old.parent == self.folder:
                old.unlink()
        self._changed.clear()


@contextmanager
def on_disk(model: Module) -> Iterator[dict[str, Any]]:
    """Give the options by which transformers leaves lists of modules on disk.

    Parameters
    ----------
    model : transformers.PreTrainedModel
        A model of the same architecture, without weights.

    Yields
    ------
    dict of str to object
        Options of ``from_pretrained``; empty if the model has no lists. Its folder is
        removed if loading fails.
    """
    lists = outer_lists(model)
    if not lists:
        yield {}
        return
    folder = tempfile.mkdtemp(prefix="subbit-weights-")
    try:
        yield {"device_map": dict(_places(model, lists)), "offload_folder": folder}
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _places(module: Module, lists: Collection[str], path: str = "") -> Iterator[tuple[str, str]]:
    """Yield where each part of a model is, for the library; each is named once."""
    prefix = f"{path}." if path else ""
    if path in lists:
        yield path, "disk"
    elif not any(name.startswith(prefix) for name in lists):
        yield path, "cpu"
    else:
        for name in module.state_dict():
            if "." not in name:
                yield f"{prefix}{name}", "cpu"
        for name, child in module.named_children():
            yield from _places(child, lists, f"{prefix}{name}")


def store(model: Module, options: Mapping[str, Any]) -> Weights:
    """Hold the weights of one decoder block of a loaded model in memory, and no more.

    Parameters
    ----------
    model : transformers.PreTrainedModel
        The model, as loaded with options from `on_disk`; its hooks are replaced.
    options : mapping
        The options.

    Returns
    -------
    Weights
        Its weights.
    """
    if not options:
        return HeldWeights(model)
    hooks = require("accelerate.hooks", "model", "models")
    maps = (getattr(getattr(m, "_hf_hook", None), "weights_map", None) for m in model.modules())
    stored = next(found.dataset for found in maps if found is not None)
    # The library's hooks take every module from disk by itself, each time that it runs.
    hooks.remove_hook_from_module(model, recurse=True)
    weights = StoredWeights(model, stored, Path(options["offload_folder"]))
    prefixed = require("accelerate.utils", "model", "models").PrefixedDataset
    for path, entries in outer_lists(model).items():
        for number, entry in enumerate(entries):
            own = prefixed(weights, f"{path}.{number}.")
            hook = hooks.AlignDevicesHook(
                "cpu", offload=True, weights_map=own, place_submodules=True
            )
            hooks.add_hook_to_module(entry, hook)
    return weights

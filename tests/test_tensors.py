"""Answers that are arrays of another library."""

import importlib
import json

import numpy as np
import pytest

from project import ROOT
from subbit import reference
from subbit.conformance.cases import OPERATIONS
from subbit.conformance.cases.asked import snapshot_of
from subbit.conformance.compare import on_host
from subbit.conformance.programs.forms import Codec
from subbit.conformance.protocol import PROTOCOL
from subbit.conformance.target import arithmetic_of

torch = pytest.importorskip("torch", reason="no torch here")


@pytest.fixture
def port(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "docs")
    return importlib.import_module("torch_port")


def test_the_port_in_torch_conforms(port):
    own = [name for name in PROTOCOL if hasattr(port, name)]
    assert len(own) == 4
    for name in [*own, *(f"interface_{name}" for name in own)]:
        for seed in (*range(4), 1 + 2**34):
            found = OPERATIONS[name].check(port, arithmetic_of(port), seed)
            assert found.status == "passed", found.message
    assert isinstance(port.masked_mean([[1.0]]), torch.Tensor)


def test_it_is_caught_when_it_declares_more_than_it_has(port):
    arithmetic = arithmetic_of(reference)
    outcomes = [OPERATIONS["masked_mean"].check(port, arithmetic, seed) for seed in range(6)]
    assert any(outcome.status == "failed" for outcome in outcomes)


def test_tensors_are_read():
    tensor = torch.tensor([1.0, -0.5], requires_grad=True)
    assert on_host(tensor).tolist() == [1.0, -0.5]
    half = torch.tensor([1.0, 2.0**-130], dtype=torch.bfloat16)
    assert on_host(half).dtype == np.float32
    assert on_host(half).tolist() == [1.0, 2.0**-130]
    assert snapshot_of(tensor) == snapshot_of(np.array([1.0, -0.5], dtype=np.float32))
    assert json.loads(json.dumps(Codec().write(half)))["dtype"] == "F32"


def test_anything_with_dlpack_is_read():
    class Other:
        def __dlpack__(self, **words):
            return np.arange(3.0).__dlpack__(**words)

        def __dlpack_device__(self):
            return np.arange(3.0).__dlpack_device__()

    assert on_host(Other()).tolist() == [0.0, 1.0, 2.0]

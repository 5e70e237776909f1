"""The fast path has the reference's names, their order and their signatures."""

import ast
import importlib
import inspect

import pytest

from project import ROOT
from subbit import fast, reference
from subbit.fast import port as ports
from subbit.fast.device import DeviceUnavailableError
from subbit.reference.errors import ArgumentError

MODULES = [module.__name__.removeprefix("subbit.fast.") for module in ports.MODULES]
FUNCTIONS = [
    name
    for name in reference.__all__
    if inspect.isfunction(getattr(reference, name)) and name not in ports.HOST
]


def public_functions(room, module):
    tree = ast.parse((ROOT / room / f"{module.replace('.', '/')}.py").read_text(encoding="utf-8"))
    names = [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]
    return [name for name in names if not name.startswith("_")]


def parameters(function):
    return [(p.name, p.kind, p.default) for p in inspect.signature(function).parameters.values()]


@pytest.mark.parametrize("module", MODULES)
def test_modules_define_the_same_functions_in_the_same_order(module):
    wanted = [n for n in public_functions("reference", module) if n not in ports.HOST]
    assert public_functions("fast", module) == wanted


@pytest.mark.parametrize("name", FUNCTIONS)
def test_signatures_are_equal_behind_the_device(name):
    own = parameters(ports.functions()[name])
    assert own[0][0] == "device"
    assert own[1:] == parameters(getattr(reference, name))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_bound_functions_have_the_signature_of_the_reference(port, name):
    assert parameters(getattr(port, name)) == parameters(getattr(reference, name))
    assert getattr(port, name).__self__ is port.device


def test_a_port_exports_everything(port):
    assert [name for name in reference.__all__ if not hasattr(port, name)] == []
    assert all(getattr(port, name) is getattr(reference, name) for name in ports.HOST)


def test_a_function_that_is_missing_is_not_the_references(port, monkeypatch):
    """Otherwise the reference would be compared with itself and pass."""
    without = {k: v for k, v in ports.functions().items() if k != "masked_mean"}
    monkeypatch.setattr(ports, "functions", lambda: without)
    partial = ports.Port(port.device, "simulated")
    assert not hasattr(partial, "masked_mean")
    assert hasattr(partial, "masked_scale")


def test_hessian_accumulator_is_bound_as_well(port):
    accumulator = port.HessianAccumulator(2)
    accumulator.add([[1.0, 0.0], [0.0, 2.0]])
    accumulator.add([[[1.0, 0.0], [0.0, 0.0]]])
    assert accumulator.count == 2
    assert accumulator.hessian().tolist() == [[2.0, 0.0], [0.0, 4.0]]


def test_documentation_is_completed_by_the_reference():
    text = importlib.import_module("subbit.fast.groups.binarize").masked_mean.__doc__
    assert "device : Device" in text
    assert "mask : array_like of bool, shape (n, k), optional" in text
    assert "Examples" not in text


def test_an_unknown_device_is_refused():
    with pytest.raises(ArgumentError, match="cuda, simulated"):
        fast.on("gpu")


def test_cuda_never_falls_back():
    cupy = pytest.importorskip("cupy")
    if cupy.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(DeviceUnavailableError, match="cuda"):
        fast.on("cuda")


def test_devices_are_attributes_for_those_who_name_ports_by_module():
    assert fast.simulated.CAPABILITIES["device"] == "simulated"
    with pytest.raises(AttributeError):
        _ = fast.gpu

"""The parts of the CUDA device that can be tested without a GPU."""

import contextlib
import types

import numpy as np
import pytest

from subbit.fast.device import DeviceUnavailableError, Kernel, LaunchError, cuda, nvrtc

TINY = Kernel('extern "C" __global__ void k(float* x) { *x = 1; }', "k", ("-DROWS=4",))


def _gpu():
    try:
        cuda.Cuda()
    except DeviceUnavailableError:
        return False
    return True


def test_error_without_a_driver():
    pytest.importorskip("cupy")
    if _gpu():
        pytest.skip("this machine has a GPU")
    with pytest.raises(DeviceUnavailableError, match=r"no GPU can be used: .*driver"):
        cuda.Cuda()


def test_error_without_cupy(monkeypatch):
    def missing(name):
        raise ImportError(name)

    monkeypatch.setattr(cuda.importlib, "import_module", missing)
    with pytest.raises(DeviceUnavailableError, match="pip install cupy"):
        cuda.Cuda()


def test_our_options_are_cupys(monkeypatch):
    """CuPy, given our options for a module, must hand NVRTC what `nvrtc` hands it."""
    compiler = pytest.importorskip("cupy.cuda.compiler")
    seen = []

    class StopError(Exception):
        pass

    class Compiler:
        """A stand-in for NVRTC that records the options."""

        @staticmethod
        def createProgram(*_):
            return 0  # CuPy destroys a program only if it is not zero

        @staticmethod
        def compileProgram(_, options):
            seen.append(tuple(options))
            raise StopError

        getVersion = staticmethod(lambda: (13, 0))  # noqa: N815
        NVRTCError = RuntimeError

    class Cache:
        def __getattr__(self, name):
            return lambda *_, **__: None

    def arch_options(arch=None):
        return f"-arch=sm_{arch}", "cubin"

    monkeypatch.setattr(compiler, "nvrtc", Compiler)
    monkeypatch.setattr(compiler, "_get_arch_for_options_for_nvrtc", arch_options)
    monkeypatch.setattr(compiler, "_preprocess", lambda *_, **__: "")
    monkeypatch.setattr(compiler, "_kernel_cache_backend", Cache())
    compile_module = vars(compiler)["_compile_with_cache_cuda"]
    with pytest.raises(StopError):
        compile_module(TINY.source, cuda.compile_options(TINY), "80")
    assert seen[-1] == nvrtc.all_options(TINY.options, "sm_80")


class FakeArray:
    def __init__(self, *, contiguous=True):
        self.flags = types.SimpleNamespace(c_contiguous=contiguous)


class FakeFunction:
    def __init__(self):
        self.shared_size_bytes = 1024
        self.max_dynamic_shared_size_bytes = None
        self.calls = []

    def __call__(self, *args, **kwargs):
        self.calls.append((args, kwargs))


@pytest.fixture
def device(monkeypatch):
    """Return a device whose CuPy only records its calls."""
    function, modules = FakeFunction(), []

    def module(**kwargs):
        modules.append(kwargs)
        return types.SimpleNamespace(get_function=lambda _: function)

    stream = types.SimpleNamespace(synchronize=lambda: function.calls.append("wait"))
    cupy = types.SimpleNamespace(
        ndarray=FakeArray,
        RawModule=module,
        cuda=types.SimpleNamespace(
            get_current_stream=lambda: stream,
            runtime=types.SimpleNamespace(getDeviceCount=lambda: 1, CUDARuntimeError=OSError),
        ),
    )
    monkeypatch.setattr(cuda.importlib, "import_module", lambda _: cupy)
    made = cuda.Cuda()
    return types.SimpleNamespace(device=made, function=function, modules=modules, cupy=cupy)


def test_launch_hands_over_arrays_and_scalars(device):
    x, n = FakeArray(), np.int32(3)
    for _ in range(2):
        device.device.launch(TINY, (4, 2), 128, [x, n], shared=512)
    assert len(device.modules) == 1
    assert device.modules[0]["options"] == cuda.compile_options(TINY)
    args, kwargs = device.function.calls[0]
    assert args == ((4, 2, 1), (128, 1, 1), (x, n))
    assert kwargs == {"shared_mem": 512}
    assert device.function.max_dynamic_shared_size_bytes is None
    assert device.device.xp is device.cupy
    device.device.synchronize()
    assert device.function.calls[-1] == "wait"


def test_more_than_48_kilobytes_are_asked_for(device):
    device.device.launch(TINY, 1, 1, (), shared=47 * 1024)
    assert device.function.max_dynamic_shared_size_bytes is None
    device.device.launch(TINY, 1, 1, (), shared=47 * 1024 + 4)
    assert device.function.max_dynamic_shared_size_bytes == 47 * 1024 + 4


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (1.0, "argument 1: .*got float"),
        (np.zeros(3), "got ndarray"),
        (FakeArray(contiguous=False), "contiguous"),
    ],
)
def test_wrong_arguments(device, value, message):
    with pytest.raises(LaunchError, match=message):
        device.device.launch(TINY, 1, 1, (FakeArray(), value))


def test_no_gpu_among_the_devices(device):
    device.cupy.cuda.runtime.getDeviceCount = lambda: 0
    with pytest.raises(DeviceUnavailableError, match="has no GPU"):
        cuda.Cuda()


@pytest.mark.skipif(not _gpu(), reason="no GPU")
def test_on_a_gpu():
    device = cuda.Cuda()
    x = device.xp.zeros(1, np.float32)
    device.launch(TINY, 1, 1, (x,))
    assert float(x[0]) == 1.0


def test_linear_algebra_is_cupys_under_scipys_names(monkeypatch):
    raised = []
    modules = {
        "cupyx": types.SimpleNamespace(
            errstate=lambda linalg: contextlib.nullcontext(raised.append(linalg))
        ),
        "cupyx.scipy.linalg": types.SimpleNamespace(solve_triangular=object()),
    }
    monkeypatch.setattr(cuda.importlib, "import_module", modules.__getitem__)
    device = object.__new__(cuda.Cuda)
    device._cupy = np
    matrix = np.array([[4.0, 2.0], [2.0, 5.0]])
    lower = device.linalg.cholesky(matrix, lower=True)
    assert np.array_equal(lower, [[2.0, 0.0], [1.0, 2.0]])
    assert np.array_equal(device.linalg.cholesky(matrix, lower=False), lower.T)
    assert device.linalg.solve_triangular is modules["cupyx.scipy.linalg"].solve_triangular
    assert raised == ["raise", "raise"]

"""Edge cases of the layer routines: every one is defined, and none gives a NaN."""

import hashlib

import numpy as np
import pytest

from subbit import reference
from subbit.reference.errors import ArgumentError, HessianError


def _of_any_width(config):
    """A configuration that keeps last columns that do not fill a group of M, and all bits."""
    fitting = {"tail": "dense", "payload": 64.0}
    if isinstance(config, reference.SignProduct):
        # Each of its steps is the same.
        fitting["iterations"] = 12
    return config.changed(**{n: x for n, x in fitting.items() if n in config.switches()})


LAYERS = {
    f"{name}-{preset}": (method.entry, _of_any_width(config))
    for name, method in reference.METHODS.items()
    for preset, config in method.presets.items()
    # With all bits they are `product-1bit`.
    if (name, preset) not in {("product", "0.5bit"), ("product", "1.5bit")}
} | {
    "gptq-whole-rows": ("gptq_layer", reference.GPTQ()),
    "gptq-ordered": ("gptq_layer", reference.GPTQ(bits=3, activation_order=True)),
    "gptq-small-groups": ("gptq_layer", reference.GPTQ(group_size=5)),
}
BY_BLOCKS = {n: item for n, item in LAYERS.items() if item[0] in {"billm_layer", "arb_llm_layer"}}
WITH_HESSIAN = {n: item for n, item in LAYERS.items() if item[0] != "rtn_layer"}
# Wanda reads the diagonal only.
WITH_FACTOR = {n: item for n, item in WITH_HESSIAN.items() if item[0] != "wanda_layer"}
every_layer = pytest.mark.parametrize("name", LAYERS)
every_layer_with_hessian = pytest.mark.parametrize("name", WITH_HESSIAN)
every_layer_with_factor = pytest.mark.parametrize("name", WITH_FACTOR)
every_layer_by_blocks = pytest.mark.parametrize("name", BY_BLOCKS)


def _quantize(name, W, H):
    entry, config = LAYERS[name]
    with np.errstate(divide="raise", invalid="raise", over="raise"):
        layer = getattr(reference, entry)(W, H, config)
        Q = layer.decode()
    assert Q.shape == np.shape(W)
    assert np.isfinite(Q).all()
    rounded = layer.with_scales("float32").decode()
    assert np.allclose(rounded, Q, rtol=1e-5, atol=1e-6 * np.abs(Q).max(initial=0))
    return Q


def _weights(n, m, seed=0):
    return np.random.default_rng(seed).standard_normal((n, m))


def _hessian(m, seed=1, dead=()):
    X = np.random.default_rng(seed).standard_normal((2, 3 * m + 4, m))
    X[..., list(dead)] = 0
    return reference.accumulate_hessian(X)


@every_layer
@pytest.mark.parametrize(
    "width", [1, 2, 3, 5, 29, 30, 31, 49, 50, 51, 127, 128, 129, 150, 177, 178]
)
def test_any_width(name, width):
    """Blocks narrower than 128, than 50 and than the salient search's range, and one column."""
    _quantize(name, _weights(3, width), _hessian(width))


@every_layer
@pytest.mark.parametrize("width", [1, 2, 64, 130])
def test_one_row(name, width):
    _quantize(name, _weights(1, width), _hessian(width))


@every_layer
def test_one_weight(name):
    Q = _quantize(name, [[-0.75]], [[2.0]])
    # The released eps is in every denominator; the mean of ARB makes up for it.
    off = 1e-6 if name.startswith("arb-rc-released") else 0.75 * (name == "rtn-xnor")
    # Its steps are 4.4 % apart.
    off += 0.022 * 0.75 * name.startswith("typed")
    # Its two factors flip at once, and may keep the wrong sign.
    off += 1.01 * (name == "product-released")
    # The released threshold of a share always takes the largest of its entries too.
    wanted = 0.0 if name == "sparsegpt-unstructured" else -0.75
    assert Q[0, 0] == pytest.approx(wanted, abs=off)


@every_layer
@pytest.mark.parametrize("n", [1, 4])
@pytest.mark.parametrize("m", [1, 16, 130])
def test_all_zero(name, n, m):
    """Zero weights give zero, with any signs."""
    assert not _quantize(name, np.zeros((n, m)), _hessian(m)).any()


@every_layer
@pytest.mark.parametrize("value", [0.37, -2.0])
def test_all_equal(name, value):
    """A constant layer: one-bit methods are exact up to rounding, at least in the first block."""
    entry, config = LAYERS[name]
    Q = _quantize(name, np.full((4, 130), value), _hessian(130))
    if entry == "billm_layer" or getattr(config, "kind", "") == "sign":
        assert np.allclose(Q[:, :128], value, rtol=1e-12)


@every_layer
def test_zero_block_between_others(name):
    W = _weights(3, 300)
    W[:, 128:256] = 0
    _quantize(name, W, _hessian(300))


@every_layer
def test_constant_magnitude(name):
    W = np.sign(_weights(4, 140)) * 0.25
    Q = _quantize(name, W, np.eye(140))
    if name in ("billm-paper", "billm-corrected", "rtn-xnor"):
        assert np.array_equal(Q, W)


@every_layer
@pytest.mark.parametrize("dead", [[0], [3, 4, 5], [19], list(range(16)), list(range(20))])
def test_dead_inputs(name, dead):
    """Single ones, whole blocks, and all inputs dead."""
    W, H = _weights(3, 20), _hessian(20, dead=dead)
    Q = _quantize(name, W, H)
    if LAYERS[name][1].switches().get("dead_inputs") == "zero" or name.startswith("gptq"):
        assert not Q[:, dead].any()


@every_layer_by_blocks
def test_dead_inputs_in_narrow_blocks(name):
    """Completely dead blocks before blocks that are not dead."""
    W, H = _weights(3, 24), _hessian(24, dead=range(8))
    entry, config = BY_BLOCKS[name]
    layer = getattr(reference, entry)(W, H, config.changed(block_size=8))
    assert np.isfinite(layer.decode()).all()
    if config.switches().get("dead_inputs") == "zero":
        assert not layer.decode()[:, :8].any()
    bits = reference.payload_bits(layer)
    assert bits.total > 0
    assert np.isfinite(bits.per_weight)


@every_layer
@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_tiny_and_huge_weights(name, scale):
    """No absolute epsilon has an effect: Q scales with W. ARB-RC's released epsilon has one."""
    W, H = _weights(3, 40), _hessian(40)
    expected = _quantize(name, W, H)
    actual = _quantize(name, scale * W, H)
    if name.startswith("arb-rc-released"):
        assert np.allclose(actual / scale, expected, rtol=1e-3, atol=1e-3) == (scale > 1)
        return
    # Signs of what is nothing but rounding decide in which direction an eps moves levels.
    off = 1e-7 if name.startswith("arb-released") else 1e-9
    assert np.allclose(actual / scale, expected, rtol=off, atol=off)


@every_layer
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_weights_that_are_not_finite(name, bad):
    W = _weights(3, 20)
    W[1, 7] = bad
    entry, config = LAYERS[name]
    with pytest.raises(ArgumentError, match=r"^W: ") as caught:
        getattr(reference, entry)(W, _hessian(20), config)
    assert caught.value.argument == "W"


@every_layer_with_hessian
def test_hessian_that_is_not_finite(name):
    H = _hessian(20)
    H[3, 3] = np.nan
    entry, config = LAYERS[name]
    with pytest.raises(ArgumentError, match=r"^H: "):
        getattr(reference, entry)(_weights(3, 20), H, config)


@every_layer
@pytest.mark.parametrize("shape", [(0, 4), (4, 0), (4,), (2, 2, 2), ()])
def test_weights_of_a_wrong_shape(name, shape):
    entry, config = LAYERS[name]
    with pytest.raises(ArgumentError, match=r"^W: "):
        getattr(reference, entry)(np.zeros(shape), np.eye(4), config)


@every_layer
@pytest.mark.parametrize("W", [[["a"]], [[1j]], [[None]]])
def test_weights_that_are_not_numbers(name, W):
    entry, config = LAYERS[name]
    with pytest.raises(ArgumentError, match=r"^W: "):
        getattr(reference, entry)(W, np.eye(1), config)


@every_layer_with_hessian
@pytest.mark.parametrize("shape", [(19, 19), (20, 19), (20,), (0, 0), (21, 21)])
def test_hessian_of_a_wrong_shape(name, shape):
    entry, config = LAYERS[name]
    with pytest.raises(ArgumentError, match=r"^H: ") as caught:
        getattr(reference, entry)(_weights(3, 20), np.zeros(shape), config)
    assert "(20, 20)" in str(caught.value)


@every_layer_with_factor
def test_hessian_that_is_not_symmetric(name):
    H = _hessian(20)
    H[0, 1] += 1
    entry, config = LAYERS[name]
    with pytest.raises(HessianError, match=r"^H: .*symmetric"):
        getattr(reference, entry)(_weights(3, 20), H, config)


@every_layer_with_factor
def test_hessian_that_is_not_positive_definite(name):
    H = _hessian(20)
    H[0, 1] = H[1, 0] = 10 * H[0, 0]
    entry, config = LAYERS[name]
    with pytest.raises(HessianError, match=r"^H: .*positive definite"):
        getattr(reference, entry)(_weights(3, 20), H, config)


@every_layer
def test_a_configuration_of_another_method(name):
    entry, _ = LAYERS[name]
    other = reference.GPTQ() if entry != "gptq_layer" else reference.RTN()
    with pytest.raises(ArgumentError, match=r"^config: "):
        getattr(reference, entry)(_weights(3, 20), _hessian(20), other)


@pytest.mark.parametrize(
    ("method", "switch", "value"),
    [
        ("BiLLM", "sign_zero", 2),
        ("BiLLM", "center", "yes"),
        ("BiLLM", "score", "wanda"),
        ("BiLLM", "scope", "row"),
        ("BiLLM", "search_on", "outputs"),
        ("BiLLM", "split_by", "outputs"),
        ("BiLLM", "grid", "fine"),
        ("BiLLM", "compensation", "solve"),
        ("BiLLM", "closed", "yes"),
        ("BiLLM", "dead_inputs", "keep"),
        ("BiLLM", "block_size", 0),
        ("BiLLM", "block_size", 12.5),
        ("BiLLM", "counts", (5, 2)),
        ("BiLLM", "counts", (-1, 2)),
        ("BiLLM", "search_orders", (0, 1)),
        ("BiLLM", "percdamp", -0.1),
        ("BiLLM", "percdamp", float("nan")),
        ("ARBLLM", "algorithm", "arb-x"),
        ("ARBLLM", "bitmap", "two"),
        ("ARBLLM", "block_size", 0),
        ("ARBLLM", "calibrated_eps", -1e-9),
        ("ARBLLM", "calibrated_iterations", -1),
        ("ARBLLM", "calibrated_start", "plain"),
        ("ARBLLM", "column_groups", "yes"),
        ("ARBLLM", "column_signs", "frozen"),
        ("ARBLLM", "counts", (5, 2)),
        ("ARBLLM", "divisor", "rows"),
        ("ARBLLM", "eps", float("nan")),
        ("ARBLLM", "eps_kind", "share"),
        ("ARBLLM", "grid", "fine"),
        ("ARBLLM", "initial_signs", "mean"),
        ("ARBLLM", "iterations", 1.5),
        ("ARBLLM", "levels", "joint"),
        ("ARBLLM", "mean_denominator", "float16"),
        ("ARBLLM", "minimum", "first"),
        ("ARBLLM", "sign_zero", -1),
        ("ARBLLM", "split_error", "inputs"),
        ("ARBLLM", "splits", 0),
        ("ARBLLM", "sweeps", -1),
        ("ARBLLM", "taken_error", "rows"),
        ("GPTQ", "bits", 0),
        ("GPTQ", "bits", 9),
        ("GPTQ", "group_size", 0),
        ("GPTQ", "block_size", -1),
        ("GPTQ", "percdamp", -0.1),
        ("GPTQ", "activation_order", "yes"),
        ("RTN", "kind", "ternary"),
        ("RTN", "bits", 2),
        ("RTN", "group_size", 0),
        ("RTN", "center", "yes"),
    ],
)
def test_settings_that_do_not_exist(method, switch, value):
    """The configuration, or else the layer routine, refuses them by name."""
    entry = f"{'arb_llm' if method == 'ARBLLM' else method.lower()}_layer"
    with pytest.raises(ArgumentError, match=rf"^{switch}: ") as caught:
        getattr(reference, entry)(
            _weights(2, 8), _hessian(8), getattr(reference, method)(**{switch: value})
        )
    assert caught.value.argument == switch


@every_layer
def test_arguments_are_left_alone(name):
    """The same bytes before and after, dead inputs and compensation included."""
    W, H = _weights(3, 40), _hessian(40, dead=[4])
    before = [hashlib.sha256(array.tobytes()).digest() for array in (W, H)]
    entry, config = LAYERS[name]
    getattr(reference, entry)(W, H, config)
    assert [hashlib.sha256(array.tobytes()).digest() for array in (W, H)] == before


@every_layer
def test_any_memory_layout(name):
    """Column-major, strided, read-only, single-precision and nested-list arguments."""
    entry, config = LAYERS[name]
    function = getattr(reference, entry)
    W = _weights(3, 24).astype(np.float32)
    H = np.round(_hessian(24) * 64) / 64
    expected = function(W.astype(np.float64), H, config).decode()
    strided = np.zeros((6, 48), dtype=np.float32)
    strided[::2, ::2] = W
    for weights in (W, np.asfortranarray(W), strided[::2, ::2], W.tolist()):
        assert np.array_equal(function(weights, np.asfortranarray(H), config).decode(), expected)
    W.setflags(write=False)
    H.setflags(write=False)
    assert np.array_equal(function(W, H, config).decode(), expected)

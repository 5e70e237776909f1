"""A job's answer depends on its numbers alone, and is what a file holds."""

import numpy as np
import pytest

from subbit import reference
from subbit.conformance.models.base import Linear
from subbit.conformance.runs.layer_jobs import LayerJob, do_job, narrowed
from subbit.conformance.runs.records import join_packed, pack_records
from subbit.reference.errors import SubbitError


def shifted(values):
    """The same numbers, four bytes off where the type wants them."""
    data = bytearray(4) + values.tobytes()
    return np.frombuffer(data, values.dtype, offset=4).reshape(values.shape)


def locked(values):
    copy = values.copy()
    copy.flags.writeable = False
    return copy


LAYOUTS = {
    "C": np.ascontiguousarray,
    "Fortran": np.asfortranarray,
    "strided": lambda values: np.repeat(values, 2, axis=1)[:, ::2],
    "misaligned": shifted,
    "locked": locked,
    "narrow": lambda values: values.astype(np.float32),
}


@pytest.fixture
def job():
    rng = np.random.default_rng(0)
    W = rng.standard_normal((96, 160)).astype(np.float32).astype(np.float64)
    H = reference.accumulate_hessian(rng.standard_normal((2, 200, 160)))
    linear = Linear("mlp.up_proj", "up", "mlp_input", W.shape)

    def make(W=W, H=H, label="billm"):
        method = reference.METHODS[label]
        config = next(iter(method.presets.values()))
        return LayerJob(3, linear, "reference", method.entry, config, "float16", W, H)

    return make


@pytest.mark.parametrize("label", ["billm", "pbs2p"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_memory_layout_does_not_enter(layout, label, job):
    plain = job(label=label)
    H = plain.H if layout == "narrow" else LAYOUTS[layout](plain.H)
    moved = job(LAYOUTS[layout](plain.W), H, label)
    one, other = do_job(reference, plain), do_job(reference, moved)
    assert one.layout == other.layout
    assert one.result.relative_error == other.result.relative_error
    assert one.tensors.keys() == other.tensors.keys()
    for name, values in one.tensors.items():
        np.testing.assert_array_equal(values, other.tensors[name])


def test_the_answer_is_what_a_file_holds(job):
    made = job()
    layer = reference.billm_layer(made.W, made.H, made.config).with_scales("float16")
    answer = do_job(reference, made)
    np.testing.assert_array_equal(answer.decode(), layer.decode())
    assert join_packed({"x": (answer.layout, answer.tensors)}) == pack_records({"x": layer})
    assert not answer.apart


def test_weights_are_narrowed_only_without_loss():
    exact = np.array([[0.5, -3.0]])
    assert narrowed(exact).dtype == np.float32
    for wide in (np.array([[0.1]]), np.array([[1e300]]), np.array([[1e-300]])):
        assert narrowed(wide) is wide


def test_a_refusal_names_the_linear(job):
    with pytest.raises(SubbitError, match=r"^decoder block 3, mlp\.up_proj: "):
        do_job(reference, job(H=np.full((160, 160), np.nan)))

"""The released presets compute what the authors' released code computes."""

from pathlib import Path

import numpy as np
import pytest

from subbit.conformance.released import INPUTS, compare_array, rule_of
from subbit.conformance.target import Port

FOLDER = Path(__file__).parent / "vectors" / "released"


def _arrays(path: Path) -> dict[str, np.ndarray]:
    with np.load(path, allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


def _cases() -> list[tuple[Path, str]]:
    cases = []
    for path in sorted(FOLDER.glob("*.npz")):
        with np.load(path, allow_pickle=False) as archive:
            names = [name for name in archive.files if name not in INPUTS]
        cases += [(path, name) for name in names if rule_of(name) is not None]
    return cases


@pytest.mark.parametrize(("path", "array"), _cases(), ids=lambda item: getattr(item, "stem", item))
def test_released_code(port: Port, path: Path, array: str) -> None:
    """The port's answer deviates by no more than the array's rule allows."""
    port.compares_ends("the released outputs are float64")
    outcome = compare_array(port, path.name, array, _arrays(path))
    if outcome.passed is None:
        pytest.skip(outcome.status)
    assert outcome.passed, f"{outcome.deviation:.2e}, allowed {outcome.rule}: {outcome.status}"

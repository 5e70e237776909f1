"""Fixtures that the tests of runs share."""

import numpy as np
import pytest
from run.helpers import make_settings

from subbit.conformance.models.load import load_model


@pytest.fixture
def tiny():
    return load_model("tiny")


@pytest.fixture
def sequences():
    return np.random.default_rng(1).integers(0, 256, size=(5, 24))


@pytest.fixture
def windows():
    return np.random.default_rng(2).integers(0, 256, size=(3, 20))


@pytest.fixture
def settings(tiny, sequences):
    return make_settings(tiny, sequences)

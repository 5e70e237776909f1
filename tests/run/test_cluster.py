"""Layers quantized by a dask cluster of two workers on this machine."""

import importlib
import sys
import textwrap

import pytest
from run.helpers import files_of
from run.test_crew import COUNTING, command, quantized, text  # noqa: F401  (a fixture)

from subbit import reference
from subbit.conformance.runs import cluster
from subbit.conformance.runs.cluster import Cluster, differences, kernels, versions
from subbit.conformance.runs.crew import Here
from subbit.reference.errors import ArgumentError, SubbitError

distributed = pytest.importorskip("distributed", reason="the extra cluster is not installed")


@pytest.fixture(scope="module")
def ports(tmp_path_factory):
    """A folder that this process and the workers import from."""
    folder = tmp_path_factory.mktemp("ports")
    sys.path.insert(0, str(folder))
    yield folder
    sys.path.remove(str(folder))


@pytest.fixture(scope="module")
def local(ports):
    settings = {
        "distributed.scheduler.allowed-failures": 1,
        "temporary-directory": str(ports / "dask"),
    }
    dask = importlib.import_module("dask")
    with (
        dask.config.set(settings),
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0"
        ) as made,
    ):
        yield made.scheduler_address


def write_port(folder, name, source):
    head = "import os\nfrom subbit import reference\nfrom subbit.reference import *\n"
    (folder / f"{name}.py").write_text(head + textwrap.dedent(source), encoding="utf-8")
    importlib.invalidate_caches()
    return name


def test_a_cluster_gives_the_bits_of_one_process(local, sequences, tmp_path):
    one = quantized(tmp_path / "one", sequences, Here(reference))
    notices = []
    with Cluster(local, "reference", notices.append) as crew:
        assert quantized(tmp_path / "many", sequences, crew) == one
    assert notices == []


def test_a_worker_killed_in_mid_run_loses_nothing_and_is_told(local, ports, sequences, tmp_path):
    killed = """
def billm_layer(W, H, config):
    if calls() == 10:
        os.kill(os.getpid(), 9)
    return reference.billm_layer(W, H, config)
"""
    port = write_port(ports, "killed_once", COUNTING + killed)
    *one, _ = quantized(tmp_path / "one", sequences, Here(reference), target=port)
    with Cluster(local, port, pytest.fail) as crew:
        *many, notices = quantized(tmp_path / "many", sequences, crew, target=port)
    assert many == one
    assert "is lost; what it was doing is done again by another" in notices[0]


def test_a_linear_that_kills_every_worker_is_named(local, ports, sequences, tmp_path):
    source = """
    def billm_layer(W, H, config):
        if W.shape == (64, 160):
            os.kill(os.getpid(), 9)
        return reference.billm_layer(W, H, config)
    """
    port = write_port(ports, "killed_always", source)
    said = r"decoder block 0, mlp\.down_proj: the cluster gave no answer \(KilledWorker: "
    with Cluster(local, port, lambda _: None) as crew, pytest.raises(SubbitError, match=said):
        quantized(tmp_path / "out", sequences, crew, target=port)


def test_what_a_port_raises_names_the_linear(local, ports, sequences, tmp_path):
    source = """
    def billm_layer(W, H, config):
        raise reference.errors.ArgumentError("H", "more", "less")
    """
    port = write_port(ports, "refusing", source)
    said = r"decoder block 0, [a-z_.]+: H: expected more, got less"
    with Cluster(local, port, pytest.fail) as crew, pytest.raises(SubbitError, match=said):
        quantized(tmp_path / "out", sequences, crew, target=port)
    port = write_port(ports, "lacking", "del billm_layer")
    with Cluster(local, port, pytest.fail) as crew, pytest.raises(ArgumentError, match="has billm"):
        quantized(tmp_path / "none", sequences, crew, target=port)
    assert not (tmp_path / "none").exists()
    with pytest.raises(SubbitError, match=r"target: expected .*no_such_port.* \(on tcp:"):
        Cluster(local, "no_such_port", pytest.fail)


def test_other_versions_are_refused_by_name(local, sequences, tmp_path, monkeypatch):
    ours = versions()
    monkeypatch.setattr(cluster, "versions", lambda: ours | {"NumPy": "1.0"})
    expected = f"workers with the versions of this process, got tcp:.* NumPy {ours['NumPy']}, not 1"
    with pytest.raises(ArgumentError, match=expected):
        Cluster(local, "reference", pytest.fail)
    # A worker may join after that.
    monkeypatch.setattr(Cluster, "_look", lambda *_: [])
    with Cluster(local, "reference", pytest.fail) as crew:
        said = rf"decoder block 0, [a-z_.]+: a worker has NumPy {ours['NumPy']}, not 1\.0"
        with pytest.raises(SubbitError, match=said):
            quantized(tmp_path / "out", sequences, crew)


def test_other_kernels_are_told(local, monkeypatch):
    ours = kernels()
    monkeypatch.setattr(cluster, "kernels", lambda: ours | {"BLAS": "other"})
    notices = []
    with Cluster(local, "reference", notices.append):
        pass
    (notice,) = notices
    assert notice.endswith(f"computes with BLAS {ours['BLAS']}, not other: last bits may differ")


def test_a_worker_with_several_threads_is_refused():
    with (
        distributed.LocalCluster(
            n_workers=1, threads_per_worker=2, processes=False, dashboard_address=":0"
        ) as made,
        pytest.raises(ArgumentError, match=r"one linear at a time, --nthreads 1, got .* 2 threads"),
    ):
        Cluster(made.scheduler_address, "reference", pytest.fail)


def test_a_scheduler_that_is_not_there_or_alone(monkeypatch):
    monkeypatch.setattr(cluster, "_PATIENCE", 0.3)
    for address in ("tcp://127.0.0.1:1", "nonsense://x", ""):
        with pytest.raises(ArgumentError, match="scheduler: expected the address of a dask sched"):
            Cluster(address, "reference", pytest.fail)
    with (
        distributed.LocalCluster(n_workers=0, processes=False, dashboard_address=":0") as made,
        pytest.raises(ArgumentError, match=r"a cluster with workers, got none at .* in 0\.3 s"),
    ):
        Cluster(made.scheduler_address, "reference", pytest.fail)


def test_differences_are_named():
    assert differences({"a": "1", "b": "2"}, {"b": "3"}) == "a unknown, not 1; b 3, not 2"
    assert not differences(versions(), versions())


def test_without_the_extra_it_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ArgumentError, match=r"pip install 'subbit\[cluster\]'"):
        Cluster("tcp://127.0.0.1:1", "reference", pytest.fail)


def test_the_command_takes_a_scheduler(local, text, tmp_path):  # noqa: F811
    words = ["--method=billm", "--blocks=0:1"]
    one = command("quantize", text, tmp_path / "one", *words, "--workers=1")
    many = command("quantize", text, tmp_path / "many", *words, f"--scheduler={local}")
    assert (one.exit_code, many.exit_code) == (0, 0), many.output
    assert files_of(tmp_path / "one") == files_of(tmp_path / "many")

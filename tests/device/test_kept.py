"""Compilations are kept on disk, and nothing that is kept can be wrong."""

import os

import pytest

from subbit.fast.device import CompileError, kept, nvrtc

SOURCE = 'extern "C" __global__ void once(float* x) { x[threadIdx.x] += 1.0f; }'


@pytest.fixture
def compiled(monkeypatch, tmp_path):
    """Compile a source as a new process does, and say how often NVRTC was called."""
    monkeypatch.setenv(kept.VARIABLE, str(tmp_path))
    calls, plain = [], nvrtc.compile_now
    monkeypatch.setattr(nvrtc, "compile_now", lambda *words: calls.append(words) or plain(*words))

    def compile_once(source=SOURCE, **options):
        nvrtc.compile_source.cache_clear()
        before = len(calls)
        return nvrtc.compile_source(source, **options), len(calls) - before

    return compile_once


def test_a_kept_compilation_is_the_same(compiled):
    (first, made), (second, again) = compiled(), compiled()
    assert (made, again) == (1, 0)
    assert first == second
    assert "once" in second.ptx
    assert second.cubin[:4] == b"\x7fELF"


@pytest.mark.parametrize(
    "other",
    [
        {"source": SOURCE.replace("1.0f", "2.0f")},
        {"arch": "sm_90"},
        {"options": ("-DN=1",)},
        {"file": "other.cu"},
    ],
    ids=str,
)
def test_what_differs_is_compiled(compiled, other):
    compiled()
    assert compiled(**other)[1] == 1


@pytest.mark.parametrize("name", ["find_library", "include_folders"])
def test_another_toolkit_compiles_again(compiled, monkeypatch, tmp_path, name):
    compiled()
    found = getattr(nvrtc, name)()
    changed = tmp_path / "changed"
    changed.symlink_to(found if name == "find_library" else found[0])
    monkeypatch.setattr(nvrtc, name, lambda: changed if name == "find_library" else (changed,))
    assert compiled()[1] == 1


@pytest.mark.parametrize("damage", [b"", b"PK", None], ids=["empty", "cut", "one bit"])
def test_a_damaged_file_is_made_again(compiled, tmp_path, damage):
    first, _ = compiled()
    (path,) = (tmp_path / "nvrtc").iterdir()
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content if damage is None else damage)
    assert compiled() == (first, 1)
    assert compiled() == (first, 0)


def test_errors_are_not_kept(compiled, tmp_path):
    for _ in range(2):
        with pytest.raises(CompileError, match="undefined"):
            compiled("__global__ void f() { undefined; }")
    assert not list(tmp_path.rglob("*.npz"))


def test_without_a_folder_all_still_compiles(compiled, monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    for place in ("", str(tmp_path / "file")):
        monkeypatch.setenv(kept.VARIABLE, place)
        assert [compiled()[1] for _ in range(2)] == [1, 1]


def test_it_is_in_the_users_cache_by_default(monkeypatch, tmp_path):
    monkeypatch.delenv(kept.VARIABLE, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert kept.folder() == tmp_path / "subbit" / "nvrtc"


def test_the_older_half_makes_room(monkeypatch, tmp_path):
    monkeypatch.setenv(kept.VARIABLE, str(tmp_path))
    monkeypatch.setattr(kept, "MOST", 4)
    for number in range(5):
        kept.keep(number, lambda: {"x": b"x"})
        for path in (tmp_path / "nvrtc").iterdir():
            os.utime(path, ns=(path.stat().st_mtime_ns - 10**9,) * 2)
    assert len(list((tmp_path / "nvrtc").iterdir())) == 3
    assert kept.keep(4, dict) == {"x": b"x"}

"""What reads a model's files refuses, in one sentence with the file's name."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fuzz import sources

from subbit.conformance import memory
from subbit.conformance.memory import check_memory, free_memory
from subbit.conformance.models import reading as reader
from subbit.conformance.models.checkpoint import weight_files
from subbit.conformance.models.load import load_model
from subbit.conformance.models.needs import quiet
from subbit.conformance.models.reading import read_json, reading
from subbit.conformance.models.tokenizer import from_gguf
from subbit.conformance.models.typed import count_of, flag, listed, shown, word
from subbit.conformance.runs import calibrate
from subbit.conformance.runs.calibrate import check_room, embed
from subbit.reference.errors import ArgumentError, SubbitError


class PanicException(BaseException):
    """What a library in Rust raises where it did not expect something."""


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (KeyError("weight_map"), r"a\.x \(KeyError: 'weight_map'\)"),
        (ValueError("two\n  lines"), r"a\.x \(two lines\)"),
        (ValueError(), r"a\.x \(ValueError\)"),
        (OSError(2, "No such file"), r"a\.x \(No such file\)"),
        (RecursionError("deep"), r"a\.x \(RecursionError: deep\)"),
        (PanicException("index"), r"a\.x \(PanicException: index\)"),
        (ValueError("x" * 5000), r"a\.x \(x{300}\)$"),
    ],
)
def test_whatever_a_library_raises_is_a_sentence(error: BaseException, said: str) -> None:
    expected = f"model: expected a thing, got {said}"
    with pytest.raises(ArgumentError, match=expected), reading("a thing", "a.x"):
        raise error


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(3), SubbitError("own")])
def test_wishes_to_end_and_own_errors_pass(error: BaseException) -> None:
    with pytest.raises(type(error)) as caught, reading("a thing", "a.x"):
        raise error
    assert caught.value is error


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"[" * 100_000, "RecursionError"),
        (b'{"a":' * 100_000, "RecursionError"),
        (b"[1]", "a JSON object"),
        (b"\xff", "utf-8"),
        (b"{" + b" " * 100 + b"}", "at most 64 bytes"),
    ],
)
def test_json_that_is_no_object_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, said: str
) -> None:
    monkeypatch.setattr(reader, "MOST_JSON", 64 if said.startswith("at most") else 2**26)
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(ArgumentError, match=f"model: .*{said}"):
        read_json(tmp_path / "a.json")


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "config.json")
    with pytest.raises(ArgumentError, match="expected a file, got"):
        load_model(f"numpy:{tmp_path}")


@pytest.mark.parametrize(
    "content",
    [
        {}, {"weight_map": []}, {"weight_map": {}}, {"weight_map": {"a": 3}},
        {"weight_map": {"a": "../x.safetensors"}}, {"weight_map": {"a": "x.bin"}},
        {"weight_map": {"a": "/x.safetensors"}}, {"weight_map": {"a": "\0.safetensors"}},
        {"weight_map": {"a": "x" * 300 + ".safetensors"}}, {"weight_map": {"a": None, "b": "c"}},
    ],
)  # fmt: skip
def test_an_index_names_a_file_for_each_weight(tmp_path: Path, content: Any) -> None:
    (tmp_path / sources.INDEX).write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(ArgumentError, match=r"model: expected .* in .*index\.json, got"):
        weight_files(tmp_path)


@pytest.mark.parametrize("value", [1, "true", [], float("nan")])
def test_a_flag_is_true_or_false(value: object) -> None:
    with pytest.raises(ArgumentError, match="model: expected true or false for key, got"):
        flag({"key": value}, "key")
    assert not flag({}, "key")
    assert not flag({"key": None}, "key")


@pytest.mark.parametrize("value", [1, ["a"], "\ud800"])
def test_a_word_is_a_text(value: object) -> None:
    with pytest.raises(ArgumentError, match=r"model: expected a text .*for key, got"):
        word({"key": value}, "key")


@pytest.mark.parametrize("value", ["ab", {"a": 1}, ["a", 1], [None]])
def test_a_list_has_elements_of_one_type(value: object) -> None:
    with pytest.raises(ArgumentError, match="of type str for key, got"):
        listed({"key": value}, "key", str)


@pytest.mark.parametrize("value", [-1, 2**20 + 1, 1.0, True, "1"])
def test_a_count_is_a_whole_number(value: object) -> None:
    with pytest.raises(ArgumentError, match="from 0 to 1048576 for key, got"):
        count_of({"key": value}, "key")


def test_a_value_is_shown_however_deep_or_long_it_is() -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    assert len(shown(deep)) <= 60
    assert len(shown("x" * 1000)) == 60


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"tokens": 3}, "for tokens, got 3"),
        ({"tokens": ["a", 3]}, "for tokens"),
        ({"token_type": "x"}, "for token_type"),
        ({"merges": [1]}, "for merges"),
        ({"bos_token_id": 2}, "a number from 0 to 1 for bos_token_id, got 2"),
        ({"eos_token_id": "a"}, "for eos_token_id"),
        ({"add_bos_token": 1}, "true or false for add_bos_token"),
        ({"add_bos_token": True}, "a source with bos_token"),
        ({"chat_template": 3}, "a text for chat_template"),
        ({"pre": 3}, "a text for pre"),
    ],
)
def test_what_a_gguf_file_says_of_its_tokenizer_is_typed(
    changes: dict[str, Any], said: str
) -> None:
    metadata = {"model": "gpt2", "pre": "gpt-2", "tokens": ["a", "b"], "token_type": [1, 1]}
    with pytest.raises(ArgumentError, match=said):
        from_gguf(metadata | changes)


def test_settings_of_a_tokenizer_are_an_object(tmp_path: Path) -> None:
    for name, data in sources.folder_files().items():
        (tmp_path / name).write_bytes(data)
    for content in (b"", b"[]", b"[" * 100_000):
        (tmp_path / "tokenizer_config.json").write_bytes(content)
        with pytest.raises(ArgumentError, match=r"model: .*tokenizer_config\.json"):
            load_model(f"numpy:{tmp_path}")


def test_special_tokens_have_numbers(tmp_path: Path) -> None:
    for name, data in sources.folder_files().items():
        (tmp_path / name).write_bytes(data)
    config = json.loads(sources.folder_files()["config.json"])
    for value, good in (
        ("x", False),
        (1.0, False),
        ([1, "x"], False),
        ([1, 2], True),
        (None, True),
    ):
        text = json.dumps(config | {"eos_token_id": value})
        (tmp_path / "config.json").write_text(text, encoding="utf-8")
        if good:
            load_model(f"numpy:{tmp_path}")
        else:
            with pytest.raises(ArgumentError, match="a whole number for eos_token_id"):
                load_model(f"numpy:{tmp_path}")


def test_free_memory_is_what_linux_tells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = tmp_path / "meminfo"
    told.write_text("MemTotal: 9 kB\nMemAvailable:    3 kB\n", encoding="ascii")
    monkeypatch.setattr(memory, "_MEMINFO", told)
    assert free_memory() == 3072
    check_memory("x", 3072, "things")
    with pytest.raises(
        ArgumentError, match=r"x: expected what fits into 0\.0 GiB .* got 1 GiB for"
    ):
        check_memory("x", 3073, "things")
    monkeypatch.setattr(memory, "_MEMINFO", tmp_path / "none")
    check_memory("x", 2**60, "things")


@pytest.mark.parametrize("form", ["folder", "gguf"])
def test_weights_are_held_to_the_memory_before_they_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    for name, data in sources.folder_files().items():
        (tmp_path / name).write_bytes(data)
    (tmp_path / "a.gguf").write_bytes(sources.gguf_file())
    path = tmp_path / "a.gguf" if form == "gguf" else tmp_path
    needed = 4 * sum(int(np.prod(shape)) for shape in sources.SIZES.shapes().values())
    monkeypatch.setattr(memory, "free_memory", lambda: needed)
    load_model(f"numpy:{path}")
    monkeypatch.setattr(memory, "free_memory", lambda: needed - 1)
    with pytest.raises(
        ArgumentError, match=r"model: expected what fits into .* for the weights of"
    ):
        load_model(f"numpy:{path}")


def test_sequences_are_held_to_the_memory_before_they_are_drawn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = load_model("tiny")
    monkeypatch.setattr(memory, "free_memory", lambda: 3 * 5 * 2 * (8 + 4 * 64))
    check_room(model, 3, 5)
    with pytest.raises(ArgumentError, match=r"samples: .* 4 sequences of 5 tokens with 64 numbers"):
        check_room(model, 4, 5)
    monkeypatch.setattr(calibrate, "MANY", 20)
    with pytest.raises(ArgumentError, match="sequences: "):
        embed(model, np.zeros((4, 5), dtype=np.int64))


def test_libraries_are_quiet_about_what_is_told_in_a_sentence(
    caplog: pytest.LogCaptureFixture,
) -> None:
    import logging

    quiet("subbit-test-library")
    logging.getLogger("subbit-test-library").warning("Retrying in 1s")
    assert caplog.records == []

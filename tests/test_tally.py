"""The record of explorations: rows by stream, sums on the page."""

import json

import tally

from subbit.conformance.command.explored import Explored, Failure, Tally, save_state


def state(stream, cases, *, failures=()):
    found = Explored("some:port", "float64", stream)
    found.operations = {"masked_mean": Tally(cases, seconds=7.25), "sign": Tally(1, seconds=0.5)}
    found.failures = [Failure("masked_mean", seed, "wrong") for seed in failures]
    return found


def test_a_stream_counts_once_and_others_add_to_it(tmp_path):
    save_state(tmp_path / "some-port.json", state(5, 99, failures=(3,)))
    (one,) = tally.states(tmp_path, "abc")
    assert one == (
        "some:port stream 5",
        tally.Row("cases", "some:port", "abc", 100, 1, 7.8),
    )
    save_state(tmp_path / "some-port.json", state(5, 199))
    save_state(tmp_path / "other.json", state(6, 10))
    rows = dict([one]) | dict(tally.states(tmp_path, "xyz"))
    assert sum(row.done for row in rows.values()) == 211
    assert "| some:port | 211 | 0 | 0.0 | 0 | 0 |" in tally.render(rows.values())


def test_rounds_of_the_theorems_are_counted(tmp_path):
    last = "=== 2 failed, 1200 passed, 3 skipped in 61.20s (0:01:01) ==="
    (tmp_path / "theorems-reference-7.txt").write_text(f"...\n{last}\n", encoding="utf-8")
    (tmp_path / "theorems-reference-8.txt.part").write_text("...", encoding="utf-8")
    ((key, row),) = tally.rounds(tmp_path, "abc")
    assert key == "reference theorems, seed 7"
    assert (row.done, row.failed, row.seconds) == (1202, 2, 61.2)


def test_other_files_are_passed_over(tmp_path):
    for name, content in (("reaching.json", {"lines": 1}), ("list.json", [1])):
        (tmp_path / name).write_text(json.dumps(content), encoding="utf-8")
    assert list(tally.states(tmp_path, "abc")) == []


def test_a_record_without_rows_says_so():
    assert tally.render([]) == "None has been recorded yet.\n"


def test_the_page_shows_the_sums_of_the_record():
    page = tally.PAGE.read_text(encoding="utf-8")
    assert tally.PART.search(page)
    assert tally.written(page, tally.recorded().values()) == page

"""The places that are kept for cases beside a decision are those that a search finds."""

import pytest
from beside import ARITHMETIC, DECIDING, FILE, places_of, row

from project import some, write_rows
from subbit import reference
from subbit.conformance.cases import OPERATIONS
from subbit.conformance.cases import near as search
from subbit.conformance.cases.draw import NEAR, is_near
from subbit.conformance.cases.near import draws_beside
from subbit.conformance.cases.places import TYPES, Place, kept_places
from subbit.conformance.cases.seeds import seeds_of
from subbit.conformance.target import arithmetic_of

KEPT = [(name, dtype) for name in DECIDING for dtype in TYPES]


def near_seeds(name):
    return {seed for seed in seeds_of(OPERATIONS[name], "ci") if is_near(seed)}


def test_each_case_of_the_depth_ci_is_kept():
    places = kept_places()
    assert set(places) == set(DECIDING)
    for name, types in places.items():
        assert set(types) == set(TYPES)
        assert all(set(cases) == near_seeds(name) for cases in types.values())


def test_the_file_holds_what_is_read(tmp_path):
    again = tmp_path / "beside.json"
    write_rows(again, {name: row(types) for name, types in kept_places().items()})
    assert again.read_text(encoding="utf-8") == FILE.read_text(encoding="utf-8")


# Every operation at `make deep`; the searches take minutes together.
@pytest.mark.parametrize(("name", "dtype"), some(KEPT, every=31))
def test_a_search_finds_the_same(name, dtype):
    assert places_of(name, dtype) == kept_places()[name][dtype]


def searches(monkeypatch):
    """Count the searches from here on."""
    made, find = [], search.find_place

    def counted(examine, arithmetic, seed):
        made.append(seed)
        return find(examine, arithmetic, seed)

    monkeypatch.setattr(search, "find_place", counted)
    return made


def test_a_kept_place_needs_no_search(monkeypatch):
    made = searches(monkeypatch)
    for name in ("sign", "nm_mask", "rank_columns"):
        found = OPERATIONS[name].check(reference, arithmetic_of(reference), NEAR)
        assert found.status == "passed"
        assert "no decision" not in found.message
    assert not made


def test_a_place_that_no_longer_tells_is_searched_for_again(monkeypatch):
    """As after a change of the draws, or for a port that rounds more than it was kept for."""
    made, item = searches(monkeypatch), OPERATIONS["nm_mask"]
    kept = kept_places()["nm_mask"]["float64"][NEAR]
    for stale in (
        Place(kept.attempt, 0.25, 0.75, kept.calls),
        Place(kept.attempt, kept.before, kept.before, kept.calls),
        Place(kept.attempt + 1, kept.before, kept.after, kept.calls),
    ):
        draws = draws_beside(item.examine, ARITHMETIC["float64"], NEAR, stale)
        fresh = draws_beside(item.examine, ARITHMETIC["float64"], NEAR)
        assert [draw.said for draw in draws] == [draw.said for draw in fresh]
    assert len(made) == 6

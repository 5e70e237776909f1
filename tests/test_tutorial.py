"""Notebooks among the pages: cells run as in Jupyter, and a cell that fails is noticed.

The tutorial itself runs where the documentation is built, in `test_docs_build.py`.
"""

import json

import cells
import pytest
from run_cells import run, run_command

from project import ROOT

PAGE = """---
kernelspec:
  name: python3
---

# Title

```{code-cell} ipython3
x = 1
print("printed")
x + 1
```

Text.

```{code-cell} ipython3
%%writefile made.py
value = 3
```

```{code-cell} ipython3
import made
made.value + x
```
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(cells, "KEPT", tmp_path / "kept")
    cells.results.cache_clear()
    yield tmp_path
    cells.results.cache_clear()


def test_cells_print_what_jupyter_prints(folder):
    assert [result["output"] for result in cells.results(PAGE)] == [
        "printed\n2\n",
        "Writing made.py\n",
        "4\n",
    ]
    # In a folder of their own.
    assert not (folder / "made.py").exists()


def test_results_are_kept_until_something_changes(folder, monkeypatch):
    first = cells.results(PAGE)
    (kept,) = (folder / "kept").iterdir()
    cells.results.cache_clear()
    monkeypatch.setattr(cells, "run_apart", lambda _: pytest.fail("ran again"))
    assert cells.results(PAGE) == first
    assert cells.digest(["x"]) not in {kept.stem, cells.digest(["y"])}


def test_a_cell_that_fails_is_the_last(folder):
    text = PAGE.replace("x = 1\n", "x = 1 / 0\n")
    (result,) = cells.results(text)
    assert "ZeroDivisionError" in result["failed"]
    assert not (folder / "kept").exists()


@pytest.mark.usefixtures("folder")
def test_an_assertion_of_a_page_counts():
    (result,) = run(["assert 1 > 2"])
    assert "AssertionError" in result["failed"]


@pytest.mark.usefixtures("folder")
def test_commands_of_a_page_are_those_of_the_project():
    assert run_command("pytest --version | tail -n 1").startswith("pytest ")
    with pytest.raises(KeyError):
        run_command("curl example.org")
    with pytest.raises(RuntimeError, match="unrecognized arguments"):
        run_command("pytest --of-no-use")


@pytest.mark.usefixtures("folder")
def test_a_page_becomes_a_notebook():
    made = cells.notebook(PAGE)
    assert [cell["cell_type"] for cell in made["cells"]] == [
        *("markdown", "code", "markdown", "code", "code"),
    ]
    assert made["cells"][0]["source"] == "# Title"
    assert made["cells"][1]["outputs"][0]["text"] == "printed\n2\n"
    assert json.loads(json.dumps(made)) == made


def test_the_tutorial_goes_all_the_way():
    """From a wrong port, which it says is wrong, to a language model."""
    text = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
    sources = "\n".join(match["source"] for match in cells.CELL.finditer(text))
    wanted = (
        "subbit init-port",
        'assert report["result"] == "diverges"',
        "--replay",
        'assert report["result"] == "incomplete"',
        "billm_layer(",
        "payload_bits(",
        "after.divergence",
    )
    places = [sources.index(part) for part in wanted]
    assert places == sorted(places)
    assert text.count("```{code-cell}") == len(cells.CELL.findall(text))

"""Worked examples: made of public functions, and nothing else than what the methods do."""

import json
import re
import subprocess
from html import unescape

import browser
import numpy as np
import pytest
import worked
import worked_panels as show
from worked_arb import arb_steps
from worked_billm import billm_steps
from worked_pbs2p import pbs2p_steps
from worked_stbllm import stbllm_steps
from worked_steps import WorkedError, configured

from equations import Key
from project import ROOT
from subbit import reference as ref

STEPS = {
    "billm": billm_steps,
    "arb": arb_steps,
    "arb-x": arb_steps,
    "arb-rc": arb_steps,
    "stbllm": stbllm_steps,
    "pbs2p": pbs2p_steps,
}
FORMS = [(method, preset) for method in STEPS for preset in ref.METHODS[method].presets]


def drawn(seed, *, dead=False):
    rng = np.random.default_rng(seed)
    W = rng.standard_t(5, size=(4, 32))
    X = rng.standard_normal((4, 64, 32)) * rng.lognormal(0.0, 0.5, size=32)
    if dead:
        X[..., 5] = 0.0
    return W, ref.accumulate_hessian(X)


def made(method, preset, W, H):
    return list(STEPS[method](W, H, configured(method, preset, block_size=16)))


@pytest.fixture(scope="module")
def examples():
    return {name: steps() for name, steps in worked.EXAMPLES.items()}


def text_of(step):
    return "".join(panel.html() for panel in step.panels)


def check(steps):
    assert [step.title for step in steps[-3:]] == [
        "The decoded block",
        "Error feedback",
        "The whole layer",
    ]
    assert all(panel.html() for step in steps for panel in step.panels)
    for step in steps:
        assert {Key(*equation) for equation in step.equations} <= set(worked.tags())


@pytest.mark.parametrize(("method", "preset"), FORMS)
def test_steps_end_where_the_method_does(method, preset):
    """The walk compares both blocks and the layer bit for bit; here it does so for every preset."""
    check(made(method, preset, *worked.cut()))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("method", "preset"),
    [
        ("billm", "released"),
        ("arb", "paper"),
        ("arb-x", "corrected"),
        ("arb-rc", "released"),
        ("stbllm", "corrected"),
        ("pbs2p", "best"),
    ],
)
def test_steps_of_drawn_layers_do_so_too(method, preset, seed):
    check(made(method, preset, *drawn(seed)))


@pytest.mark.parametrize("preset", ["paper", "corrected"])
@pytest.mark.parametrize("method", ["billm", "arb-rc", "stbllm"])
def test_inputs_that_never_fire(method, preset):
    assert made(method, preset, *drawn(1, dead=True))


@pytest.mark.parametrize(
    ("method", "routine"),
    [
        ("billm", "billm_layer"),
        ("arb-x", "arb_llm_layer"),
        ("stbllm", "stbllm_layer"),
        ("pbs2p", "pbs2p_layer"),
    ],
)
def test_another_result_is_refused(method, routine, monkeypatch):
    """One level of the method's own result differs in its last digit."""
    whole = getattr(ref, routine)

    def other(W, H, config):
        layer = whole(W, H, config)
        layer.blocks[1].groups[-1].planes[0].row_scale[:] *= 1.0 + 2.0**-52
        return layer

    monkeypatch.setattr(ref, routine, other)
    preset = next(iter(ref.METHODS[method].presets))
    with pytest.raises(WorkedError, match="block 1"):
        made(method, preset, *drawn(0))


def test_a_search_that_chooses_otherwise_is_refused(monkeypatch):
    monkeypatch.setattr(ref, "choose_salient", lambda *args, **_: ~args[2])
    with pytest.raises(WorkedError, match="salient columns"):
        made("billm", "paper", *drawn(0))


@pytest.mark.parametrize("name", worked.EXAMPLES)
def test_every_equation_is_above_a_line_of_code(name, examples):
    used = {Key(*equation) for step in examples[name] for equation in step.equations}
    assert len(used) >= 10
    assert used <= set(worked.tags())


@pytest.mark.parametrize(
    ("name", "routine"),
    [
        ("billm", ref.billm_layer),
        ("arb", ref.arb_llm_layer),
        ("stbllm", ref.stbllm_layer),
        ("pbs2p", ref.pbs2p_layer),
    ],
)
def test_the_page_has_the_numbers(name, routine, examples):
    """Weights, decoded values, and the error of the layer, as the layer routine has them."""
    method, preset = {"arb": ("arb-rc", "paper"), "pbs2p": ("pbs2p", "canonical")}.get(
        name, (name, "paper")
    )
    W, H = worked.cut()
    Q = routine(W, H, configured(method, preset, block_size=16)).decode()
    steps = {step.title: step for step in examples[name]}
    for title, values in (("Weights and calibration", W), ("The decoded block", Q)):
        cells = re.findall(r"<td[^>]*>([^<]*)</td>", text_of(steps[title]))
        shown = [show.number(x) for x in values[:, :16].ravel()]
        assert [cell for cell in cells if cell][: len(shown)] == shown
    error = ref.relative_error(W, Q, ref.prepare_hessian(H).damped)
    assert f" is {error:.1%}. " in steps["The whole layer"].text


def test_the_three_loops_begin_with_the_same_groups(examples):
    loops = [step.title.rpartition(" ")[2] for step in examples["arb"] if step.is_loop]
    assert loops == ["ARB", "ARB-X", "ARB-RC"]


@pytest.mark.parametrize("name", worked.EXAMPLES)
def test_tables_say_what_they_are(name, examples):
    """Every table has a caption and headings, and scrolls in a box that the keyboard reaches."""
    for step in examples[name]:
        html = text_of(step)
        tables = re.findall(r"<table.*?</table>", html)
        assert len(tables) == html.count('tabindex="0" role="region" aria-label="')
        for table in tables:
            assert re.match(r'<table class="[^"]*"><caption>[^<]+</caption>', table)
            assert 'scope="col"' in table
            assert 'scope="row"' in table
        assert html.count("<svg") == html.count('role="img" aria-label="')


def test_numbers_are_written_as_in_books():
    assert [show.number(x) for x in (-1.0, -0.001, 0.125)] == ["\N{MINUS SIGN}1.00", "0.00", "0.12"]
    assert [show.few(x) for x in (0.0, 12345.0, -0.0012345)] == [
        "0",
        "12300",
        "\N{MINUS SIGN}0.00123",
    ]


PAGE = """<!doctype html><div class="worked">
<div class="worked-step" id="one"><p class="worked-title">1. One</p></div>
<div class="worked-step" id="two"><p class="worked-title">2. Two</p><a id="inside">here</a></div>
<div class="worked-step" id="three"><p class="worked-title">3. Three</p></div>
</div><script>%s</script><script>
addEventListener("DOMContentLoaded", () => {
  const seen = [];
  const [back, next, all] = document.querySelectorAll(".worked-controls button");
  const slider = document.querySelector(".worked-controls input");
  const example = document.querySelector(".worked");
  const note = () => seen.push([
    example.classList.contains("worked-live"),
    [...document.querySelectorAll(".worked-now")].map((step) => step.id).join(),
    back.disabled, next.disabled, slider.value, slider.getAttribute("aria-valuetext"),
  ]);
  const press = (part, key) => {
    part.dispatchEvent(new KeyboardEvent("keydown", {key, bubbles: true}));
    note();
  };
  note();
  next.click(); note();
  press(next, "ArrowRight"); press(next, "ArrowRight"); press(back, "ArrowLeft");
  slider.value = 1; slider.dispatchEvent(new Event("input")); note();
  all.click(); note();
  all.click(); note();
  addEventListener("hashchange", () => {
    note();
    document.documentElement.setAttribute("data-seen", JSON.stringify(seen));
  });
  location.hash = "inside";
});
</script>"""


FRAME = """<!doctype html><script>
addEventListener("message", (event) => {
  document.documentElement.setAttribute("data-seen", event.data);
});
</script><iframe src="inner.html" style="border: 0; width: 390px; height: 800px"></iframe>"""
WIDTHS = """<script>addEventListener("load", () => {
  const {scrollWidth, clientWidth} = document.documentElement;
  parent.postMessage(JSON.stringify([scrollWidth, clientWidth]), "*");
});</script>"""
with_browser = pytest.mark.skipif(
    browser.BROWSER is None, reason="there is no Chromium on this machine"
)


def opened(page, folder):
    """What a page writes into the attribute `data-seen`."""
    (folder / "page.html").write_text(page, encoding="utf-8")
    words = ("--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder / 'profile'}")
    rest = ("--virtual-time-budget=10000", "--dump-dom", (folder / "page.html").as_uri())
    made = subprocess.run(
        [browser.BROWSER, *words, "--host-resolver-rules=MAP * ~NOTFOUND", *rest],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    return json.loads(unescape(re.search(r'data-seen="([^"]*)"', made.stdout)[1]))


@with_browser
def test_steps_are_shown_one_at_a_time(tmp_path):
    """By buttons, by keys, by the slider, and where a link leads to."""
    script = (ROOT / "docs" / "_ext" / "worked.js").read_text(encoding="utf-8")
    seen = opened(PAGE % script, tmp_path)
    first = [True, "one", True, False, "1", "1. One"]
    second = [True, "two", False, False, "2", "2. Two"]
    third = [True, "three", False, True, "3", "3. Three"]
    whole = [False, *first[1:]]
    assert seen == [first, second, third, third, second, first, whole, first, second]


@with_browser
def test_all_steps_fit_on_a_phone(examples, tmp_path):
    """Wide tables scroll in their boxes, and nothing else is wide."""
    style = (ROOT / "docs" / "_ext" / "worked.css").read_text(encoding="utf-8")
    shown = "".join(text_of(step) for steps in examples.values() for step in steps)
    body = f'<!doctype html><style>{style}</style><div class="worked">{shown}</div>{WIDTHS}'
    (tmp_path / "inner.html").write_text(body, encoding="utf-8")
    needed, width = opened(FRAME, tmp_path)
    assert 360 < width >= needed

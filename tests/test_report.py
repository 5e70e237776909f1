"""Reports of all levels: verdicts, exit codes, JSON, page, JUnit's XML, badge."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from html.parser import HTMLParser
from importlib.resources import files
from xml.etree import ElementTree as ET

import jsonschema
import pytest

from project import INTERRUPTIBLE_PYTHON, with_path
from subbit import reference
from subbit.conformance.cases import OPERATIONS
from subbit.conformance.cases.seeds import seeds_of
from subbit.conformance.command import report
from subbit.conformance.command.files import badge, junit
from subbit.conformance.command.page import page

BROKEN = "def proxy_loss(W, Q, H): return 2 * reference.proxy_loss(W, Q, H)"
LENIENT = """
# Right, but refuses nothing: the reference without its door.
def proxy_loss(W, Q, H):
    return reference.proxy_loss.__wrapped__(*(np.asarray(x, dtype=float) for x in (W, Q, H)))
"""


def read(path):
    content = json.loads(path.read_text(), parse_constant=pytest.fail)
    schema = files("subbit.conformance").joinpath("schemas/check.json").read_text()
    jsonschema.validate(content, json.loads(schema))
    return content


@pytest.fixture
def reported(run, tmp_path):
    """The exit code, the report and the output of a check."""

    def check(target, *words):
        file = tmp_path / "report.json"
        result = run(target, "--json", file, *words)
        content = read(file)
        assert content["exit_code"] == result.exit_code, result.output
        return result.exit_code, content, result.output

    return check


def statuses(content):
    return {(row["operation"], row["part"]): row["status"] for row in content["operations"]}


def test_levels_of_the_reference(reported, few):
    few("proxy_loss", "rtn_layer")
    code, content, _ = reported("reference", "--depth", "quick")
    assert code == 0
    assert content["result"] == "conforms"
    assert [row["operation"] for row in content["operations"]] == ["proxy_loss", "rtn_layer"]
    for row in content["operations"]:
        seeds = seeds_of(OPERATIONS[row["operation"]], "quick")
        assert row["passed"] == row["cases"] == len(seeds)
        assert row["worst"] <= 1
        assert row["counts"]["bounded"] > 0
        assert row["counts"]["largest"] <= row["worst"]
    assert content["verdicts"]["signatures"] == "not compared"


def test_a_report_says_where_it_is_from(reported, few):
    few("sign")
    _, content, _ = reported("reference", "--depth", "quick", "--jobs", 2)
    assert content["versions"]["subbit"] == reference.__version__
    assert content["machine"]["cores"] == os.cpu_count()
    assert (content["jobs"], content["depth"], content["level"]) == (2, "quick", 3)
    assert content["seconds"] > 0
    assert time.strftime("%Y", time.gmtime()) in content["date"]


def test_a_port_says_what_it_is_built_with(reported, few, make_port):
    few("sign")
    declared = {"versions": {"nvcc": "13.0"}, "device": "cuda", "dtype": "float32"}
    _, content, _ = reported(make_port(f"CAPABILITIES = {declared}"), "--depth", "quick")
    assert content["versions"]["nvcc"] == "13.0"
    assert (content["device"], content["dtype"]) == ("cuda", "float32")


def test_our_kernels_say_their_compiler(reported, few):
    few("sign")
    _, content, _ = reported("fast:simulated", "--depth", "quick")
    assert re.fullmatch(r"\d+\.\d+", content["versions"]["NVRTC"])
    assert content["device"] == "simulated"


def test_a_wrong_function_diverges_and_can_be_replayed(run, reported, few, make_port):
    few("proxy_loss", "rtn_layer")
    name = make_port(BROKEN)
    code, content, _ = reported(name, "--depth", "quick")
    assert code == 1
    failed, passed = content["operations"]
    assert (failed["status"], passed["status"]) == ("failed", "passed")
    assert failed["worst"] > 1
    assert "rows" in failed["message"]
    assert "expected" in failed["message"]
    again = run(name, "--replay", failed["replay"])
    assert again.exit_code == 1
    assert "expected" in again.output
    assert run("reference", "--replay", failed["replay"]).exit_code == 0


def test_several_failures_are_shown_each_with_its_command(reported, few, make_port):
    few("proxy_loss")
    name = make_port(BROKEN)
    _, content, output = reported(name, "--depth", "ci")
    (row,) = content["operations"]
    assert row["failed"] > len(row["failures"]) == 5
    assert len({failure["replay"] for failure in row["failures"]}) == 5
    for failure in row["failures"]:
        assert f"subbit check {name} --replay {failure['replay']}" in output
        assert failure["message"] in output
    assert f"and {row['failed'] - 5} more of proxy_loss" in output


def test_cases_that_are_not_implemented_are_counted_and_the_others_compared(
    run, reported, few, make_port
):
    few("residual_binarize")
    first_order = """
    def residual_binarize(*arguments, **switches):
        if switches.get("order", 1) > 1:
            raise NotImplementedError("second order")
        made = reference.residual_binarize(*arguments, **switches)
        return made{change}
    """
    code, content, output = reported(make_port(first_order.format(change="")))
    assert code == 2
    (row,) = content["operations"]
    assert row["status"] == "partial"
    assert 0 < row["missing"] < row["cases"] + row["missing"]
    assert row["passed"] == row["cases"]
    total = row["cases"] + row["missing"]
    said = f"{row['cases']} of {total} cases compared, not implemented: second order"
    assert row["message"] == said
    assert "1 implemented in part" in output
    wrong = "if False else dataclasses.replace(made, name='another')"
    assert run(make_port(first_order.format(change=f" {wrong}"))).exit_code == 1


def test_what_is_not_implemented_is_never_conformity(run, reported, few, make_port):
    few("proxy_loss", "rtn_layer")
    later = "def rtn_layer(*_, **__): raise NotImplementedError('rtn_layer')"
    for name in (make_port(drop=["rtn_layer"]), make_port(later)):
        code, content, _ = reported(name, "--depth", "quick")
        assert code == 2
        assert content["result"] == "incomplete"
        assert [row["status"] for row in content["operations"]] == ["passed", "missing"]
        assert run(name, "--replay", "rtn_layer:1").exit_code == 2
    wrong = make_port(BROKEN, drop=["rtn_layer"])
    assert run(wrong, "--depth", "quick").exit_code == 1
    assert run(make_port(drop=["rtn_layer"]), "--depth", "quick", "--level", 2).exit_code == 0


def test_right_numbers_without_refusals_are_a_verdict_of_their_own(reported, few, make_port):
    few("interface_proxy_loss", "proxy_loss")
    code, content, output = reported(make_port(LENIENT), "--depth", "quick")
    assert code == 3
    assert content["result"] == "refusals missing"
    assert content["verdicts"] == {
        "signatures": "conforms",
        "refusals": "missing",
        "numbers": "conforms",
    }
    assert statuses(content)["interface_proxy_loss", "refusals"] == "failed"
    assert "signatures: conforms, refusals: missing, numbers: conforms" in output


def test_wrong_numbers_with_refusals_diverge(reported, few, make_port):
    few("interface_proxy_loss", "proxy_loss")
    code, content, _ = reported(make_port(BROKEN), "--depth", "quick")
    assert code == 1
    assert content["verdicts"] == {
        "signatures": "conforms",
        "refusals": "conforms",
        "numbers": "diverges",
    }


def test_a_wrong_signature_diverges(reported, few, make_port):
    few("interface_proxy_loss")
    renamed = "def proxy_loss(W, Q, hessian): return reference.proxy_loss(W, Q, hessian)"
    code, content, _ = reported(make_port(renamed), "--depth", "quick")
    assert code == 1
    assert content["verdicts"]["signatures"] == "diverges"


def test_the_worst_rows_come_first(reported, few, make_port):
    few("proxy_loss", "weight_error", "sign", "masked_mean")
    name = make_port(BROKEN, drop=["sign"])
    _, content, output = reported(name, "--depth", "quick")
    summary = [(line["family"], line["status"]) for line in content["summary"]]
    assert summary == [("objective", "failed"), ("signs", "missing"), ("groups", "passed")]
    assert content["summary"][0] | {"worst": 0} == {
        "family": "objective",
        "level": 2,
        "part": "numbers",
        "status": "failed",
        "operations": 2,
        "passed": 1,
        "failed": 1,
        "worst": 0,
    }
    table = output[output.index("at most 1") :]
    places = [table.index(f"│ {word}") for word in ("proxy_loss", "masked_mean")]
    # What is not implemented is counted, and has no row of its own.
    assert "│ sign" not in table
    assert places == sorted(places)
    assert output.index(": summary") < output.index("at most 1")


class _Outline(HTMLParser):
    """Elements that are not closed, and what they refer to."""

    def __init__(self):
        super().__init__()
        self.open, self.attributes = [], []

    def handle_starttag(self, tag, attrs):
        self.attributes += [name for name, _ in attrs]
        if tag not in {"meta", "br"}:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_page_needs_no_other_file(run, few, make_port, tmp_path):
    few("proxy_loss", "sign")
    name = make_port(
        "def proxy_loss(W, Q, H): raise ValueError('<script>alert(1)</script> & co')",
        drop=["sign"],
    )
    places = {kind: tmp_path / f"out.{kind}" for kind in ("html", "json")}
    run(name, "--depth", "quick", "--html", places["html"], "--json", places["json"])
    text = places["html"].read_text()
    content = read(places["json"])
    assert text == page(content)
    outline = _Outline()
    outline.feed(text)
    assert not outline.open
    assert not {"src", "href", "onclick"} & set(outline.attributes)
    assert "<script" not in text
    assert "&lt;script&gt;" in text
    assert "url(" not in text
    assert "not implemented" in text
    assert 'class="failed"' in text
    assert "--replay proxy_loss:" in text
    assert content["machine"]["processor"] in text
    assert text.index("<h2>Failures") < text.index("<h2>Summary") < text.index("<h2>Operations")
    assert "Eq. (5), subbit: ℒ = ½ Tr(D H Dᵀ)" in text
    assert "bound proxy_loss_bound, Eq. (B16), subbit:" in text


def test_build_servers_read_it(run, few, make_port, tmp_path):
    few("proxy_loss", "sign", "masked_mean", "interface_sign")
    name = make_port(
        "def proxy_loss(W, Q, H): raise ValueError('\\x00 \\ud800 <&> ]]>')", drop=["sign"]
    )
    run(name, "--depth", "quick", "--junit", tmp_path / "out.xml")
    top = ET.parse(tmp_path / "out.xml").getroot()  # noqa: S314  (our own file)
    assert top.tag == "testsuites"
    assert (top.get("tests"), top.get("failures")) == ("5", "1")
    cases = {case.get("name"): case for case in top.iter("testcase")}
    failure = cases["proxy_loss (numbers)"].find("failure")
    assert "<&> ]]>" in failure.text
    assert f"subbit check {name} --replay proxy_loss:0" in failure.text
    assert cases["sign (numbers)"].find("skipped").get("message") == "not implemented: sign"
    assert not list(cases["masked_mean (numbers)"])
    for suite in top:
        own = suite.findall("testcase")
        assert int(suite.get("tests")) == len(own)
        assert int(suite.get("skipped")) == sum(c.find("skipped") is not None for c in own)


def test_the_badge_says_the_result(run, few, tmp_path, make_port):
    few("sign")
    colors = set()
    for name, words in (
        ("reference", "conforms, levels 0-3"),
        (make_port(drop=["sign"]), "incomplete, levels 0-3"),
        (make_port("def sign(x, zero=1): return 7"), "diverges, levels 0-3"),
    ):
        run(name, "--depth", "quick", "--badge", tmp_path / "out.svg")
        drawn = ET.parse(tmp_path / "out.svg").getroot()  # noqa: S314  (our own file)
        assert drawn.tag == "{http://www.w3.org/2000/svg}svg"
        assert words in drawn.get("aria-label")
        colors |= set(re.findall('fill="(#[0-9a-f]{6})"', (tmp_path / "out.svg").read_text()))
    assert len(colors) == 3


def test_everything_is_made_from_the_json(reported, few):
    few("sign", "interface_sign")
    _, content, _ = reported("reference", "--depth", "quick")
    assert badge(content)
    assert junit(content)


def test_the_number_of_processes_changes_nothing(few, make_port):
    few("proxy_loss", "sign", "interface_sign", "masked_mean", "weight_error", "rtn_layer")
    name = make_port(f"{BROKEN}\ndef weight_error(W, Q): os._exit(3)", drop=["sign"])

    def judged(jobs):
        found = report.run(report.Request(name, 3, "quick", jobs))
        return {k: v for k, v in found.items() if k not in {"date", "seconds", "jobs"}}

    assert judged(1) == judged(3)


def started(cwd, *words):
    call = [*INTERRUPTIBLE_PYTHON, "-m", "subbit.conformance", "check", *map(str, words)]
    return subprocess.Popen(
        call,
        cwd=cwd,
        env=with_path(*sys.path),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def test_ctrl_c_ends_at_once_and_reports_what_was_found(make_port, tmp_path):
    # Others are finished before it is asked.
    asleep = tmp_path / "asleep"
    sleep = f"def arb_rc(*_, **__): open({str(asleep)!r}, 'w').close(); time.sleep(1000)"
    name = make_port(f"{BROKEN}\n{sleep}")
    words = ("--depth", "quick", "--level", 2, "--json", "out.json", "--html", "out.html")
    process = started(tmp_path, name, *words, "--jobs", 2)
    while not asleep.exists() and process.poll() is None:
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGINT)
    stopped = time.monotonic()
    output, errors = process.communicate(timeout=60)
    assert time.monotonic() - stopped < 20
    assert process.returncode == 130
    assert "interrupted; the report is about what was finished" in errors
    assert "Traceback" not in output + errors
    content = read(tmp_path / "out.json")
    assert content["result"] == "interrupted"
    assert 0 < content["finished"] < content["planned"]
    assert f"stopped after {content['finished']} of {content['planned']} operations" in output
    assert "interrupted" in (tmp_path / "out.html").read_text()


def test_progress_is_told_from_the_start(make_port, tmp_path):
    """In plain lines, as the output is no terminal."""
    process = started(tmp_path, make_port(), "--depth", "quick", "--level", 0)
    output, errors = process.communicate(timeout=300)
    first, second = errors.splitlines()[:2]
    assert first.endswith(": starting")
    assert re.search(r"[\d,]+ cases of \d+ operations, 1 process$", second)
    assert "\x1b" not in output + errors

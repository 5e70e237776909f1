"""Products of a block with its matrices, in the ways that libraries run experts."""

from collections.abc import Callable
from typing import Any

import pytest

from subbit.conformance.models.block_linears import BlockLinears, describe
from subbit.conformance.models.products import Watch, watched

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
nn, functional = torch.nn, torch.nn.functional

EXPERTS, WIDTH, INNER = 4, 6, 10


class Block(nn.Module):  # type: ignore[misc, name-defined]
    """A block with parts of the given names that runs in the way of a test."""

    def __init__(self, way: Callable[[Any, Any], Any], **parts: Any) -> None:
        super().__init__()
        torch.manual_seed(0)
        for name, part in parts.items():
            setattr(self, name, part)
        self.way = way

    def forward(self, x: Any) -> Any:
        return self.way(self, x)


def random(*shape: int) -> Any:
    return nn.Parameter(torch.randn(shape))


def seen(block: Any) -> tuple[BlockLinears, dict[str, Any]]:
    """Linears of a block, and the inputs of those that ran."""
    watch, inputs = Watch(), {}

    def see(name: str, place: Any, x: Any) -> None:
        inputs[name] = x.clone()
        watch.see(name, place, x)

    with torch.no_grad(), watched(block, see):
        block(torch.randn(5, WIDTH))
    return describe(block, watch), inputs


def each(multiply: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """Run experts 0 and 2 on some of the tokens."""
    return lambda block, x: [multiply(x[e:], block.stack[e]) for e in (0, 2)]


WAYS = {
    "linear": (each(functional.linear), False),
    "linear transposed": (each(lambda x, W: functional.linear(x, W.T)), True),
    "at": (each(lambda x, W: x @ W), True),
    "at transposed": (each(lambda x, W: x @ W.T), False),
    "matmul": (each(torch.matmul), True),
    "method": (each(lambda x, W: x.mm(W)), True),
    "keywords": (each(lambda x, W: torch.mm(input=x, mat2=W)), True),
    "bmm": (lambda b, x: torch.bmm(x.expand(EXPERTS, -1, -1), b.stack), True),
    "matmul of all": (lambda b, x: x @ b.stack, True),
    "matmul of all transposed": (lambda b, x: x @ b.stack.transpose(1, 2), False),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("inner", [WIDTH, INNER])
def test_each_experts_matrix_is_a_linear(way: str, inner: int) -> None:
    run, transposed = WAYS[way]
    shape = (EXPERTS, WIDTH, inner) if transposed else (EXPERTS, inner, WIDTH)
    block = Block(run, stack=random(*shape))
    found, inputs = seen(block)
    assert [x.name for x in found.linears] == [f"{e}.stack" for e in range(EXPERTS)]
    assert {x.shape for x in found.linears} == {(inner, WIDTH)}
    assert set(inputs) == {f"{e}.stack" for e in ((0, 2) if way in list(WAYS)[:7] else range(4))}
    for name, place in found.places.items():
        assert place.transposed is transposed
        stored = block.stack[place.expert]
        assert torch.equal(place.matrix(block.stack), stored.T if transposed else stored)
        if name in inputs:
            assert inputs[name].shape[-1] == WIDTH


def test_experts_may_be_stacked_row_upon_row() -> None:
    stack = random(EXPERTS * INNER, WIDTH)
    rows = lambda b, e: b.stack.view(EXPERTS, INNER, WIDTH)[e]  # noqa: E731 - two short ways
    for run, shape in (
        (lambda b, x: x @ rows(b, 2).T, (INNER, WIDTH)),
        (lambda b, x: functional.linear(x[:, :1].expand(-1, INNER), rows(b, 1).T), (WIDTH, INNER)),
    ):
        found, _ = seen(Block(run, stack=stack))
        assert [x.shape for x in found.linears] == [shape] * EXPERTS
        place = found.places["3.stack"]
        place.matrix(stack.data)[0] = 9
        assert (stack.data[3 * INNER :] == 9).sum() == shape[1]
        stack.data.normal_()


@pytest.mark.parametrize(
    "run",
    [
        lambda b, x: functional.linear(x[:, :3], b.stack[0][:, :3]),
        lambda b, x: functional.linear(x, b.stack[0][1:]),
        lambda b, x: functional.linear(x, b.stack.flatten(0, 1)[1 : INNER + 1]),
        lambda b, x: functional.linear(x, b.stack[:2].flatten(0, 1)),
        lambda b, x: functional.linear(x, b.stack[1] * 2),
        lambda b, x: torch.einsum("tm,enm->etn", x, b.stack),
    ],
)
def test_other_uses_of_a_matrix_leave_it_in_full_precision(run: Any) -> None:
    found, _ = seen(Block(run, stack=random(EXPERTS, INNER, WIDTH)))
    assert found.linears == ()
    assert found.kept == ("stack",)


def test_rows_that_do_not_divide_a_stack_leave_it_in_full_precision() -> None:
    found, _ = seen(Block(lambda b, x: x @ b.stack[:7].T, stack=random(EXPERTS * INNER, WIDTH)))
    assert (found.linears, found.kept) == ((), ("stack",))


def test_experts_with_one_input_have_hessians_of_their_own() -> None:
    """Which tokens reach an expert is not known from those of another."""
    experts = nn.ModuleList(nn.Linear(WIDTH, INNER) for _ in range(2))
    block = Block(lambda b, x: (b.query(x), b.experts[1](x)), experts=experts)
    block.query = nn.Linear(WIDTH, 3)
    found, _ = seen(block)
    names = ["query.input", "experts.0.input", "experts.1.input"]
    assert [x.input_name for x in found.linears] == names


def mixture() -> Any:
    """Experts that are modules of their own, and a router before them."""
    experts = nn.ModuleList(
        nn.ModuleDict({"up": nn.Linear(WIDTH, INNER), "gate": nn.Linear(WIDTH, INNER)})
        for _ in range(EXPERTS)
    )

    def run(block: Any, x: Any) -> Any:
        block.router(x)
        block.query(x)
        part = x[1:].clone()
        return block.experts[2]["up"](part) * block.experts[2]["gate"](part)

    return Block(
        run, router=nn.Linear(WIDTH, EXPERTS), query=nn.Linear(WIDTH, EXPERTS), experts=experts
    )


def test_experts_that_are_modules_are_linears_even_if_no_token_reaches_them() -> None:
    found, inputs = seen(mixture())
    assert set(inputs) == {"router", "query", "experts.2.up", "experts.2.gate"}
    names = [x.name for x in found.linears]
    assert names == ["query"] + [f"experts.{e}.{x}" for e in range(EXPERTS) for x in ("up", "gate")]
    by_name = {x.name: x.input_name for x in found.linears}
    for expert in range(EXPERTS):
        assert by_name[f"experts.{expert}.up"] == f"experts.{expert}.up.input"
        assert by_name[f"experts.{expert}.gate"] == f"experts.{expert}.up.input"
    assert found.kept == ("router.weight",)
    assert found.first_of_inputs()["experts.3.up"] == "experts.3.up.input"


def test_a_changed_input_is_another_one() -> None:
    def run(block: Any, x: Any) -> Any:
        block.q_proj(x)
        block.k_proj(x)
        x += 1
        block.v_proj(x)
        return block.o_proj(x.clone())

    names = ("q_proj", "k_proj", "v_proj", "o_proj")
    found, _ = seen(Block(run, **{name: nn.Linear(WIDTH, WIDTH) for name in names}))
    assert [x.input_name for x in found.linears] == [
        "attention_input", "attention_input", "v_proj.input", "attention_heads"
    ]  # fmt: skip


def test_modules_that_never_run_are_kept() -> None:
    block = Block(lambda b, x: b.fc1(input=x), fc1=nn.Linear(WIDTH, 3), other=nn.Linear(3, 3))
    found, _ = seen(block)
    assert [x.name for x in found.linears] == ["fc1"]
    assert found.kept == ("other.weight",)

"""The schedule
============

Every lane has a program counter. The lowest runs first, with all lanes that are at it,
until its block of instructions ends: that reconverges structured code. Lanes at a barrier
wait for all lanes of their block, lanes at a ``.sync`` instruction for the live lanes of
their member mask. If nothing can run while lanes wait, that is a fault.

The random schedule often picks another program counter, and at times half of its warps.
"""

import numpy as np

from subbit.fast.device.errors import Fault, SimulationError

from .machine import FULL, WARP, Bits, Machine, words
from .program import Block, Program

_SPIN_AFTER = 4096
_SPIN_WINDOW = 64
_RANDOM_STEPS = 2_000_000
_LOWEST_SHARE, _HALF_SHARE = 0.5, 0.25


class Schedule:
    """Runs the lanes of a machine to their end.

    Parameters
    ----------
    program : Program
        The program to run.
    machine : Machine
        The machine whose registers it works on.
    """

    def __init__(self, program: Program, machine: Machine) -> None:
        self.blocks = program.blocks
        self.m = machine
        self.ready: dict[int, Bits] = {0: machine.live.copy()}
        self.waiting: dict[int, Bits] = {}
        self.exits = False
        self.has_exited = np.zeros(machine.lanes, np.bool_)
        self.spin = _Spin()

    def run(self) -> None:
        """Run until every lane has left the kernel."""
        while self.ready or self._wake():
            at = self._pick()
            mask = self._half(at, self.ready.pop(at))
            block = self.blocks[at]
            self.m.block, self.m.at = block, 0
            if block.sync:
                mask = self._arrive(at, block, mask)
            if mask is self.m.mask or np.count_nonzero(mask):
                self._step(at, block, mask)

    def _pick(self) -> int:
        if self.m.rng is not None:
            if self.spin.count(self.m) > _RANDOM_STEPS:
                self._deadlock("no end after very many steps of the random schedule")
            return self._random_pick(self.m.rng)
        at = min(self.ready)
        if not self.spin.seen(self.m, at):
            return at
        # The lowest lanes spin on memory: only others can release them.
        others = [a for a in self.ready if a not in self.spin.stuck]
        if not others:
            self._deadlock("all threads that can run spin without effect")
        return min(others)

    def _random_pick(self, rng: np.random.Generator) -> int:
        """Choose any place, but the lowest half of the time, so lanes reconverge."""
        if len(self.ready) == 1 or rng.random() < _LOWEST_SHARE:
            return min(self.ready)
        return int(rng.choice(sorted(self.ready)))

    def _half(self, at: int, mask: Bits) -> Bits:
        """Now and then keep a random half of the warps and put the others back."""
        rng = self.m.rng
        if rng is None or rng.random() > _HALF_SHARE:
            return mask
        warps = mask.reshape(-1, WARP)
        present = np.flatnonzero(warps.any(axis=1))
        if len(present) < 2:
            return mask
        chosen = rng.permutation(present)[: -(-len(present) // 2)]
        part = np.zeros_like(mask)
        part.reshape(-1, WARP)[chosen] = warps[chosen]
        self._add(at, mask & ~part)
        return part

    def _arrive(self, at: int, block: Block, mask: Bits) -> Bits:
        """Return the lanes that may pass a sync point; the others wait."""
        if at in self.waiting:
            mask = mask | self.waiting.pop(at)
        passing = (
            self._block_ready(mask) if block.sync == "block" else self._warp_ready(block, mask)
        )
        if passing is mask:
            return mask
        rest = mask & ~passing
        if rest.any():
            self.waiting[at] = rest
        return passing

    def _block_ready(self, mask: Bits) -> Bits:
        geometry = self.m.geometry
        here = mask.reshape(-1, geometry.padded)
        full = here.sum(axis=1) == geometry.threads
        if full.all():
            return mask
        return (here & full[:, None]).ravel()

    def _warp_ready(self, block: Block, mask: Bits) -> Bits:
        """Return the lanes all of whose live partners are here."""
        m = self.m
        self._activate(mask)
        members = np.full(1, FULL) if block.members is None else block.members(m)
        together = m.count == m.live_count or m.in_warps
        if together and m.all_equal(members, FULL):
            return mask
        members = m.full(members) if len(members) > 1 else members
        here = words(mask)
        absent = words(m.live) & ~here
        per_lane = members if len(members) > 1 else np.repeat(members, m.lanes)
        passing = mask & ((per_lane & np.repeat(absent, WARP)) == 0)
        self._check_members(per_lane, passing)
        return passing

    def _check_members(self, members: Bits, passing: Bits) -> None:
        lane_bit = np.uint32(1) << (np.arange(self.m.lanes) % WARP).astype(np.uint32)
        outside = passing & ((members & lane_bit) == 0)
        if outside.any():
            self._fault("shuffle", "the thread is not in its own member mask", outside)

    def _activate(self, mask: Bits) -> None:
        """Make lanes the active ones, unless they are already."""
        if mask is not self.m.mask:
            self.m.set_active(mask, int(np.count_nonzero(mask)))

    def _step(self, at: int, block: Block, mask: Bits) -> None:
        m = self.m
        self._activate(mask)
        m.at = 0
        try:
            for m.at, run in enumerate(block.runs):
                run(m)
            m.thread_instructions += m.count * len(block.runs)
            if m.ran is not None:
                m.ran.blocks[at] = True
            self._jump(at, block)
        except Fault as fault:
            raise self._located(fault) from None

    def _jump(self, at: int, block: Block) -> None:
        m, jump = self.m, block.jump
        if jump.kind == "fall":
            self._add(jump.targets[0], m.mask)
        elif jump.kind == "branch" and jump.source is not None:
            self._branch(at, jump.targets, jump.source(m))
        elif jump.source is not None:
            self._scatter(jump.kind, jump.targets, jump.source(m))
        else:
            m.live &= ~m.mask
            self.has_exited |= m.mask
            m.live_count = int(np.count_nonzero(m.live))
            self.exits = True

    def _branch(self, at: int, targets: tuple[int, ...], taken: Bits) -> None:
        m = self.m
        if len(taken) == 1:
            if m.ran is not None:
                m.ran.went(at, some=bool(taken[0]), others=not taken[0])
            self._add(targets[0] if taken[0] else targets[1], m.mask)
            return
        yes = m.select(taken)
        count = int(np.count_nonzero(yes))
        if m.ran is not None:
            m.ran.went(at, some=count > 0, others=count < m.count)
        if count:
            self._add(targets[0], yes)
        if count < m.count:
            self._add(targets[1], m.mask & ~yes if count else m.mask)

    def _scatter(self, kind: str, targets: tuple[int, ...], value: Bits) -> None:
        """Jump to as many places as there are values: a table or a return."""
        for v in np.unique(self.m.dense(value)):
            if kind == "table" and v >= len(targets):
                name = "trap"
                raise Fault(name, f"jump table index {v}", int(self.m.active[0]))
            target = targets[int(v)] if kind == "table" else int(v)
            same = value == v
            self._add(target, self.m.mask.copy() if len(same) == 1 else self.m.select(same))

    def _add(self, at: int, mask: Bits) -> None:
        old = self.ready.get(at)
        self.ready[at] = mask if old is None else old | mask

    def _wake(self) -> bool:
        """Let waiting lanes check again after others have left; else report them."""
        if not self.waiting:
            return False
        if not self.exits:
            self._stuck()
        self.exits = False
        for at, mask in self.waiting.items():
            self._add(at, mask)
        self.waiting = {}
        return True

    def _stuck(self) -> None:
        """Report waiting lanes that nothing can release."""
        barriers = {at: k for at, k in self.waiting.items() if self.blocks[at].sync == "block"}
        listing = self._listing()
        for at, mask in sorted(barriers.items()):
            rows = mask.reshape(-1, self.m.geometry.padded).any(axis=1)
            inside = np.repeat(rows, self.m.geometry.padded)
            elsewhere = [a for a, other in barriers.items() if a != at and (other & inside).any()]
            self.m.block, self.m.at = self.blocks[at], 0
            if (self.has_exited & inside).any() or elsewhere:
                why = "not all threads of the block reach this barrier: "
                self._fault("barrier divergence", why + listing, mask)
        at = min(self.waiting)
        self.m.block, self.m.at = self.blocks[at], 0
        self._fault("deadlock", "nothing can run: " + listing, self.waiting[at])

    def _deadlock(self, why: str) -> None:
        places = self.ready
        at = min(places)
        self.m.block, self.m.at = self.blocks[at], 0
        self._fault("deadlock", f"{why}: {self._listing()}", places[at])

    def _listing(self) -> str:
        """Report how many threads are at each place."""
        parts = [f"{int(self.has_exited.sum())} threads have left the kernel"]
        for verb, places in (("wait", self.waiting), ("run", self.ready)):
            for at, mask in sorted(places.items()):
                ins = self.blocks[at].instructions[0]
                parts.append(f"{int(mask.sum())} {verb} at line {ins.line} ({ins.name})")
        return ", ".join(parts)

    def _fault(self, kind: str, detail: str, mask: Bits) -> None:
        raise self._located(Fault(kind, detail, int(np.flatnonzero(mask)[0])))

    def _located(self, fault: Fault) -> SimulationError:
        return self.m.located(fault)


class _Spin:
    """Notices that the registers of a chunk repeat while memory stays the same."""

    def __init__(self) -> None:
        self.steps = 0
        self.version = -1
        self.since = 0
        self.stuck: set[int] = set()
        self.saved: tuple[int, list[Bits | None]] | None = None

    def count(self, m: Machine) -> int:
        """Count a step; memory that changes starts over."""
        self.steps += 1
        if m.memory.version != self.version:
            self.version, self.since = m.memory.version, self.steps
            self.stuck.clear()
            self.saved = None
        return self.steps - self.since

    def seen(self, m: Machine, at: int) -> bool:
        """Count a step at `at` and tell whether it belongs to a loop without effect."""
        quiet = self.count(m)
        if at in self.stuck:
            return True
        if quiet < _SPIN_AFTER:
            return False
        if quiet % _SPIN_AFTER == 0 or self.saved is None:
            self.saved = at, list(m.registers)
            return False
        if quiet % _SPIN_AFTER >= _SPIN_WINDOW or self.saved[0] != at:
            return False
        if all(_same(a, b) for a, b in zip(self.saved[1], m.registers, strict=True)):
            self.stuck.add(at)
        return at in self.stuck


def _same(a: Bits | None, b: Bits | None) -> bool:
    if a is b:
        return True
    return a is not None and b is not None and bool(np.array_equal(a, b))

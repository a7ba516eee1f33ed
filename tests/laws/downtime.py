"""When instances were down, worked out from the dice of the settings and the passes that were running, without policy.

A replica crashes when its life is over and starts again. A pass that runs then is lost; of one that has ended the
results come first, and the crash is heard of behind them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from sim.engine.engine_input import FleetInput

if TYPE_CHECKING:
    from tests.laws.audit import Books, LifeRow, PassRow

__all__ = ["Down", "all_downs", "crashes_lose_what_runs", "down_times", "factor_of"]

NONE = -1
FAILED = 5
MASK = 2**64 - 1
GOLDEN = 0x9E3779B97F4A7C15
COLD_START, CRASH, SLOW = 14, 21, 22  # streams
ONE = 2**20


class Down(NamedTuple):
    """From when to when an instance was down, and the pass that was lost with it, NONE without one."""

    from_ns: int
    to_ns: int
    lost: int


def down_times(books: Books, life: LifeRow, instance: int) -> list[Down]:
    """Return when an instance of a replica was down, as far as the run goes."""
    fleet, found = books.given.fleet, list[Down]()
    if fleet.crash_table is None or life.ready_ns == NONE:
        return found
    passes = sorted(
        (each for each in books.passes if (each.replica, each.instance) == (life.replica, instance)),
        key=lambda each: each.handed_ns,
    )
    ready_ns, number = life.ready_ns, 0
    end_ns = books.last_ns if life.gone_ns == NONE else life.gone_ns
    while True:
        crash_ns = ready_ns + max(_draw(fleet.crash_table, _die(books, CRASH, life.replica, number)), 1)
        number += 1
        if crash_ns > end_ns:
            return found
        heard_ns, lost = _heard_of(passes, crash_ns)
        if heard_ns > end_ns:
            return found
        ready_ns = heard_ns + max(_start_ns(books, fleet, life.replica, number), 1)
        found.append(Down(heard_ns, ready_ns, lost))


def _heard_of(passes: Sequence[PassRow], crash_ns: int) -> tuple[int, int]:
    """Return when the dispatcher hears of a crash, and the serial of the pass that is lost."""
    for each in passes:
        if each.handed_ns < crash_ns and (each.returned_ns == NONE or crash_ns <= each.returned_ns):
            if NONE < each.ended_ns <= crash_ns:
                return each.returned_ns if each.returned_ns != NONE else 2**62, NONE
            return crash_ns, each.serial
    return crash_ns, NONE


def _start_ns(books: Books, fleet: FleetInput, replica: int, number: int) -> int:
    tables = fleet.cold_start_tables
    dice = [_die(books, COLD_START, replica, number * len(tables) + part) for part in range(len(tables))]
    return sum(_draw(tables[part], dice[part]) for part in range(fleet.restart_from, len(tables)))


def all_downs(books: Books) -> list[Down]:
    """Return when any instance was down."""
    instances = range(books.given.fleet.instances)
    return [down for life in books.lives for each in instances for down in down_times(books, life, each)]


def crashes_lose_what_runs(books: Books) -> Iterator[str]:
    """A crash fails the pass that runs and nothing else, and until its restart an instance takes no other.

    A model that errs fails requests besides.
    """
    lost: dict[int, int] = {}  # serial of a pass -> when
    for life in books.lives:
        for instance in range(books.given.fleet.instances):
            downs = down_times(books, life, instance)
            lost |= {down.lost: down.from_ns for down in downs if down.lost != NONE}
            for each in books.passes:
                here = (each.replica, each.instance) == (life.replica, instance)
                if here and any(down.from_ns <= each.handed_ns < down.to_ns for down in downs):
                    yield f"pass {each.serial} was handed to instance {instance} of {life.replica}, which was down"
    for each in books.passes:
        has_come = each.returned_ns != NONE or lost.get(each.serial, books.last_ns) < books.last_ns
        if has_come and (each.started_ns == NONE and each.returned_ns != NONE) != (each.serial in lost):
            yield f"pass {each.serial} {'should be' if each.serial in lost else 'should not be'} lost"
    for row in books.rows:
        if row.outcome == FAILED and row.serial not in lost and books.given.fleet.error_share == 0:
            yield f"{row.request}.{row.attempt} failed with pass {row.serial}, which was not lost"
        if row.serial in lost and row.outcome == 1:
            yield f"{row.request}.{row.attempt} was answered by pass {row.serial}, which was lost"


def factor_of(books: Books, this: PassRow) -> int:
    """Return by how much more a pass takes on a replica that may be slow, by an instance that may be new."""
    rule = books.given.fleet.faults
    factor = ONE
    if (_die(books, SLOW, this.replica, 0) >> 33) * 1_000_000 >> 31 < rule.slow_share:
        factor = factor * rule.slow_factor // ONE
    life = next(life for life in books.lives if life.replica == this.replica)
    ready_ns = max(
        (down.to_ns for down in down_times(books, life, this.instance) if down.to_ns <= this.handed_ns), default=0
    )
    before = sum(
        (each.replica, each.instance) == (this.replica, this.instance) and ready_ns <= each.handed_ns < this.handed_ns
        for each in books.passes
    )
    return factor * rule.first_factor // ONE if before < rule.first_count else factor


def _die(books: Books, stream: int, entity: int, ordinal: int) -> int:
    """Return 64 bits of splitmix64 for these keys."""
    bits = books.given.seed
    for key in (stream, entity, ordinal):
        bits = (bits + GOLDEN * (key + 1)) & MASK
        bits = ((bits ^ (bits >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        bits = ((bits ^ (bits >> 27)) * 0x94D049BB133111EB) & MASK
        bits ^= bits >> 31
    return bits


def _draw(table: Sequence[int], bits: int) -> int:
    """Return a draw from a constant or a coin, whose two values meet in the cell before its middle."""
    if len(table) == 1 or bits >> 54 < 511:
        return table[0]
    return table[-1] if bits >> 54 > 511 else table[0] + ((table[-1] - table[0]) * (bits & 0xFFFF) >> 16)

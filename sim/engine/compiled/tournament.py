"""Tournaments of moments: the earliest of many is known at once, and changing one costs a match per round.

For places that each wait for one moment at most, such as instances and replicas. A tree of 2 * leaves integers: node 1
is the earliest of all, node n the earlier one of nodes 2 n and 2 n + 1, and place k is node leaves + k.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba.extending import register_jitable

from policy.instant import NEVER_NS
from sim.engine.compiled.memory import int_at, set_int

__all__ = ["earliest_ns", "first_due", "leaves_for", "set_moment", "tournament"]


def leaves_for(places: int) -> int:
    """Return the leaves of a tournament of so many places, a power of two."""
    return 1 << (places - 1).bit_length()


def tournament(places: int, at_ns: int = NEVER_NS) -> npt.NDArray[np.int64]:
    """Return a tournament of so many places, which all wait for the same moment, or for none."""
    leaves = leaves_for(places)
    tree = np.full(2 * leaves, NEVER_NS, dtype=np.int64)
    tree[leaves : leaves + places] = at_ns
    for node in range(leaves - 1, 0, -1):
        tree[node] = min(tree[2 * node], tree[2 * node + 1])
    return tree


@register_jitable(forceinline=True)
def earliest_ns(tree):
    """Return the earliest moment, NEVER_NS without one."""
    return int_at(tree, 1)


@register_jitable(forceinline=True)
def set_moment(tree, leaves, place, at_ns):
    """Let a place wait for a moment, or for none with NEVER_NS."""
    node = leaves + place
    if int_at(tree, node) == at_ns:
        return
    set_int(tree, node, at_ns)
    while node > 1:
        at_ns = min(at_ns, int_at(tree, node ^ 1))
        node >>= 1
        if int_at(tree, node) == at_ns:
            return
        set_int(tree, node, at_ns)


@register_jitable(forceinline=True)
def first_due(tree, leaves, now_ns):
    """Return the lowest place whose moment has come; there is one."""
    node = 1
    while node < leaves:
        node <<= 1
        node += int_at(tree, node) > now_ns
    return node - leaves

"""The rows of the tables of a fleet that never changes; `t` is a row of FIXED."""

from __future__ import annotations

from numba.extending import register_jitable

from sim.engine.compiled.fixed_state import BATCH, INSTANCE, REPLICA, REQUEST
from sim.engine.compiled.memory import row_at

__all__ = ["batch_of", "instance_of", "replica_of", "request_of"]


@register_jitable(forceinline=True)
def request_of(t, request):
    """Return the row of a request that is there: rows are used again, by numbers so far apart."""
    return row_at(t.requests, request & t.mask, REQUEST)


@register_jitable(forceinline=True)
def replica_of(t, serial):
    """Return a replica."""
    return row_at(t.replicas, serial, REPLICA)


@register_jitable(forceinline=True)
def instance_of(t, place):
    """Return an instance by its place among those of all replicas."""
    return row_at(t.instances, place, INSTANCE)


@register_jitable(forceinline=True)
def batch_of(t, index):
    """Return a batch, one of those in use."""
    return row_at(t.batches, index, BATCH)

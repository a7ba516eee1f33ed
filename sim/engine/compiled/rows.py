"""The rows of the compiled engine's tables, by what they are; `t` is a row of TABLES, `g` one of GIVEN."""

from __future__ import annotations

from numba.extending import register_jitable

from sim.engine.compiled.memory import int_at, row_at, set_int
from sim.engine.compiled.state import ATTEMPT, BATCH, CHANGE, COLLECTOR, FLEET, GIVEN_FLEET, INSTANCE, REPLICA

__all__ = [
    "add_outstanding",
    "attempt_of",
    "batch_of",
    "change_of",
    "collector_of",
    "fleet_of",
    "given_fleet",
    "instance_of",
    "replica_of",
]


@register_jitable(forceinline=True)
def attempt_of(t, slot):
    """Return an attempt."""
    return row_at(t.attempts, slot, ATTEMPT)


@register_jitable(forceinline=True)
def batch_of(t, index):
    """Return a batch."""
    return row_at(t.batches, index, BATCH)


@register_jitable(forceinline=True)
def replica_of(t, serial):
    """Return a replica."""
    return row_at(t.replicas, serial, REPLICA)


@register_jitable(forceinline=True)
def instance_of(t, serial, place):
    """Return an instance of a replica."""
    return row_at(t.instances, serial * t.instances_each + place, INSTANCE)


@register_jitable(forceinline=True)
def collector_of(t, serial, index):
    """Return a collector of a replica."""
    return row_at(t.collectors, serial * t.collectors_each + index, COLLECTOR)


@register_jitable(forceinline=True)
def fleet_of(t, version):
    """Return the fleet of a version as it stands."""
    return row_at(t.fleets, version, FLEET)


@register_jitable(forceinline=True)
def given_fleet(g, version):
    """Return the fleet of a version as it is given."""
    return row_at(g.fleets, version, GIVEN_FLEET)


@register_jitable(forceinline=True)
def change_of(t, place):
    """Return a change of the present instant."""
    return row_at(t.changes, place, CHANGE)


@register_jitable(forceinline=True)
def add_outstanding(t, version, place, requests):
    """Note so many requests more, or fewer, at a ready replica."""
    index = version * t.replicas_room + place
    set_int(t.outstanding, index, int_at(t.outstanding, index) + requests)

"""The law of an instant: in which order the changes of one nanosecond are taken in before anything is decided.

Every driver sorts the changes of an instant by (change, first key, second key), takes all of them in, and then decides
one decision at a time, each seeing the one before, until nothing more is to be decided. What is said of a fleet is done
for the fleet of each version, in the order of the versions, before what follows:

- the operator's orders, in their order;
- each fleet's autoscaler, if its moment has come;
- the rollout, if its moment has come, a command was given, or other replicas of its two versions are ready or wanted;
- what is held in front of a fleet goes to its replicas, first come, first served;
- arrivals in their order: a version is chosen, and its fleet takes the request, holds it behind all that it still
  holds, or refuses it; right behind it its copies for shadow versions, in the order of the versions;
- a fleet's autoscaler again if something is held and no replica is there or on its way;
- a fleet's replicas in the order of their serials: closed batches go to idle instances, oldest batch first, to the idle
  instance of the lowest index; then collectors decide (policy/batching.py), and what one closes is handed over at once
  where that can be. Then those of the fleet that drain and hold nothing are gone.

Every cycle costs at least 1 ns, so an instant ends. A run begins with a decision at time 0, before anything has
happened. A version that is not loaded has no replicas and no autoscaler.

The front end is a station: each worker does its jobs in the order in which they join, and one without work is done when
those before it are. Jobs of an instant join in the order of its changes, then refusals in the order of the decisions,
then (blocking) passes that are handed over with no way in. A job that is done in the instant in which it joined brings
about its change in that same instant: RESULTS gives RETURNED, TIMER gives WOKEN, SENT gives ARRIVED.

When the dispatcher looks. It decides, and takes in the deadlines that have run out, only in an instant in which it is
called: an attempt arrived, a pass returned, an instance failed or became ready, an operator ordered something, the
client of an unanswered attempt hung up, or it woke. Nothing else is an occasion: neither a request at the front end,
nor a written response, nor the hang-up of a client who is being answered. So a deadline, the wait of a batch, or the
moment of the autoscaler, that comes while the front end is busy is seen with the next occasion, at the latest when the
work on its timer is done. DEADLINE has its place in the order; where only a request that has passed the front end in no
time calls the dispatcher, deadlines are taken in behind the requests of that instant.

A process that crashes is heard of at once: its instance has failed, and the pass that it ran is lost. What it had sent
before comes first, so one whose pass had ended by then (in that very instant, too) is heard of right behind RETURNED.
It starts again from the moment at which it is heard of; what waits for it waits on.

A timer is the moment for which the dispatcher asked in its latest decision; each decision replaces it. One that has
come is a job of worker 0 and is not called back.
"""

from __future__ import annotations

from enum import IntEnum

__all__ = ["NEVER_NS", "UNSET", "Change"]

NEVER_NS = 2**62
"""A moment after every other one: "do not ask again until something changes"."""

UNSET = -1
"""A time, index or serial that does not exist (yet)."""


class Change(IntEnum):
    """What can happen in an instant. The numbers are the order in which changes are taken in."""

    RESULTS = 0  # the results of a pass reached the front end, a job of worker 0; keys: replica, instance
    TIMER = 1  # the moment came for which the dispatcher asked, a job of worker 0; keys: replica, 0
    PASS_IN = 2  # blocking: a batch reached the front end, its pass is a job of worker 0; keys: replica, instance
    RETURNED = 3  # the dispatcher holds the results of a pass, or an instance failed or became ready; the same keys
    ORDERED = 4  # an operator ordered something (policy/orders.py); keys: number of the order, 0
    WOKEN = 5  # the work on a timer is done; keys: replica, number of the timer
    DEADLINE = 6  # the server's own time limit of a request ran out (504); keys: request, attempt
    HANG_UP = 7  # the client's patience ran out and it closed the connection; keys: request, attempt
    SENT = 8  # an attempt reached the front end, a job of its worker; keys: request, attempt
    ARRIVED = 9  # an attempt left the front end and reached the dispatcher; keys: request, attempt

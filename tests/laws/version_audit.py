"""An audit of a timeline with several versions, from its settings alone; like audit.py it does not import policy.

Each version keeps the laws of replicas with its own settings, whatever is in front of it. The laws of this file are
about what lies between the versions: who gets which request, who gets a copy, what weights do. Crashes, slow replicas
and first passes are a version's own, by its own settings and the dice of its replicas (tests/laws/downtime.py).
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator
from copy import copy
from dataclasses import replace
from itertools import groupby, pairwise

from sim.engine.engine_input import EngineInput, FleetInput
from sim.engine.timelines import SHARE_COLUMNS, Timeline
from sim.engine.version_keys import pinned_to, user_of
from tests.laws.audit import (
    ABANDONED,
    ANSWERED,
    FAILED,
    NONE,
    REFUSED,
    Books,
    Row,
    as_many_as_are_wanted,
    breaches_of_replicas,
    every_attempt_ends_once,
    holding_has_its_limit,
    moments_in_order,
    passes_last_what_they_cost,
    replicas_serve_while_ready,
)
from tests.laws.downtime import all_downs, crashes_lose_what_runs

__all__ = ["audit_versions"]

ALL = 10_000  # parts of a weight
EVERY = 1_000_000  # parts of a share of errors
COPIES_FROM = 2**40
NOT_LOADED = 4
WEIGHT, SHADOW = 1, 2  # kinds of orders


class VersionBooks(Books):
    """The books of a timeline with several versions."""

    def __init__(self, given: EngineInput, timeline: Timeline) -> None:
        super().__init__(given, timeline)
        self.scaled_version = timeline.scaling("version").tolist()
        rows = [dict(zip(SHARE_COLUMNS, row, strict=True)) for row in timeline.shares.tolist()]
        self.share_moments: list[int] = []
        self.weights: list[dict[int, int]] = []  # by version, from each of the moments on
        self.shadows: list[dict[int, int]] = []
        weights: dict[int, int] = {}
        shadows: dict[int, int] = {}
        for at_ns, changes in groupby(rows, key=lambda row: row["at_ns"]):
            for change in changes:
                weights[change["version"]], shadows[change["version"]] = change["weight"], change["shadow"]
            self.share_moments.append(at_ns)
            self.weights.append(dict(weights))
            self.shadows.append(dict(shadows))

    def period(self, now_ns: int) -> int:
        """Which shares an arrival of this instant sees: those from it on, since they move before anybody is let in."""
        return bisect_right(self.share_moments, now_ns) - 1

    def of_version(self, version: int, fleet: FleetInput) -> Books:
        """Return the books of one version: its attempts and copies in the order of their arrival, and its replicas."""
        own = copy(self)
        own.given, own.rule = replace(self.given, fleet=fleet, other_fleets=()), fleet.batching
        taken = [row for row in self.rows if row.version == version]
        # A copy comes right behind the attempt that it is one of; no version gets both.
        own.rows = taken + [
            replace(row, attempt=row.attempt % COPIES_FROM) for row in self.copies if row.version == version
        ]
        own.lives = [life for life in self.lives if life.version == version]
        changes = zip(self.scalings, self.scaled_version, strict=True)
        own.scalings = [change for change, of_version in changes if of_version == version]
        replicas = {life.replica for life in own.lives}
        own.passes = [each for each in self.passes if each.replica in replicas]
        own._index()
        return own


def audit_versions(given: EngineInput, timeline: Timeline) -> list[str]:
    """Return every breach of a law on this timeline."""
    books = VersionBooks(given, timeline)
    of_a_version = (
        passes_last_what_they_cost,
        replicas_serve_while_ready,
        holding_has_its_limit,
        crashes_lose_what_runs,
        only_a_model_that_errs_fails,
    )
    of_all = (
        every_attempt_ends_once,
        moments_in_order,
        weights_add_up,
        pinned_requests_go_where_they_say,
        users_stay_while_weights_do,
        versions_take_what_their_weight_says,
        copies_have_an_original,
        copies_go_where_shadows_are,
        every_attempt_is_of_one_version,
        replicas_within_limits,
    )
    breaches = [f"{law.__name__}: {breach}" for law in of_all for breach in law(books)]
    if breaches:
        return breaches  # rows that name the wrong version are no books of any
    for version, fleet in enumerate(given.fleets):
        own = books.of_version(version, fleet)
        breaches += [f"{law.__name__}: version {version}: {each}" for law in of_a_version for each in law(own)]
        breaches += breaches_of_replicas(own)
    return breaches


def weights_add_up(books: VersionBooks) -> Iterator[str]:
    """At every moment the weights are all requests, and nobody has less than none; of copies none has more than all."""
    for at_ns, weights, shadows in zip(books.share_moments, books.weights, books.shadows, strict=True):
        if sum(weights.values()) != ALL or min(weights.values()) < 0:
            yield f"at {at_ns} the weights are {weights}"
        if not all(0 <= share <= ALL for share in shadows.values()):
            yield f"at {at_ns} the shadows are {shadows}"


def pinned_requests_go_where_they_say(books: VersionBooks) -> Iterator[str]:
    """A request that names a version is taken or refused by it; only one that is not loaded takes none at all."""
    for row in books.rows:
        pinned = pinned_to(books.given.versions, books.given.seed, row.request)
        if pinned != NONE and row.version not in (pinned, NONE):
            yield f"{row.request}.{row.attempt} names version {pinned} and came to {row.version}"
        if row.version == NONE and row.enqueued_ns != NONE and row.reason != NOT_LOADED:
            yield f"{row.request}.{row.attempt} came to no version for reason {row.reason}"


def users_stay_while_weights_do(books: VersionBooks) -> Iterator[str]:
    """Between two changes of the weights everybody meets one version; a changed shadow moves nobody."""
    seen: dict[tuple[str, int], int] = {}
    stretch = [0]
    for before, after in pairwise(books.weights):
        stretch.append(stretch[-1] + (before != after))
    for row in _chosen(books):
        user = user_of(books.given.versions, books.given.seed, row.request)
        if user is not None:
            key = user, stretch[books.period(row.enqueued_ns)]
            if seen.setdefault(key, row.version) != row.version:
                yield f"user {user} met version {seen[key]} and, at {row.enqueued_ns}, version {row.version}"


def versions_take_what_their_weight_says(books: VersionBooks) -> Iterator[str]:
    """Nothing with no weight, everything with all of it."""
    for row in _chosen(books):
        weight = books.weights[books.period(row.enqueued_ns)][row.version]
        if weight == 0:
            yield f"{row.request}.{row.attempt} came at {row.enqueued_ns} to version {row.version}, which has no weight"


def _chosen(books: VersionBooks) -> Iterator[Row]:
    """Yield the attempts that a version took or refused, and that named none."""
    for row in books.rows:
        if row.version != NONE and pinned_to(books.given.versions, books.given.seed, row.request) == NONE:
            yield row


def copies_have_an_original(books: VersionBooks) -> Iterator[str]:
    """A copy is made when an attempt arrives, goes to another version, and nobody waits for it."""
    originals = {(row.request, row.attempt): row for row in books.rows}
    for row in books.copies:
        name = f"the copy {row.request}.{row.attempt} for version {row.version}"
        if row.attempt // COPIES_FROM - 1 != row.version:
            yield f"{name} is numbered for another one"
        original = originals.get((row.request, row.attempt % COPIES_FROM))
        if original is None or original.enqueued_ns != row.enqueued_ns:
            yield f"{name} came at {row.enqueued_ns} without its attempt"
        elif original.version == row.version:
            yield f"{name} went where its attempt did"
        if (row.answered_ns, row.delivered_ns, row.sent_ns) != (NONE, NONE, NONE) or row.outcome == ABANDONED:
            yield f"{name} has a client"
        if (row.outcome == ANSWERED and row.returned_ns == NONE) or (row.outcome == REFUSED) == (row.reason == 0):
            yield f"{name} ended with {row.outcome} for {row.reason}"


def copies_go_where_shadows_are(books: VersionBooks) -> Iterator[str]:
    """Nobody gets copies without a share of them; who gets all misses none that another version was asked for."""
    copied = {(row.request, row.attempt % COPIES_FROM, row.version) for row in books.copies}
    for row in books.copies:
        if books.shadows[books.period(row.enqueued_ns)][row.version] == 0:
            yield f"version {row.version} has a copy of {row.request} at {row.enqueued_ns} and no share of them"
    for row in books.rows:
        if row.enqueued_ns == NONE:
            continue
        for version, share in books.shadows[books.period(row.enqueued_ns)].items():
            is_missing = (row.request, row.attempt, version) not in copied
            if share == ALL and version != row.version and is_missing and _is_surely_loaded(books, version):
                yield f"version {version} has no copy of {row.request}.{row.attempt}"


def _is_surely_loaded(books: VersionBooks, version: int) -> bool:
    """Whether a version was there from the start and nobody ordered anything that could change that."""
    kinds = {each.order.kind for each in books.given.versions.orders}
    return books.given.fleets[version].loaded and kinds <= {WEIGHT, SHADOW}


def every_attempt_is_of_one_version(books: VersionBooks) -> Iterator[str]:
    """Those that reached the dispatcher are those of the versions and those that none took; replicas fit versions."""
    arrived = Counter(row.version for row in books.rows if row.enqueued_ns != NONE)
    unserved = sum(row.reason == NOT_LOADED for row in books.rows)
    if arrived.pop(NONE, 0) != unserved or any(not 0 <= version < len(books.given.fleets) for version in arrived):
        yield f"{arrived} came to the versions, {unserved} to none"
    version_of = {life.replica: life.version for life in books.lives}
    for row in (*books.rows, *books.copies):
        if row.placed_ns != NONE and version_of[row.replica] != row.version:
            yield f"{row.request}.{row.attempt} of version {row.version} is on a replica of {version_of[row.replica]}"


def only_a_model_that_errs_fails(books: Books) -> Iterator[str]:
    """A version without errors fails on what a crash takes alone; one that fails on all answers nothing."""
    share = books.given.fleet.error_share
    lost = {down.lost for down in all_downs(books)}
    for row in books.rows:
        errs = row.outcome == FAILED and row.serial not in lost
        if (errs and share == 0) or (row.outcome == ANSWERED and share == EVERY):
            yield f"{row.request}.{row.attempt} ended with {row.outcome}: the version errs at {share}"


def replicas_within_limits(books: VersionBooks) -> Iterator[str]:
    """Version by version as many replicas as are wanted, ordered and not drained, and no more than there may be."""
    for version, fleet in enumerate(books.given.fleets):
        own = books.of_version(version, fleet)
        rule = fleet.autoscaler
        for at_ns, wanted in own.scalings[1:]:
            if rule.formula and wanted > rule.replicas_max:
                yield f"version {version} wants {wanted} at {at_ns}"
        yield from (f"version {version}: {breach}" for breach in as_many_as_are_wanted(own))

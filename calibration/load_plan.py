"""What a load process is asked to send, and what it hands back: columns of integers and the bytes they travel as."""

from __future__ import annotations

import ipaddress
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import numpy as np
import numpy.typing as npt

from calibration.errors import BadAddress, BadSamples
from policy.instant import NEVER_NS, UNSET
from policy.retries import RetryRule
from policy.timeline import Outcome

__all__ = [
    "DEFAULT_INPUT",
    "Address",
    "Lateness",
    "LoadPlan",
    "LoadRun",
    "PlannedOrder",
    "SentAttempt",
    "parse_address",
]

_S_NS = 10**9
_DEFAULT_PORT = 80

DEFAULT_INPUT = '"servecast"'
"""What a request asks of a model that takes anything, as JSON text."""


class Address(NamedTuple):
    """Where the server listens on this machine."""

    host: str  # a loopback address as digits
    port: int

    @property
    def url(self) -> str:
        """The address as a URL without a path."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"


def parse_address(url: str) -> Address:
    """Return the address in http://HOST:PORT; HOST is 127.0.0.1, ::1 or localhost. Raises BadAddress."""
    shown = url if len(url) <= 80 else url[:77] + "..."
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or _DEFAULT_PORT
    except ValueError:
        raise BadAddress(f"url must be of the form http://127.0.0.1:8080. Got {shown}.") from None
    if parts.scheme != "http" or parts.path not in ("", "/") or parts.query or parts.username:
        raise BadAddress(f"url must be of the form http://127.0.0.1:8080. Got {shown}.")
    if host == "localhost":
        host = "127.0.0.1"
    if not _is_loopback(host):
        raise BadAddress(f"url must lie on this machine (127.0.0.1, ::1, localhost): no other is loaded. Got {shown}.")
    return Address(host, port)


def _is_loopback(host: str) -> bool:
    """Return whether the host is 127.0.0.1 or ::1."""
    try:
        return ipaddress.ip_address(host) in (ipaddress.ip_address("127.0.0.1"), ipaddress.ip_address("::1"))
    except ValueError:
        return False


class SentAttempt(NamedTuple):
    """One attempt as the client saw it. Times are ns of time.perf_counter_ns()."""

    request: int
    attempt: int
    size: int
    intended_ns: int  # when the request should first have been sent
    due_ns: int  # when this attempt should have been sent: later than intended_ns on retries only
    sent_ns: int
    delivered_ns: int  # the response was complete, or the client hung up; UNSET: neither
    status: int  # HTTP status, 0 without one
    outcome: int  # policy.timeline.Outcome
    body_bytes: int
    retry_after_s: int  # what the server told a refused client to wait, 0 if nothing


class PlannedOrder(NamedTuple):
    """What an operator orders while the run lasts, by the server's admin API."""

    at_ns: int  # from the start of the run
    path: str  # for example /admin/rollout
    body: str  # JSON
    token: str


class Lateness(NamedTuple):
    """How long after their moment the attempts were sent."""

    p50_ns: int
    p99_ns: int
    max_ns: int


def _nothing() -> npt.NDArray[np.int64]:
    return np.zeros(0, dtype=np.int64)


@dataclass(frozen=True)
class LoadPlan:
    """A schedule and the rules of its clients. Raises BadSamples where it cannot be sent."""

    url: str
    arrivals_ns: npt.NDArray[np.int64]  # (requests,) ascending, from the start of the run
    sizes: npt.NDArray[np.int64]  # (requests,) in the model's unit
    timeouts_ns: npt.NDArray[np.int64]  # (requests,) from an attempt's send to the hang-up; empty: never
    retry: RetryRule
    seed: int  # of the dice of the back-off
    connections: int = 64  # opened before the first send; more are opened as they are needed
    tail_ns: int = 30 * _S_NS  # the run ends at the latest that long after the last arrival
    input: str = DEFAULT_INPUT  # JSON text: what every request asks of the model
    users: npt.NDArray[np.int64] = field(default_factory=_nothing)  # (requests,) who sends each; empty: nobody is told
    pins: npt.NDArray[np.int64] = field(default_factory=_nothing)  # (requests,) place of the version it names, or UNSET
    versions: tuple[str, ...] = ()  # the names that pins stand for
    orders: tuple[PlannedOrder, ...] = ()
    cores: tuple[int, ...] = ()  # that the load process keeps to; empty: it may use all

    def __post_init__(self) -> None:
        """Check the shapes."""
        requests = len(self.arrivals_ns)
        if requests == 0:
            raise BadSamples("The schedule holds no request: give it more time or a higher rate.")
        of_each = (self.timeouts_ns, self.users, self.pins)
        if len(self.sizes) != requests or any(len(column) not in (0, requests) for column in of_each):
            raise BadSamples(
                "A schedule needs one size for each request; one timeout, user and pin each, or none at all."
            )
        if self.arrivals_ns[0] < 0 or bool(np.any(np.diff(self.arrivals_ns) < 0)):
            raise BadSamples("The arrivals of a schedule must ascend from zero.")

    def at(self, url: str, input_text: str, cores: tuple[int, ...] = ()) -> LoadPlan:
        """Return the same plan for another address, for what its model takes, and for the cores that it leaves free."""
        return replace(self, url=url, input=input_text, cores=cores)

    def to_bytes(self) -> bytes:
        """Return the plan as it travels to the load process."""
        settings = {
            "url": self.url,
            "retry": list(self.retry),
            "seed": str(self.seed),
            "connections": self.connections,
            "tail_ns": self.tail_ns,
            "input": self.input,
            "versions": list(self.versions),
            "orders": [list(order) for order in self.orders],
            "cores": list(self.cores),
        }
        return _pack(settings, {name: getattr(self, name) for name in _PLAN_ARRAYS})

    @staticmethod
    def from_bytes(packed: bytes) -> LoadPlan:
        """Return the plan that to_bytes wrote."""
        settings, arrays = _unpack(packed)
        attempts, backoff_ns, backoff_max_ns, jitter = settings["retry"]
        return LoadPlan(
            url=settings["url"],
            arrivals_ns=arrays["arrivals_ns"],
            sizes=arrays["sizes"],
            timeouts_ns=arrays["timeouts_ns"],
            retry=RetryRule(attempts, backoff_ns, backoff_max_ns, bool(jitter)),
            seed=int(settings["seed"]),
            connections=settings["connections"],
            tail_ns=settings["tail_ns"],
            input=settings["input"],
            users=arrays["users"],
            pins=arrays["pins"],
            versions=tuple(settings["versions"]),
            orders=tuple(PlannedOrder(*order) for order in settings["orders"]),
            cores=tuple(settings["cores"]),
        )


_PLAN_ARRAYS = ("arrivals_ns", "sizes", "timeouts_ns", "users", "pins")


@dataclass(frozen=True)
class LoadRun:
    """What a load process sent and received."""

    origin_ns: int  # the start of the run on time.perf_counter_ns()
    attempts: npt.NDArray[np.int64]  # (attempts, len(SentAttempt._fields)), ordered by (request, attempt)
    connections: int  # opened in all
    cpu_ns: int  # CPU time of the load process from the first send on
    timer: str  # timerfd or call_at
    orders_refused: int = 0  # of the plan's orders those that were not answered with 200

    def column(self, name: str) -> npt.NDArray[np.int64]:
        """Return one column by its name in SentAttempt."""
        return self.attempts[:, SentAttempt._fields.index(name)]

    @property
    def lateness(self) -> Lateness:
        """How late the attempts were sent; nearest-rank quantiles over those that were."""
        sent = self.column("sent_ns") != UNSET
        late = np.sort((self.column("sent_ns") - self.column("due_ns"))[sent])
        count = len(late)
        if count == 0:
            return Lateness(NEVER_NS, NEVER_NS, NEVER_NS)
        ranks = [(count + 1) // 2, -(-99 * count // 100), count]  # ceil(q n)
        return Lateness(*(int(late[rank - 1]) for rank in ranks))

    @property
    def unsent(self) -> int:
        """How many attempts could not be sent before the run ended."""
        return int(np.count_nonzero(self.column("sent_ns") == UNSET))

    @property
    def connection_losses(self) -> int:
        """How many attempts failed without a response."""
        return int(np.count_nonzero((self.column("outcome") == Outcome.FAILED) & (self.column("status") == 0)))

    def outcomes(self) -> dict[str, int]:
        """Return how many attempts ended in each way."""
        column = self.column("outcome")
        return {outcome.name.lower(): int(np.count_nonzero(column == outcome)) for outcome in Outcome}

    def to_bytes(self) -> bytes:
        """Return the run as it travels from the load process."""
        settings = {item.name: getattr(self, item.name) for item in fields(self) if item.name != "attempts"}
        return _pack(settings, {"attempts": self.attempts})

    @staticmethod
    def from_bytes(packed: bytes) -> LoadRun:
        """Return the run that to_bytes wrote."""
        settings, arrays = _unpack(packed)
        return LoadRun(attempts=arrays["attempts"], **settings)


def _pack(settings: Mapping[str, object], arrays: Mapping[str, npt.NDArray[np.int64]]) -> bytes:
    """Return one line of JSON with the arrays behind it as plain int64."""
    shapes = {name: array.shape for name, array in arrays.items()}
    head = json.dumps({"settings": settings, "shapes": shapes}).encode()
    return b"".join([head, b"\n", *(array.astype(np.int64).tobytes() for array in arrays.values())])


def _unpack(packed: bytes) -> tuple[dict[str, Any], dict[str, npt.NDArray[np.int64]]]:
    """Return what _pack packed."""
    head, _, values = packed.partition(b"\n")
    described = json.loads(head)
    arrays, begin = {}, 0
    for name, shape in described["shapes"].items():
        count = math.prod(shape)
        arrays[name] = np.frombuffer(values, np.int64, count, begin * 8).reshape(shape)
        begin += count
    return described["settings"], arrays

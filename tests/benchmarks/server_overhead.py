"""How much the reference server costs, against bare aiohttp that returns the same bytes: `make bench-server`.

Three servers (served.py) live through the whole run and are driven in turns, a slice of a second each, by a generator
in another process. What counts is the CPU time of the serving process for each request: it says how many requests a
second saturate a core, whatever else the cores do. Exit 1 if servecast is below 60 % of aiohttp's web.Application.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.benchmarks.load import Target, answer, connect, run_closed, run_open
from tests.benchmarks.results import add_files, circumstances, publish
from tests.benchmarks.samples import shares
from tests.benchmarks.served import MAX_BATCH

SHARE_MIN = 0.60
"""Of the requests per CPU-second of aiohttp's Application, that servecast must reach."""

APPLICATION, LOW_LEVEL, SERVECAST = "application", "low-level", "servecast"
NAMES = {
    APPLICATION: "aiohttp, web.Application",
    LOW_LEVEL: "aiohttp, low-level web.Server",
    SERVECAST: "servecast, zero-cost backend",
}
BODY = b'{"text":"great movie"}'
REQUEST = (
    b"POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: bench\r\nAccept: */*\r\n"
    b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(BODY), BODY)
)
RATE_PER_S = 1_000
_WARM_UP_S = 0.5
_ROOT = Path(__file__).parents[2]


@dataclass
class Server:
    """A server that runs, and what was seen of it."""

    process: subprocess.Popen[str]
    target: Target
    cpu_us: list[float] = field(default_factory=list)  # (rounds,) of the serving process, per request
    replica_cpu_us: list[float] = field(default_factory=list)  # (rounds,) of its replica processes, per request
    per_s: list[float] = field(default_factory=list)  # (rounds,) answers per second of wall time
    latencies_ns: list[int] = field(default_factory=list)  # open loop, all rounds

    @property
    def per_cpu_second(self) -> float:
        """Requests that saturate one core."""
        return 1e6 / statistics.median(self.cpu_us)

    def latency_ms(self, share: float) -> float:
        """Return a quantile by nearest rank."""
        ordered = sorted(self.latencies_ns)
        return ordered[-int(-len(ordered) * share // 1) - 1] / 1e6


def main(arguments: Sequence[str]) -> int:
    """Measure, print, write."""
    options = _options(arguments)
    servers = _measure(options)
    where = {kind: _profile(kind, options) for kind in (APPLICATION, SERVECAST)}
    found = _result(servers, where, options)
    publish(found, _text(found), options)
    return 0 if found["share_of_application"]["median"] >= SHARE_MIN else 1


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="server_overhead", description=__doc__)
    parser.add_argument("--rounds", type=int, default=15, help="turns of every server (default: 15)")
    parser.add_argument("--seconds", type=float, default=1.0, help="length of a turn (default: 1)")
    parser.add_argument("--connections", type=int, default=48, help="keep-alive connections (default: 48)")
    add_files(parser)
    return parser.parse_args(arguments)


# Measuring


def _measure(options: argparse.Namespace) -> dict[str, Server]:
    with ExitStack() as stack:
        servers = {kind: stack.enter_context(_served(kind)) for kind in NAMES}
        connections = {kind: connect(server.target, options.connections) for kind, server in servers.items()}
        for kind, server in servers.items():
            run_closed(server.target, connections[kind], _WARM_UP_S)
        for _ in range(options.rounds):
            for kind, server in servers.items():
                _saturate(server, connections[kind], options.seconds)
            for kind, server in servers.items():
                server.latencies_ns += run_open(server.target, connections[kind], RATE_PER_S, options.seconds)
    return servers


@contextmanager
def _served(kind: str, *more: str) -> Iterator[Server]:
    """Give a server in a process of its own."""
    command = (sys.executable, "-m", "tests.benchmarks.served", kind, *more)
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=_ROOT)
    try:
        assert process.stdout is not None
        host_name, _, port = process.stdout.readline().strip().removeprefix("http://").rpartition(":")
        target = Target(host_name, int(port), REQUEST, BODY)
        assert answer(target).endswith(b"\r\n\r\n" + BODY), "every server returns the body that it is sent"
        yield Server(process, target)
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate()


def _saturate(server: Server, connections: list, seconds: float) -> None:
    pid = server.process.pid
    replicas = _children(pid)
    cpu_s, replica_s, wall_s = _cpu_s(pid), sum(map(_cpu_s, replicas)), time.perf_counter()
    answers = run_closed(server.target, connections, seconds)
    server.cpu_us.append((_cpu_s(pid) - cpu_s) / answers * 1e6)
    server.replica_cpu_us.append((sum(map(_cpu_s, replicas)) - replica_s) / answers * 1e6)
    server.per_s.append(answers / (time.perf_counter() - wall_s))


def _cpu_s(pid: int) -> float:
    """Return the CPU time of a process, user and system: Linux' clock of that process, in ns (clock_getcpuclockid)."""
    return time.clock_gettime((~pid << 3) | 2)


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _profile(kind: str, options: argparse.Namespace) -> dict[str, float]:
    """Return where the CPU time of a server goes, as shares; its rounds are not counted above."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "samples.json"
        with _served(kind, "--samples", str(file)) as server:
            connections = connect(server.target, options.connections)
            run_closed(server.target, connections, _WARM_UP_S + 4 * options.seconds)
            server.process.send_signal(signal.SIGUSR1)
            while not file.exists():
                time.sleep(0.01)
        return shares(json.loads(file.read_text(encoding="utf-8")))


# Reporting


def _result(servers: Mapping[str, Server], where: Mapping[str, dict[str, float]], options: argparse.Namespace) -> dict:
    ours = servers[SERVECAST]
    ratios = {
        kind: [theirs / own for theirs, own in zip(servers[kind].cpu_us, ours.cpu_us, strict=True)]
        for kind in (APPLICATION, LOW_LEVEL)
    }
    return {
        "kind": "servecast-server-overhead/1",
        "share_min": SHARE_MIN,
        "share_of_application": _spread(ratios[APPLICATION]),
        "share_of_low_level": _spread(ratios[LOW_LEVEL]),
        "servers": {
            kind: {
                "name": NAMES[kind],
                "cpu_us_per_request": _spread(server.cpu_us),
                "requests_per_cpu_second": server.per_cpu_second,
                "replica_cpu_us_per_request": _spread(server.replica_cpu_us),
                "requests_per_s": _spread(server.per_s),
                "open_loop_ms": {"p50": server.latency_ms(0.5), "p99": server.latency_ms(0.99)},
                "open_loop_requests": len(server.latencies_ns),
            }
            for kind, server in servers.items()
        },
        "where": {
            kind: {group: share * statistics.median(servers[kind].cpu_us) for group, share in shared.items()}
            for kind, shared in where.items()
        },
        "setting": {
            "body": BODY.decode(),
            "connections": options.connections,
            "rounds": options.rounds,
            "seconds": options.seconds,
            "open_loop_rate_per_s": RATE_PER_S,
            "max_batch": MAX_BATCH,
            "max_wait_ms": 0,
        },
        "provenance": {**circumstances("aiohttp"), "load_average": os.getloadavg()[0]},
    }


def _spread(values: Sequence[float]) -> dict[str, float]:
    quarters = statistics.quantiles(values, n=4, method="inclusive") if len(values) > 1 else [values[0]] * 3
    return {"median": quarters[1], "low": quarters[0], "high": quarters[2]}


def _text(found: dict) -> str:
    share, low_level = found["share_of_application"], found["share_of_low_level"]
    replica = found["servers"][SERVECAST]["replica_cpu_us_per_request"]
    lines = [
        f"servecast does {share['median']:.0%} of the requests per CPU-second of bare aiohttp (web.Application); asked"
        f" for are {SHARE_MIN:.0%}: {'reached' if share['median'] >= SHARE_MIN else 'MISSED'}.",
        "",
        f"{'':32}{'CPU us a request':>18}{'saturate a core':>18}{'answers/s here':>16}{'p50, p99 at 1,000/s':>24}",
        *(_server_line(server) for server in found["servers"].values()),
        "",
        f"share of web.Application         {_percent(share)}",
        f"share of the low-level server    {_percent(low_level)}",
        f"servecast's replica process      {_range(replica)} us of CPU a request, on another core, in no figure above",
        "",
        "Median (quartiles) over rounds; a share is that of one round, in which the servers take turns.",
        "",
        "Where the server's CPU time goes, us a request",
    ]
    for kind in (SERVECAST, APPLICATION):
        lines.append(f"  {NAMES[kind]}")
        lines += [f"    {group:46}{us:6.1f}" for group, us in found["where"][kind].items()]
    return "\n".join([*lines, "", *_how(found["setting"], found["provenance"])])


def _server_line(server: Mapping) -> str:
    cpu, wall, late = server["cpu_us_per_request"], server["requests_per_s"], server["open_loop_ms"]
    saturate = f"{server['requests_per_cpu_second']:,.0f}/s"
    quantiles = f"{late['p50']:.2f}, {late['p99']:.2f} ms"
    return f"{server['name']:32}{_range(cpu):>18}{saturate:>18}{wall['median']:>16,.0f}{quantiles:>24}"


def _how(setting: Mapping, made: Mapping) -> list[str]:
    where, seconds = made["host"], setting["seconds"]
    return [
        f"{setting['rounds']} rounds of {seconds:g} s closed loop on {setting['connections']} keep-alive connections,"
        f" and of {seconds:g} s open loop; body {setting['body']};",
        f"max_batch {setting['max_batch']}, max_wait 0. {made['date']}; {where['platform']}, {where['cpu_count']} x"
        f" {where['cpu']}; load average {made['load_average']:.1f};",
        ", ".join(f"{name} {number}" for name, number in made["versions"].items()),
    ]


def _range(spread: Mapping[str, float]) -> str:
    return f"{spread['median']:.1f} ({spread['low']:.1f}..{spread['high']:.1f})"


def _percent(spread: Mapping[str, float]) -> str:
    return f"{spread['median']:.0%} ({spread['low']:.0%} .. {spread['high']:.0%})"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""What calibration asks of a live server besides load: whether it is ready, what it runs, its clocks and its timeline.

Plain blocking HTTP, one connection for each question, never while a load is measured.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import time
from collections.abc import Mapping
from urllib.parse import urlencode

import numpy as np

from calibration.errors import BadSamples, ServerUnreachable
from calibration.load_plan import DEFAULT_INPUT, parse_address
from calibration.samples import ServerLog, parse_log
from calibration.server_rules import changes

__all__ = ["LiveServer"]

_TIMEOUT_S = 10.0
_PAGE_ROWS = 20_000
_PAGES_MAX = 1_000
_POLL_S = 0.05
_RESTART_POLLS = 100
_CPU_SECONDS = "process_cpu_seconds_total"
_BUSY_GAUGES = ("servecast_waiting_requests", "servecast_running_passes")
_REPLICA_GAUGES = ("servecast_ready_replicas", "servecast_wanted_replicas")


class LiveServer:
    """A server on this machine. Raises BadAddress for another one; every method raises ServerUnreachable.

    `input_text`, JSON, is what requests are to ask of its model.
    """

    def __init__(self, url: str, input_text: str = DEFAULT_INPUT) -> None:
        self._address = parse_address(url)
        self.input_text = input_text
        self._first_config: dict[str, object] | None = None

    @property
    def url(self) -> str:
        """The server's address."""
        return self._address.url

    def require_ready(self) -> None:
        """Return if the server takes requests."""
        status, _ = self._ask("GET", "/health")
        if status != 200:
            raise ServerUnreachable(f"The server at {self.url} is not ready: GET /health answers {status}.")

    def config(self) -> dict[str, object]:
        """Return the rules in force."""
        return self._object("/config")

    def require_unchanged(self) -> None:
        """Return if the server is the one, with the rules, that it was when this was first asked.

        Raises BadSamples that names what changed: rows of two servers must not be taken for those of one. One that is
        gone is given five seconds to come back, so that this can be said of it.
        """
        if self._first_config is None:
            self._first_config = self.config()
            return
        changed = changes(self._first_config, self._config_again())
        if changed:
            raise BadSamples(f"The server at {self.url} changed in mid-run: {', '.join(changed)}; measure it again.")

    def _config_again(self) -> dict[str, object]:
        """Return the rules in force of a server that has told them before."""
        for _ in range(_RESTART_POLLS):
            with contextlib.suppress(ServerUnreachable):
                return self.config()
            time.sleep(_POLL_S)
        raise ServerUnreachable(f"The server at {self.url} went away in mid-run.")

    def front_end_cores(self) -> tuple[int, ...]:
        """Return the cores that the server keeps to beside a device that is a core of its own; empty: it says none.

        A load generator that keeps to them too neither disturbs passes nor waits for their end.
        """
        config = self.config() if self._first_config is None else self._first_config
        cores = config.get("front_end_cores")
        return tuple(cores) if isinstance(cores, list) else ()

    def cpu_s(self) -> float:
        """Return the CPU time that the server's process has used so far."""
        return self._metrics()[_CPU_SECONDS]

    def wait_until_idle(self, limit_s: float = 60.0) -> None:
        """Return when nothing waits and no pass runs. Raises BadSamples if that takes longer than limit_s."""
        for _ in range(max(int(limit_s / _POLL_S), 1)):
            metrics = self._metrics()
            if not any(metrics[name] for name in _BUSY_GAUGES):
                return
            time.sleep(_POLL_S)
        raise BadSamples(f"The server at {self.url} was not idle within {limit_s:.0f} s: something else loads it.")

    def wait_for_replicas(self, count: int, rest_s: float = 0.0, limit_s: float = 120.0) -> None:
        """Return when so many replicas have been wanted and ready for rest_s.

        Raises BadSamples if that takes longer than limit_s and twice rest_s.
        """
        rested = 0
        for _ in range(max(int((limit_s + 2 * rest_s) / _POLL_S), 1)):
            metrics = self._metrics(_REPLICA_GAUGES)
            rested = rested + 1 if all(metrics[name] == count for name in _REPLICA_GAUGES) else 0
            if rested > rest_s / _POLL_S:
                return
            time.sleep(_POLL_S)
        raise BadSamples(
            f"The server at {self.url} did not come to rest at {count} replicas within {limit_s + 2 * rest_s:.0f} s: "
            "let fleet.replicas be what an idle fleet comes to (fleet.autoscaler.min_replicas)."
        )

    def clear_timeline(self) -> None:
        """Make the server forget its rows."""
        status, _ = self._ask("POST", "/timeline/clear")
        if status != 200:
            raise ServerUnreachable(f"The server at {self.url} does not clear its timeline: it answers {status}.")

    def timeline(self) -> ServerLog:
        """Return all rows since the last clear."""
        pages: list[ServerLog] = []
        for page in range(_PAGES_MAX):
            query = urlencode({"offset": page * _PAGE_ROWS, "limit": _PAGE_ROWS})
            pages.append(parse_log(self._object(f"/timeline?{query}")))
            if max(len(rows) for rows in (pages[-1].attempts, pages[-1].passes, pages[-1].copies)) < _PAGE_ROWS:
                break
        return ServerLog(
            np.concatenate([page.attempts for page in pages]),
            np.concatenate([page.passes for page in pages]),
            max(page.dropped for page in pages),
            pages[-1].replicas,
            pages[-1].scalings,
            np.concatenate([page.copies for page in pages]),
            pages[-1].shares,
            pages[-1].rollout,
        )

    def _metrics(self, wanted: tuple[str, ...] = (_CPU_SECONDS, *_BUSY_GAUGES)) -> Mapping[str, float]:
        """Return these figures of GET /metrics: an unlabelled one, or its sum over the versions."""
        status, body = self._ask("GET", "/metrics")
        figures: dict[str, float] = {}
        for line in body.decode(errors="replace").splitlines():
            sample, _, value = line.rpartition(" ")
            name = sample.partition("{version=")[0]
            if name in wanted:
                figures[name] = figures.get(name, 0.0) + float(value)
        missing = [name for name in wanted if name not in figures]
        if status != 200 or missing:
            what = f"answers {status}" if status != 200 else f"lacks {missing[0]}"
            raise ServerUnreachable(f"The server at {self.url} gives no figures to calibrate by: GET /metrics {what}.")
        return figures

    def _object(self, path: str) -> dict[str, object]:
        """Return the JSON object at a path."""
        status, body = self._ask("GET", path)
        try:
            content = json.loads(body)
        except ValueError:
            content = None
        if status != 200 or not isinstance(content, dict):
            place = path.partition("?")[0]
            raise ServerUnreachable(f"The server at {self.url} is no servecast server: GET {place} answers {status}.")
        return content

    def _ask(self, method: str, path: str) -> tuple[int, bytes]:
        """Return status and body."""
        connection = http.client.HTTPConnection(self._address.host, self._address.port, timeout=_TIMEOUT_S)
        try:
            connection.request(method, path)
            response = connection.getresponse()
            return response.status, response.read()
        except http.client.HTTPException:
            raise ServerUnreachable(f"The server at {self.url} gives no answer that is HTTP.") from None
        except OSError as error:
            reason = os.strerror(error.errno).lower() if error.errno else f"no answer within {_TIMEOUT_S:.0f} s"
            raise ServerUnreachable(f"The server at {self.url} cannot be reached: {reason}.") from None
        finally:
            connection.close()

"""The names that a scenario does not know and a file needs: of the model, its image, its metrics, its Prometheus."""

from __future__ import annotations

import re
from dataclasses import dataclass

from policy.autoscaling_rule import Signal
from sim.errors import ScenarioError
from sim.scenario.spec import Scenario
from sim.scenario.units import in_words

__all__ = ["Names", "label"]

_LABEL = "[a-z]([-a-z0-9]{0,38}[a-z0-9])?"
_METRIC = "[A-Za-z_:][A-Za-z0-9_:]*"

_OF_A_POD = {
    Signal.WAITING: "requests_waiting",
    Signal.IN_FLIGHT: "requests_in_flight",
    Signal.RATE: "requests_per_second",
    Signal.BUSY: "devices_busy",
}
_SERIES = {**_OF_A_POD, Signal.RATE: "requests_total", Signal.BUSY: "device_busy_seconds_total"}


@dataclass(frozen=True)
class Names:
    """What is not in the scenario. None: the default, which for the first is the scenario's name."""

    name: str | None = None
    image: str | None = None
    import_path: str | None = None
    metric_name: str | None = None
    prometheus: str | None = None

    def of(self, scenario: Scenario) -> str:
        """Return the name of the model, and of the objects that serve it. Raises ScenarioError."""
        if self.name is None:
            return label(scenario.name)
        if not re.fullmatch(_LABEL, self.name, re.ASCII):
            allowed = "1 to 40 lower-case letters, digits and dashes, a letter first and no dash last"
            raise ScenarioError(f"name must be {allowed}. Got {in_words(self.name)}.")
        return self.name

    def container_image(self) -> str:
        """Return the image of the server."""
        return self.image or "registry.example.com/YOUR-IMAGE:TAG"

    def application(self) -> str:
        """Return where Ray Serve imports the application from."""
        return self.import_path or "your_package.your_module:app"

    def prometheus_address(self) -> str:
        """Return the address of Prometheus."""
        return self.prometheus or "http://prometheus.example.com:9090"

    def metric(self, signal: int) -> str:
        """Return the metric of a pod that is the signal of an autoscaler. Raises ScenarioError."""
        return self._checked_metric() or _OF_A_POD[Signal(signal)]

    def series(self, signal: int) -> str:
        """Return the series in Prometheus from which a signal is worked out. Raises ScenarioError."""
        return self._checked_metric() or _SERIES[Signal(signal)]

    def _checked_metric(self) -> str | None:
        if self.metric_name is not None and not re.fullmatch(_METRIC, self.metric_name, re.ASCII):
            allowed = "letters, digits, underscores and colons, no digit first, as Prometheus names metrics"
            raise ScenarioError(f"metric_name must be {allowed}. Got {in_words(self.metric_name)}.")
        return self.metric_name


def label(text: str, most: int = 40) -> str:
    """Return a text as a label of DNS, as names of objects in Kubernetes are; `model` where nothing is left."""
    kept = re.sub("[^a-z0-9]+", "-", text.lower()).strip("-")
    named = kept if kept and not kept[0].isdigit() else f"model-{kept}"
    return named[:most].strip("-")

"""The names that a scenario does not know and a file needs: of the model, its image, its metrics, its Prometheus."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from policy.autoscaling_rule import Signal
from sim.errors import ScenarioError
from sim.scenario.spec import Scenario
from sim.scenario.units import in_words
from sim.scenario.versions import version_names, version_rules

__all__ = ["STABLE", "Image", "Names", "label"]

_LABEL = "[a-z]([-a-z0-9]{0,38}[a-z0-9])?"
_METRIC = "[A-Za-z_:][A-Za-z0-9_:]*"

_OF_A_POD = {
    Signal.WAITING: "requests_waiting",
    Signal.IN_FLIGHT: "requests_in_flight",
    Signal.RATE: "requests_per_second",
    Signal.BUSY: "devices_busy",
}
_SERIES = {**_OF_A_POD, Signal.RATE: "requests_total", Signal.BUSY: "device_busy_seconds_total"}


STABLE: Final = ""
"""Stands for the stable version, whatever it is called, among the images by version."""

_PLACEHOLDER: Final = "registry.example.com/YOUR-IMAGE:TAG"


class Image(NamedTuple):
    """The image of the server of one version."""

    version: str  # "" where there is only one
    given: str | None  # None: a placeholder

    @property
    def text(self) -> str:
        """Return what stands in the file."""
        return self.given or _PLACEHOLDER

    @property
    def lacking(self) -> str:
        """Return a sentence that a placeholder needs, nothing of an image that was given."""
        if self.given is not None:
            return ""
        if not self.version:
            return "The image is a placeholder: --image says another."
        return (
            f"The image of {self.version} is a placeholder, since each version needs one of its own: "
            f"--image {self.version}=IMAGE says it."
        )


@dataclass(frozen=True)
class Names:
    """What is not in the scenario. None: the default, which for the first is the scenario's name."""

    name: str | None = None
    image: str | Mapping[str, str] | None = None  # of the stable version, or by version
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

    def images(self, scenario: Scenario) -> tuple[Image, ...]:
        """Return the image of each version; one without a name is the stable version's. Raises ScenarioError."""
        versions = version_names(scenario)
        stable = versions[version_rules(scenario).weights.stable]
        given = self.image if isinstance(self.image, Mapping) else {} if self.image is None else {STABLE: self.image}
        for version in given:
            if version not in (STABLE, *versions):
                raise ScenarioError(f"image must be of a version ({', '.join(versions)}). Got {in_words(version)}.")
        if STABLE in given and stable in given:
            raise ScenarioError(f"image must be given once for {stable}, the stable version. Got two.")
        chosen = {**given, stable: given.get(stable, given.get(STABLE))}
        return tuple(Image(version if len(versions) > 1 else "", chosen.get(version)) for version in versions)

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

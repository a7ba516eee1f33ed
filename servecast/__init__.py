"""servecast: forecast p50, p99 and refusals of a model-serving fleet, and check each forecast against a live server.

    import servecast as sc
    print(sc.as_text(sc.forecast("scenario.yaml")))

Names are imported when they are used: `import servecast` alone costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from servecast.api import (
        as_text,
        capacity,
        diff,
        export,
        forecast,
        frontier_picture,
        latency_picture,
        plan,
        whatif,
        whatif_picture,
    )
    from servecast.examples import EXAMPLES
    from servecast.scenarios import load_scenario, with_calibration
    from sim.errors import RefusedToAnswer, ScenarioError
    from sim.exports.export import Exported
    from sim.forecast.comparison import ForecastDiff
    from sim.forecast.forecast import Forecast
    from sim.planner.capacity import Capacity
    from sim.planner.plan_result import Plan
    from sim.planner.whatif import WhatIf
    from sim.scenario.spec import Scenario

__all__ = [
    "EXAMPLES",
    "Exported",
    "Capacity",
    "Forecast",
    "ForecastDiff",
    "Plan",
    "RefusedToAnswer",
    "Scenario",
    "ScenarioError",
    "WhatIf",
    "as_text",
    "capacity",
    "diff",
    "export",
    "forecast",
    "frontier_picture",
    "latency_picture",
    "load_scenario",
    "whatif",
    "whatif_picture",
    "plan",
    "with_calibration",
]

_HOMES = {
    "Capacity": "sim.planner.capacity",
    "EXAMPLES": "servecast.examples",
    "Exported": "sim.exports.export",
    "Forecast": "sim.forecast.forecast",
    "ForecastDiff": "sim.forecast.comparison",
    "Plan": "sim.planner.plan_result",
    "RefusedToAnswer": "sim.errors",
    "Scenario": "sim.scenario.spec",
    "ScenarioError": "sim.errors",
    "WhatIf": "sim.planner.whatif",
    "as_text": "servecast.api",
    "capacity": "servecast.api",
    "diff": "servecast.api",
    "export": "servecast.api",
    "forecast": "servecast.api",
    "frontier_picture": "servecast.api",
    "latency_picture": "servecast.api",
    "load_scenario": "servecast.scenarios",
    "whatif": "servecast.api",
    "whatif_picture": "servecast.api",
    "plan": "servecast.api",
    "with_calibration": "servecast.scenarios",
}


def __getattr__(name: str) -> object:
    """Import a public name from where it stands."""
    if name not in _HOMES:
        raise AttributeError(f"module 'servecast' has no attribute {name!r}")
    value: object = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Return the public names, imported or not."""
    return sorted(__all__)

"""The calibration file: made of a fit, written, and known by a hash of its content."""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from calibration.fit import Fit
from calibration.samples import Samples
from sim.forecast.provenance import host, versions
from sim.scenario.calibrated import calibrated
from sim.scenario.profile import PROFILE_FORMAT, Profile
from sim.scenario.spec import Scenario

__all__ = ["calibrated_by", "profile_hash", "profile_of_fit", "write_profile"]


def profile_of_fit(samples: Sequence[Samples], fitted: Fit) -> Profile:
    """Return the file's content for a fit to these samples."""
    parts = {
        part: {"value_ms": fitted.values[part], "low_ms": low, "high_ms": high}
        for part, (low, high) in fitted.intervals.items()
    }
    rates = sorted({round(load.rate_per_s, 3) for each in samples for load in each.loads})
    return Profile.model_validate(
        {
            "format": PROFILE_FORMAT,
            "name": samples[0].name,
            "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "host": host(),
            "versions": versions(),
            "fitted_on": {
                "rates": rates,
                "batch_sizes": fitted.batch_sizes,
                "processes": len(samples),
                "samples": fitted.samples,
            },
            "parts": parts,
            "spread_cv": fitted.pass_cv,
            "answer_share": fitted.answer_share,
            "draws": [dict(draw) for draw in fitted.draws],
            "run_draws": [dict(draw) for draw in fitted.run_draws],
            "table": fitted.table,
            "not_identified": fitted.not_identified,
        }
    )


def profile_hash(profile: Profile) -> str:
    """Return the SHA-256 of the calibration's content, whatever file it lies in."""
    return hashlib.sha256(profile.model_dump_json().encode()).hexdigest()


@contextmanager
def calibrated_by(scenario: Scenario, profile: Profile) -> Iterator[Scenario]:
    """Give the scenario with a calibration that lies in no file of its own, while the block lasts."""
    with TemporaryDirectory(prefix="servecast-") as folder:
        file = Path(folder) / "calibration.json"
        write_profile(profile, file)
        yield calibrated(scenario, file)


def write_profile(profile: Profile, path: str | Path) -> None:
    """Write the calibration file. Raises OSError where it cannot be written."""
    Path(path).write_text(profile.model_dump_json(indent=1) + "\n", encoding="utf-8")

"""A rate that changes over time, and arrivals that follow it.

Between its corners the rate runs on a straight line, so the expected count (its integral) is quadratic there and can be
inverted exactly. Arrivals are the epochs of a process of rate 1 moved through that inverse (Cinlar, Introduction to
Stochastic Processes, 1975, sec. 4.7): Poisson epochs give an inhomogeneous Poisson process, gamma epochs a bursty one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import numpy.typing as npt

from sim.arrivals.renewal import NS_PER_S, epoch_pieces, unit_epochs

__all__ = ["RateCurve", "day_curve", "draw_along", "pieces_along", "spike_curve", "step_curve"]

CORNERS_PER_DAY: Final = 1_440

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class RateCurve:
    """Pieces in time order, from time 0. Behind the last one the curve starts again, or holds its last rate."""

    lengths_ns: Floats  # (pieces,)
    from_per_s: Floats  # (pieces,) rate at the start of a piece
    to_per_s: Floats  # (pieces,) rate at its end
    repeats: bool

    def expected_until(self, time_ns: float) -> float:
        """Return the expected number of arrivals in [0, time_ns)."""
        areas, starts_ns = self._areas(), self._starts(self.lengths_ns)
        whole = 0.0
        if self.repeats:
            cycles, time_ns = divmod(time_ns, float(self.lengths_ns.sum()))
            whole = cycles * float(areas.sum())
        piece = int(np.searchsorted(starts_ns, time_ns, side="right")) - 1
        inside_s = (time_ns - starts_ns[piece]) / NS_PER_S
        if piece == len(self.lengths_ns):
            return float(whole + areas.sum() + self.to_per_s[-1] * inside_s)
        slope = (self.to_per_s[piece] - self.from_per_s[piece]) / (self.lengths_ns[piece] / NS_PER_S)
        area = (self.from_per_s[piece] + slope * inside_s / 2) * inside_s
        return float(whole + areas[:piece].sum() + area)

    def times_ns(self, expected: Floats) -> Floats:
        """Return when the expected count reaches each value; infinity where it never does."""
        until, start_per_s, slope_per_s2, starts_ns = self._tables
        shift_ns: Floats | float = 0.0
        if self.repeats:
            cycles = np.floor(expected / until[-1])
            shift_ns, expected = cycles * self.lengths_ns.sum(), expected - cycles * until[-1]
        piece = np.minimum(np.searchsorted(until, expected, side="right") - 1, len(self.lengths_ns))
        if len(piece) and piece.min() == piece.max():
            piece = piece[:1]  # one for all of them, which is quicker
        rest = expected - until[piece]
        start, slope = start_per_s[piece], slope_per_s2[piece]
        # The root of start x + slope x**2 / 2 = rest, in the form that loses no digits when the slope is small.
        divisor = start + np.sqrt(np.maximum(start**2 + 2 * slope * rest, 0))
        inside_s = np.divide(2 * rest, divisor, out=np.full_like(rest, np.inf), where=divisor > 0)
        times: Floats = shift_ns + starts_ns[piece] + inside_s * NS_PER_S
        return times

    @cached_property
    def _tables(self) -> tuple[Floats, Floats, Floats, Floats]:
        """Expected count, rate per second, its slope and moment at the start of each piece, (pieces + 1,).

        What stands behind the last piece goes on at its last rate.
        """
        start_per_s = np.append(self.from_per_s, self.to_per_s[-1])
        slope_per_s2 = np.append((self.to_per_s - self.from_per_s) / (self.lengths_ns / NS_PER_S), 0.0)
        return self._starts(self._areas()), start_per_s, slope_per_s2, self._starts(self.lengths_ns)

    def _areas(self) -> Floats:
        """Return the expected count of each piece."""
        return (self.from_per_s + self.to_per_s) / 2 * (self.lengths_ns / NS_PER_S)

    @staticmethod
    def _starts(lengths: Floats) -> Floats:
        """Return where each piece begins, and where the last one ends."""
        return np.concatenate([[0.0], np.cumsum(lengths)])


def draw_along(curve: RateCurve, cv: float, horizon_ns: int, generator: np.random.Generator) -> npt.NDArray[np.int64]:
    """Return the arrivals in [0, horizon_ns), ascending, in ns; `cv` as in unit_epochs. A longer horizon only adds."""
    epochs = unit_epochs(cv, curve.expected_until(horizon_ns), generator)
    times_ns = curve.times_ns(epochs)
    return np.rint(times_ns[times_ns < horizon_ns - 0.5]).astype(np.int64)


def pieces_along(
    curve: RateCurve, cv: float, horizon_ns: int, generator: np.random.Generator
) -> Iterator[npt.NDArray[np.int64]]:
    """Yield the same arrivals in pieces, so that they need not exist all at once."""
    for epochs in epoch_pieces(cv, generator):
        times_ns = curve.times_ns(epochs)
        inside = times_ns < horizon_ns - 0.5
        yield np.rint(times_ns[inside]).astype(np.int64)
        if not inside[-1]:
            return


def step_curve(rates_per_s: Sequence[float], lengths_ns: Sequence[float], *, repeats: bool) -> RateCurve:
    """Return a staircase; the lengths are above 0 and a rate is above 0."""
    rates = np.array(rates_per_s, dtype=np.float64)
    return RateCurve(np.array(lengths_ns, dtype=np.float64), rates, rates, repeats)


def spike_curve(rate_per_s: float, peak_per_s: float, at_ns: int, duration_ns: int, ramp_ns: int) -> RateCurve:
    """Return a steady rate that ramps to a peak at `at_ns`, holds it, and ramps back."""
    corners = [
        (at_ns, rate_per_s, rate_per_s),
        (ramp_ns, rate_per_s, peak_per_s),
        (duration_ns, peak_per_s, peak_per_s),
        (ramp_ns, peak_per_s, rate_per_s),
        (1, rate_per_s, rate_per_s),
    ]
    pieces = np.array([corner for corner in corners if corner[0] > 0], dtype=np.float64)
    return RateCurve(pieces[:, 0], pieces[:, 1], pieces[:, 2], repeats=False)


def day_curve(mean_per_s: float, peak_to_mean: float, peak_at_ns: int, period_ns: int) -> RateCurve:
    """Return mean * exp(k cos(2 pi (t - peak_at) / period)) / I0(k), with k such that the peak is as stated.

    This is the density of the von Mises distribution: a smooth wave that is positive for every peak_to_mean >= 1.
    """
    concentration = _concentration(peak_to_mean)
    corners_ns = np.linspace(0.0, period_ns, CORNERS_PER_DAY + 1)
    angle = 2 * np.pi * (corners_ns - peak_at_ns) / period_ns
    rates = np.exp(concentration * (np.cos(angle) - 1))
    # Divided by the mean of the pieces themselves, so that the stated mean is exact.
    rates *= mean_per_s / ((rates[:-1] + rates[1:]) / 2).mean()
    return RateCurve(np.diff(corners_ns), rates[:-1], rates[1:], repeats=True)


def _concentration(peak_to_mean: float) -> float:
    """Return k with exp(k) / I0(k) = peak_to_mean, by bisection; the ratio rises with k."""
    from scipy.special import i0e

    low, high = 0.0, 4 * peak_to_mean**2  # exp(k) / I0(k) ~ sqrt(2 pi k) lies above the ratio there
    for _ in range(100):
        middle = (low + high) / 2
        if 1 / i0e(middle) < peak_to_mean:
            low = middle
        else:
            high = middle
    return low

"""Known answers for rollouts and A/B tests: what a canary analysis finds, whom it costs, and how long a test must run.

Attempts come in a Poisson stream and fail independently of one another, so the samples of a check are a Poisson number
and the failures among them binomial; a rollout is a Markov chain from check to check. It knows nothing of queues, of
answers still in flight, or of a canary that fails because it is overloaded: for these there is the simulator. Times are
seconds, rates are per second, shares are of 1. `bad` stands for failed or for slow, whichever a limit is on.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

__all__ = [
    "CanaryAnalysis",
    "CheckOdds",
    "ProportionTest",
    "RolloutOdds",
    "ab_test_s",
    "answers_per_arm",
    "share_interval",
]

Floats = npt.NDArray[np.float64]

_NEGLIGIBLE = 1e-12
"""Sums are cut where less than this is left."""

_CHECKS_MAX = 2_000
"""A rollout that is not over after so many checks is called endless."""

_State = tuple[int, int, int, int]
"""Of a rollout: its step, its checks that count, its failures, and the intervals for which a check has been held."""


@dataclass(frozen=True)
class CheckOdds:
    """What one check says, and the mean number of the canary's attempts in its window when it says so."""

    good: float
    failed: float
    held: float  # too few samples: no verdict, the next check sees them too
    samples_if_good: float
    samples_if_failed: float


@dataclass(frozen=True)
class RolloutOdds:
    """How a rollout ends."""

    rolled_back: float  # probability: the power of the analysis for a bad version, a false alarm for a good one
    promoted: float
    duration_s: float  # mean, to the one end or the other
    touched: float  # mean number of attempts that the canary took until then: users, if each comes once
    rolled_back_after_s: float  # mean, of the rollouts that are rolled back; NaN if none is
    touched_if_rolled_back: float  # mean number of attempts, of these
    weight_if_rolled_back: float  # mean weight reached, of these: with a sticky split the share of users who met it
    rolled_back_by: tuple[float, ...]  # probability that it has been with the first, second, ... check and its delay


@dataclass(frozen=True)
class CanaryAnalysis:
    """A canary whose weight climbs through `weights`, a check every `interval_s`; it leaves a step by good checks.

    A check is bad if the share of bad attempts is above `bad_share_most`; with `stable_bad_share` it is bad if it is
    above stable's share of the same window by more than that (the number of stable's attempts is taken at its mean).
    """

    rate_per_s: float  # of all attempts
    weights: tuple[float, ...]  # shares of 1, one for each step
    interval_s: float
    bad_share_most: float
    failures_allowed: int = 0  # one more rolls back
    scope: str = "rollout"  # over what failures add up: rollout, step or consecutive
    count: int = 1  # checks of a step
    counted: str = "good"  # which of them count: good or all
    samples_min: int = 1
    no_data: str = "fail"  # what a check with fewer samples is: fail, pass, or hold
    roll_back_delay_s: float = 0.0
    stable_bad_share: float | None = None

    def __post_init__(self) -> None:
        if self.rate_per_s <= 0.0 or not all(0.0 < weight <= 1.0 for weight in self.weights) or not self.weights:
            raise ValueError("A canary needs traffic: a rate above 0, and weights above 0 and at most 1.")
        if self.stable_bad_share is not None and max(self.weights) == 1.0:
            raise ValueError("At a weight of 1 there is no stable version to compare with.")
        if self.stable_bad_share is not None and self._stable_samples(max(self.weights), 1) < self.samples_min:
            raise ValueError("The stable version has too few attempts in an interval to compare with.")

    def check_odds(self, weight: float, bad_share: float, held_before: int = 0) -> CheckOdds:
        """Return what a check says of a canary at that weight of whose attempts that share is bad.

        `held_before` is for how many intervals it has been held: its window is longer by them, and had too few samples.
        """
        from scipy.stats import poisson

        mean = self.rate_per_s * weight * self.interval_s
        fewest, most = int(poisson.ppf(_NEGLIGIBLE, mean)), int(poisson.isf(_NEGLIGIBLE, mean))
        shares = poisson.pmf(np.arange(fewest, most + 1), mean)
        if held_before > 0:
            # Samples only add up, so "held until now" says no more than that they are still too few.
            earlier = poisson.pmf(np.arange(self.samples_min), held_before * mean)
            shares = np.convolve(shares, earlier / earlier.sum())
        shares /= shares.sum()
        samples = np.arange(fewest, fewest + len(shares), dtype=np.float64)
        enough = samples >= self.samples_min
        passed = self._good_share(samples, weight, bad_share, 1 + held_before)
        good = shares * np.where(enough, passed, float(self.no_data == "pass"))
        held = shares * (~enough if self.no_data == "hold" else np.zeros(len(shares)))
        failed = np.maximum(shares - good - held, 0.0)
        return CheckOdds(
            good=float(good.sum()),
            failed=float(failed.sum()),
            held=float(held.sum()),
            samples_if_good=_mean(samples, good),
            samples_if_failed=_mean(samples, failed),
        )

    def odds(self, bad_share: float) -> RolloutOdds:
        """Return how the rollout of a version ends of whose attempts that share is bad.

        `rolled_back` of a bad version is the power of the analysis, of a healthy one the chance of a false alarm.
        Raises ValueError for a rollout that hardly ever ends, because its checks are held.
        """
        known: dict[tuple[int, int], CheckOdds] = {}
        # Of each state that is not an end: its probability, and that times the mean of the attempts until then.
        live: dict[_State, tuple[float, float]] = {(0, 0, 0, 0): (1.0, 0.0)}
        promoted = promoted_s = promoted_touched = 0.0
        back, back_s, back_touched, back_weight = [0.0], 0.0, 0.0, 0.0
        for number in range(1, _CHECKS_MAX + 1):
            now_s = number * self.interval_s
            reached: dict[_State, tuple[float, float]] = {}
            back.append(back[-1])
            for (at, done, failures, held), (share, attempts) in live.items():
                if (at, held) not in known:
                    known[at, held] = self.check_odds(self.weights[at], bad_share, held)
                check = known[at, held]
                for odds, samples, state in (
                    (check.good, check.samples_if_good, self._after_good(at, done, failures)),
                    (check.failed, check.samples_if_failed, self._after_failed(at, done, failures)),
                    (check.held, 0.0, (at, done, failures, held + 1)),  # its attempts come with the verdict
                ):
                    moved, taken = share * odds, (attempts + share * samples) * odds
                    if moved < _NEGLIGIBLE**2:
                        continue
                    if state is None:
                        back[-1] += moved
                        back_s += moved * (now_s + self.roll_back_delay_s)
                        late = self.rate_per_s * self.weights[at] * self.roll_back_delay_s
                        back_touched += taken + moved * late
                        back_weight += moved * max(self.weights[: at + 1])
                    elif state[0] == len(self.weights):
                        promoted += moved
                        promoted_s += moved * now_s
                        promoted_touched += taken
                    else:
                        before = reached.get(state, (0.0, 0.0))
                        reached[state] = (before[0] + moved, before[1] + taken)
            live = reached
            if sum(share for share, _ in live.values()) < _NEGLIGIBLE:
                break
        else:
            raise ValueError("This rollout hardly ever ends: its checks are held for want of samples.")
        ever = back[-1]
        return RolloutOdds(
            rolled_back=ever,
            promoted=promoted,
            duration_s=promoted_s + back_s,
            touched=promoted_touched + back_touched,
            rolled_back_after_s=back_s / ever if ever > 0.0 else math.nan,
            touched_if_rolled_back=back_touched / ever if ever > 0.0 else math.nan,
            weight_if_rolled_back=back_weight / ever if ever > 0.0 else math.nan,
            rolled_back_by=tuple(back[1:]),
        )

    def _after_good(self, at: int, done: int, failures: int) -> _State | None:
        """Return the state after a good check."""
        return self._after_counted(at, done + 1, 0 if self.scope == "consecutive" else failures)

    def _after_failed(self, at: int, done: int, failures: int) -> _State | None:
        """Return the state after a failed check, None: rolled back."""
        if failures + 1 > self.failures_allowed:
            return None
        return self._after_counted(at, done + 1 if self.counted == "all" else done, failures + 1)

    def _after_counted(self, at: int, done: int, failures: int) -> _State:
        """Return the state with so many checks done: the next step's first one where they are enough."""
        if done < self.count:
            return at, done, failures, 0
        return at + 1, 0, 0 if self.scope == "step" else failures, 0

    def _stable_samples(self, weight: float, intervals: int) -> int:
        """Return the stable version's attempts in a window, taken at their mean."""
        return round(self.rate_per_s * (1.0 - weight) * self.interval_s * intervals)

    def _good_share(self, samples: Floats, weight: float, bad_share: float, intervals: int) -> Floats:
        """Return the probability that a check with so many samples is good, for each number of samples."""
        from scipy.stats import binom

        if self.stable_bad_share is None:
            return np.asarray(binom.cdf(_floor(samples * self.bad_share_most), samples, bad_share))
        of = self._stable_samples(weight, intervals)
        law = binom(of, self.stable_bad_share)
        stable_bad = np.arange(int(law.ppf(_NEGLIGIBLE)), int(law.isf(_NEGLIGIBLE)) + 1)
        good = np.zeros(len(samples))
        for bad, share in zip(stable_bad, law.pmf(stable_bad), strict=True):
            most = np.minimum(_floor(samples * (bad / of + self.bad_share_most)), samples)
            good += share * binom.cdf(most, samples, bad_share)
        return np.asarray(good)


@dataclass(frozen=True)
class ProportionTest:
    """Whether two arms differ in the share of successes: the pooled two-proportion z-test.

    J. L. Fleiss, B. Levin, M. C. Paik, Statistical Methods for Rates and Proportions, 3rd ed. 2003, ch. 2 and 3. Where
    fewer than 5 successes or misses are expected in an arm (W. G. Cochran's rule, Biometrics 10, 1954) the normal law
    is no guide: then `p_value` is that of Fisher's exact test, and `exact` says so.
    """

    successes_a: int
    answers_a: int
    successes_b: int
    answers_b: int

    def __post_init__(self) -> None:
        arms = ((self.successes_a, self.answers_a), (self.successes_b, self.answers_b))
        if not all(0 <= successes <= answers and answers > 0 for successes, answers in arms):
            raise ValueError("Each arm needs answers, and successes among them.")

    @property
    def difference(self) -> float:
        """Share of successes of b less that of a."""
        return self.successes_b / self.answers_b - self.successes_a / self.answers_a

    @property
    def z(self) -> float:
        """Return the difference in standard errors under equal shares; 0 where no answer differs from another."""
        pooled = (self.successes_a + self.successes_b) / (self.answers_a + self.answers_b)
        variance = pooled * (1.0 - pooled) * (1.0 / self.answers_a + 1.0 / self.answers_b)
        return self.difference / math.sqrt(variance) if variance > 0.0 else 0.0

    @property
    def exact(self) -> bool:
        """Whether the samples are too few for the normal law."""
        pooled = (self.successes_a + self.successes_b) / (self.answers_a + self.answers_b)
        return min(self.answers_a, self.answers_b) * min(pooled, 1.0 - pooled) < 5.0

    @cached_property
    def p_value(self) -> float:
        """Probability of a difference at least as large, either way, if the arms were alike."""
        from scipy.stats import fisher_exact, norm

        if not self.exact:
            return float(2.0 * norm.sf(abs(self.z)))
        misses = (self.answers_a - self.successes_a, self.answers_b - self.successes_b)
        return float(fisher_exact([[self.successes_a, misses[0]], [self.successes_b, misses[1]]])[1])

    def interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """Return where the difference lies: that of R. G. Newcombe, Statistics in Medicine 17, 1998, method 10.

        It joins the Wilson intervals of the two shares, so that it stays sensible at shares near 0 and 1.
        """
        from scipy.stats import norm

        z = float(norm.ppf(0.5 + confidence / 2.0))
        share_a, low_a, high_a = _wilson(self.successes_a, self.answers_a, z)
        share_b, low_b, high_b = _wilson(self.successes_b, self.answers_b, z)
        low = self.difference - math.hypot(share_b - low_b, high_a - share_a)
        high = self.difference + math.hypot(high_b - share_b, share_a - low_a)
        return low, high


def answers_per_arm(
    share_a: float, share_b: float, *, weight_b: float = 0.5, alpha: float = 0.05, power: float = 0.8
) -> tuple[int, int]:
    """Return how many answers of a and of b a test needs to see that their shares differ, with that power.

    `weight_b` of the answers are b's; the test is two-sided at level `alpha`. Fleiss, Levin, Paik (2003), ch. 4,
    without the continuity correction, as the test above has none. Raises ValueError for equal shares.
    """
    from scipy.stats import norm

    if share_a == share_b:
        raise ValueError("No number of answers shows a difference that is not there: the shares must differ.")
    if not 0.0 < weight_b < 1.0:
        raise ValueError("Both arms need answers: weight_b must lie between 0 and 1.")
    ratio = weight_b / (1.0 - weight_b)
    pooled = (share_a + ratio * share_b) / (1.0 + ratio)
    alike = float(norm.isf(alpha / 2.0)) * math.sqrt(pooled * (1.0 - pooled) * (1.0 + 1.0 / ratio))
    apart = float(norm.ppf(power)) * math.sqrt(share_a * (1.0 - share_a) + share_b * (1.0 - share_b) / ratio)
    answers_a = ((alike + apart) / (share_b - share_a)) ** 2
    return math.ceil(answers_a), math.ceil(answers_a * ratio)


def ab_test_s(
    rate_per_s: float,
    share_a: float,
    share_b: float,
    *,
    weight_b: float = 0.5,
    alpha: float = 0.05,
    power: float = 0.8,
) -> float:
    """Return how long a test must run, in seconds, until it sees that the shares differ, with that power.

    `rate_per_s` counts answers that are independent of one another: under a sticky split whose users come again, count
    users. The result is looked at once, at the end: who stops at the first significant look finds differences that are
    not there. Raises ValueError as answers_per_arm.
    """
    needed = answers_per_arm(share_a, share_b, weight_b=weight_b, alpha=alpha, power=power)
    return max(needed[0] / (1.0 - weight_b), needed[1] / weight_b) / rate_per_s


def share_interval(successes: int, answers: int, confidence: float = 0.95) -> tuple[float, float]:
    """Return where a share lies of which `successes` of `answers` were seen: the interval of E. B. Wilson, 1927."""
    from scipy.stats import norm

    _, low, high = _wilson(successes, answers, float(norm.ppf(0.5 + confidence / 2.0)))
    return low, high


def _mean(samples: Floats, shares: Floats) -> float:
    """Return the mean number of samples where these are their shares, 0 where that never is."""
    total = float(shares.sum())
    return float(shares @ samples) / total if total > 0.0 else 0.0


def _wilson(successes: int, answers: int, z: float) -> tuple[float, float, float]:
    """Return a share and its interval by E. B. Wilson, J. Am. Stat. Assoc. 22, 1927."""
    share = successes / answers
    middle = share + z * z / (2.0 * answers)
    half = z * math.sqrt(share * (1.0 - share) / answers + z * z / (4.0 * answers * answers))
    scale = 1.0 + z * z / answers
    return share, (middle - half) / scale, (middle + half) / scale


def _floor(values: Floats) -> Floats:
    """Return the largest whole numbers not above; 0.29 * 100 is 28.999... in floats, and means 29."""
    return np.asarray(np.floor(values + 1e-9))

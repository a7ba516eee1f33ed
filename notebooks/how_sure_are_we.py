# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # How sure are we?
#
# A forecast is a simulation, and a simulation is a sample. This walk shows what each interval means, what makes it
# narrower, and when there is no figure at all. One server takes batches of up to 8; a pass takes 8 ms and half a
# millisecond for each request.

# %%
import servecast as sc

scenario = {
    "name": "sentiment",
    "traffic": {"arrivals": {"process": "poisson", "rate": "500/s"}, "timeout": "1s"},
    "model": {"pass_time": {"base": "8ms", "per_item": "0.5ms"}},
    "batching": {"max_batch": 8, "max_wait": "5ms"},
    "queue": {"cap": 256},
    "horizon": {"duration": "120s", "runs": 10},
    "goals": {"refused": "0.1%"},
}
forecast = sc.forecast(scenario, seed=1)
print(sc.as_text(forecast))

# %% [markdown]
# ## Two intervals, two questions
#
# *Confidence*: where does the long-run p99 lie? *Prediction*: where will the p99 of ONE run of two minutes lie? Next
# Monday between 9:00 and 9:02 is one run, and so is a load test. The first interval shrinks as more runs are made, the
# second does not: chance goes on.

# %%
few, many = sc.forecast(scenario, runs=5, seed=2), sc.forecast(scenario, runs=40, seed=2)
for runs, answer in ((5, few), (40, many)):
    p99 = answer["latency_ms.p99"]
    confidence, prediction = p99.high - p99.low, p99.prediction.high - p99.prediction.low
    print(f"{runs:>2} runs: confidence {confidence:.2f} ms wide, prediction {prediction:.2f} ms wide")
assert many["latency_ms.p99"].high - many["latency_ms.p99"].low < few["latency_ms.p99"].high - few["latency_ms.p99"].low

# %% [markdown]
# ## Is it true?
#
# Take 20 forecasts with seeds of their own, of 5 runs each. Their 95 % intervals should hold the true p99 about 19
# times of 20. Nobody knows the truth, but a forecast from 60 runs comes close.

# %%
truth = sc.forecast(scenario, runs=60, seed=99)["latency_ms.p99"].value
held = 0
for seed in range(20):
    p99 = sc.forecast(scenario, runs=5, seed=seed)["latency_ms.p99"]
    held += p99.low <= truth <= p99.high
print(f"{held} of 20 intervals hold {truth:.2f} ms")
assert held >= 15

# %% [markdown]
# ## As sure as you want
#
# Instead of a number of runs you may state a precision. Runs are then added until sampling leaves the figures open by
# no more than that share of themselves.

# %%
precise = sc.forecast(scenario, precision=0.01, seed=3)
p99 = precise["latency_ms.p99"]
print(f"{precise.provenance['runs']} runs: p99 is {p99.value:.2f} ms, {p99.low:.2f} to {p99.high:.2f} ms")
assert p99.high - p99.value <= 0.0101 * p99.value

# %% [markdown]
# ## When there is no figure
#
# Requests that follow each other are alike: if one meets a queue, so does the next. A run of two minutes near
# saturation is worth a few hundred independent requests, and of those hardly any lie beyond p99.9. A figure that rests
# on so little is not given, and the forecast says what it would take.

# %%
busy = sc.forecast(scenario, overrides=["traffic.arrivals.rate=590/s"], seed=1)
print(busy["latency_ms.p999"].why)
assert busy["latency_ms.p999"].value is None

# %% [markdown]
# ## What differs by more than noise
#
# Two forecasts of one seed meet the same requests, so what chance does to both alike falls out of their difference. How
# much do batches of up to 16 change? The difference has an interval of its own, far narrower than those of the figures.

# %%
difference = sc.diff(scenario, {**scenario, "batching": {"max_batch": 16, "max_wait": "5ms"}}, seed=4)
print(sc.as_text(difference))

# %% [markdown]
# The band in this picture is where single runs lie.

# %%
sc.latency_picture(forecast)

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
# # A first forecast
#
# A small text classifier stands behind one HTTP server. A pass of a batch takes 8 ms, and half a millisecond more for
# each text. 400 texts come every second, at random. How long do clients wait, and is anybody refused?
#
# Nothing is served here: the answer is simulated, by the same batching code that the reference server runs.

# %%
import servecast as sc

scenario = {
    "name": "sentiment",
    "traffic": {"arrivals": {"process": "poisson", "rate": "400/s"}, "timeout": "1s"},
    "model": {"pass_time": {"base": "8ms", "per_item": "0.5ms"}},
    "batching": {"max_batch": 8, "max_wait": "5ms"},
    "queue": {"cap": 256},
    "horizon": {"duration": "30s", "runs": 6},
    "goals": {"p50": "50ms", "refused": "0.1%"},
}
forecast = sc.forecast(scenario, seed=1)
print(sc.as_text(forecast))

# %% [markdown]
# Every figure comes with two intervals. *95 % confidence* is where the long-run figure lies; it shrinks with more runs.
# *95 % of single runs* is where one run of this length will land; it does not shrink, and it is what a live measurement
# is compared with.
#
# Figures can also be had by name, in the unit that the name says.

# %%
p99 = forecast["latency_ms.p99"]
print(f"p99 is {p99.value:.1f} ms, between {p99.low:.1f} and {p99.high:.1f} ms")
assert forecast.goals_met

# %% [markdown]
# ## What if there were no batching?
#
# Without batches a pass serves one text in 8.5 ms, which is 117 texts a second. 400 come. The cap refuses a part of
# them. Of the others most give up: behind a full queue of 256 an answer takes 2.2 s, and clients wait for 1 s. So most
# of the time the device is busy, and answers nobody.

# %%
single = sc.forecast(scenario, overrides=["batching.max_batch=1"], seed=1)
print(sc.as_text(single))
assert not single.goals_met

# %% [markdown]
# With neither a cap nor impatient clients the queue would grow for as long as one looks. Then there is no latency to
# give, and servecast gives none.

# %%
endless = ["batching.max_batch=1", "queue.cap=none", "traffic.timeout=none"]
try:
    sc.forecast(scenario, overrides=endless)
except sc.RefusedToAnswer as reason:
    print(reason)

# %% [markdown]
# ## Waiting for company
#
# A batch that is not full waits up to `max_wait` for more texts. Does it pay to wait longer? At 400 texts a second the
# device is busy most of the time, and batches fill while it is. At 100 a second nearly every text pays the wait.

# %%
for rate in ("100/s", "400/s"):
    for wait in ("0ms", "5ms", "20ms"):
        changes = [f"traffic.arrivals.rate={rate}", f"batching.max_wait={wait}", "horizon.duration=10s"]
        answer = sc.forecast(scenario, overrides=changes, runs=2, seed=1)
        mean, batch = answer["latency_ms.mean"].value, answer["batch_size_mean"].value
        print(f"{rate}, max_wait {wait:>4}: mean latency {mean:.1f} ms, mean batch {batch:.2f}")

# %% [markdown]
# ## The whole distribution
#
# The picture shows the tail: which share of the requests is slower than x. Both axes are logarithmic.

# %%
sc.latency_picture(forecast)

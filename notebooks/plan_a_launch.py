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
# # Planning a launch
#
# A model is to go live. Its traffic has the shape of a day, 300 requests a second in the mean and 1.8 times as many at
# the peak; here the day passes in a quarter of an hour, so that this page is quick to run. A pass takes 20 ms and 2 ms
# for each request. What is the cheapest fleet that keeps p99 below 150 ms and refuses nobody?

# %%
import servecast as sc

launch = {
    "name": "launch",
    "traffic": {
        "arrivals": {
            "process": "day_curve",
            "mean_rate": "300/s",
            "peak_to_mean": 1.8,
            "peak_at": "10min",
            "period": "15min",
        },
        "timeout": "2s",
    },
    "model": {"pass_time": {"base": "20ms", "per_item": "2ms"}},
    "batching": {"max_batch": 8, "max_wait": "5ms"},
    "queue": {"cap": 64},
    "fleet": {"replicas": 3, "routing": {"balance": "least_outstanding"}},
    "horizon": {"duration": "15min", "warm_up": "0s", "runs": 6},
    "goals": {"p99": "150ms", "refused": "0.1%"},
    "cost": {"replica_hour": 2.5, "currency": "EUR"},
}

# %% [markdown]
# ## The cheapest fixed fleet
#
# The planner goes through replicas and batch sizes. It discards by arithmetic what cannot work, simulates what might,
# and confirms its answer with dice by which nothing was chosen.

# %%
fixed = sc.plan(launch, {"fleet.replicas": range(1, 7), "batching.max_batch": [8, 16]})
print(sc.as_text(fixed))
assert fixed.answer is not None

# %%
sc.frontier_picture(fixed)

# %% [markdown]
# ## Or one that scales
#
# With batches of 8 three replicas are needed at the peak, and two at night. An autoscaler in the manner of Ray Serve
# keeps so many requests in flight at each; a new replica takes 20 s to start. Which target is the cheapest that keeps
# the goals, and does it pay? Hardly here: a day that passes in a quarter of an hour goes up while replicas start, so
# the target has to leave room. Each run finds the autoscaler's clock at another moment of its tick.

# %%
scaling = {
    **launch,
    "fleet": {
        **launch["fleet"],
        "cold_start": {"load": "20s"},
        "autoscaler": {"preset": "ray_serve", "target": 6, "min_replicas": 2, "max_replicas": 8, "delay_down": "60s"},
    },
}
scaled = sc.plan(scaling, {"fleet.autoscaler.target": [4, 6, 8, 12], "fleet.autoscaler.min_replicas": [1, 2]})
print(sc.as_text(scaled))
three = next(row for row in fixed.rows if row.changes == {"fleet.replicas": "3", "batching.max_batch": "8"})
assert scaled.answer is not None
print(f"three replicas all the time: {three.cost:.2f} EUR; scaled: {scaled.answer.cost:.2f} EUR")

# %% [markdown]
# ## How much more can it take?
#
# The highest load of the same shape that keeps the goals, with an interval.

# %%
changes = [f"{key}={value}" for key, value in fixed.answer.changes.items()]
print(sc.as_text(sc.capacity(launch, overrides=changes)))

# %% [markdown]
# ## What does each choice do?
#
# Around the answer, one key at a time, with paired dice: what is more than noise has an interval that leaves out zero.

# %%
around = sc.whatif(launch, [*changes, "batching.max_wait=0ms,5ms,20ms", "queue.cap=16,64,256"], grid=False)
print(sc.as_text(around))

# %% [markdown]
# ## Into the cluster
#
# The same scenario in the words of Kubernetes. What they cannot say stands in the file.

# %%
like_hpa = "{formula: ratio, signal: in_flight, target: 8, min_replicas: 2, max_replicas: 8, stabilisation_down: 300s}"
for name, text in sc.export(scaling, "kubernetes", overrides=[f"fleet.autoscaler={like_hpa}"]).files.items():
    print(f"{name}:\n{text}")

# %%
sc.whatif_picture(around)

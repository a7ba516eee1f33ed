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
# # An autoscaler and its cold starts
#
# Two replicas bear the usual load. At 20 s it more than triples. A new replica takes its time to start; what do clients
# see until then, and does another rule of scaling help? The fleet is the example `step-hpa`: a rule like that of
# Kubernetes' HPA, on the requests in flight, looked at every 2 s.

# %%
import matplotlib.pyplot as plt

import servecast as sc

STEPS = "[{rate: 66/s, duration: 20s}, {rate: 212/s, duration: 90s}, {rate: 66/s, duration: 70s}]"
TRAFFIC = [
    f"traffic.arrivals.steps={STEPS}",
    "horizon={duration: 180s, warm_up: 0s, runs: 10}",
    "goals={refused: 1%}",
]

usual = sc.forecast("step-hpa", overrides=TRAFFIC, seed=1)
print(sc.as_text(usual))

# %% [markdown]
# ## Over time
#
# One number for three minutes hides what happens in them. A forecast has every window: how many replicas are wanted and
# how many are ready, p99, refusals.


# %%
def over_time(answers):
    """Draw the replicas and the p99 of several forecasts over time."""
    figure, (above, below) = plt.subplots(2, 1, sharex=True, figsize=(8, 5))
    for (name, answer), style in zip(answers.items(), ("-", "--", ":"), strict=False):
        starts = [window.from_s for window in answer.timeline]
        ready = [window.figures["replicas.ready"].value for window in answer.timeline]
        p99 = [window.figures["latency_ms.p99"].value for window in answer.timeline]
        above.step(starts, ready, style, where="post", color="black", label=name)
        below.plot(starts, [float("nan") if value is None else value for value in p99], style, color="black")
    above.set_ylabel("ready replicas (number)")
    above.legend()
    below.set_ylabel("p99 (ms)")
    below.set_xlabel("time (s)")
    plt.close(figure)
    return figure


slow = sc.forecast("step-hpa", overrides=[*TRAFFIC, "fleet.cold_start.load=40s"], seed=1)
over_time({"cold start 3 s": usual, "cold start 40 s": slow})

# %% [markdown]
# ## What a cold start costs
#
# The traffic and the dice are the same, so the difference is the cold start's doing.

# %%
for start in ("3s", "10s", "20s", "40s"):
    answer = sc.forecast("step-hpa", overrides=[*TRAFFIC, f"fleet.cold_start.load={start}"], seed=1)
    refused, replicas = answer["refused_share"], answer["replicas.mean"]
    print(
        f"cold start {start:>3}: refused {refused.value:6.2%} [{refused.low:.2%} .. {refused.high:.2%}], "
        f"replicas {replicas.value:.2f} in the mean"
    )
assert slow["refused_share"].low > usual["refused_share"].high

# %% [markdown]
# ## Another rule
#
# Ray Serve's autoscaler waits before it goes up, and counts otherwise. A higher minimum is the remedy that needs no
# forecast; what it costs does.

# %%
ray = sc.forecast("step-ray", overrides=TRAFFIC, seed=1)
ready_made = sc.forecast(
    "step-hpa", overrides=[*TRAFFIC, "fleet.autoscaler.min_replicas=4", "fleet.replicas=4"], seed=1
)
for name, answer in {"like HPA": usual, "like Ray Serve": ray, "like HPA, at least 4": ready_made}.items():
    print(f"{name:<21} refused {answer['refused_share'].value:.2%}, replica hours {answer['gpu_hours'].value:.3f}")
assert ready_made["refused_share"].value < usual["refused_share"].value
assert ready_made["gpu_hours"].value > usual["gpu_hours"].value

# %%
over_time({"like HPA": usual, "like Ray Serve": ray, "like HPA, at least 4": ready_made})

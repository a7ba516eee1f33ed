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
# # Planning a canary and an A/B test
#
# A new version gets 10 % of the users, then half of them, if it fails no more than 1 % of its requests. Suppose that it
# fails 5 %. Will it be found? How many users meet it before? And would a healthy version be sent back by bad luck?

# %%
import matplotlib.pyplot as plt

import servecast as sc

bad = sc.forecast("canary", seed=1)
print(sc.as_text(bad))

# %% [markdown]
# Each run is one rollout; how it ends, how long it takes and whom it touches differ from run to run, and the forecast
# says by how much. What would take thousands of runs to see comes from theory: the chance to find the error rate at
# all, and that of a false alarm.

# %%
rollout = bad.rollout.to_json()
for figure in ("rolled_back_share", "users_touched_share", "duration_s"):
    told = rollout[figure]
    print(f"{figure:<20} {told['value']:.3g} [{told['low']:.3g} .. {told['high']:.3g}]")
print(f"chance to find it {rollout['odds']['power']:.2%}, of a false alarm {rollout['odds']['false_alarm']:.2%}")
assert rollout["rolled_back_share"]["value"] > 0.9

# %% [markdown]
# ## The smaller the fault, the harder it is to find
#
# A check sees what came to the canary since the last one: 10 % of 60 requests a second for 5 s are 30 requests. A fault
# of 2 % often shows in none of them. So one check misses it, a later one finds it, and by then more users have met it.

# %%
rates, powers, touched = [], [], []
for percent in (1, 2, 3, 5, 8):
    answer = sc.forecast("canary", overrides=[f"versions.1.error_rate={percent}%"], runs=20, seed=1).rollout.to_json()
    rates.append(percent)
    powers.append(answer["odds"]["power"])
    touched.append(answer["users_touched_share"]["value"])
    print(f"fails {percent} %: found with a chance of {powers[-1]:.1%}, met by {touched[-1]:.1%} of the users")
assert powers == sorted(powers)

# %% [markdown]
# ## Is its replica large enough?
#
# The canary has one replica. At 10 % of the traffic it is half idle; when half of the users come, it is not.

# %%
healthy = sc.forecast("canary", overrides=["versions.1.error_rate=0.1%"], runs=20, seed=1)
for window in healthy.timeline:
    p50 = window.versions["v2"]["latency_ms.p50"].value
    share = window.versions["v2"]["request_share"].value
    if p50 is not None and share:
        print(f"{window.from_s:4.0f} s: v2 has {share:5.1%} of the requests, p50 {p50:.0f} ms")

# %% [markdown]
# ## How long must an A/B test run?
#
# Two versions, half of the users each, who stay with theirs. 3 % of the users of the old one click; 3.6 % would be
# worth having.

# %%
test = sc.forecast("ab-test", seed=1)
(told,) = [each.to_json() for each in test.ab_tests]
print(told)

# %%
figure, axes = plt.subplots(figsize=(7, 4))
axes.plot(rates, [100 * power for power in powers], "o-", color="black", label="chance to be found")
axes.plot(rates, [100 * share for share in touched], "s--", color="black", label="users who meet it")
axes.set_xlabel("requests that the canary fails (%)")
axes.set_ylabel("share (%)")
axes.legend()
plt.close(figure)
figure

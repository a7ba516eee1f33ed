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
# # Calibrating a server
#
# Pass times need not be guessed: `servecast calibrate` drives a server over HTTP and works out what a pass, the front
# end and the turnaround really take, and how sure that is. Here it starts a server of its own, with an emulated device,
# so that nothing else is needed; with `--url` it takes yours. One server takes about 40 s. For use five are better,
# since a server process differs from the next.

# %%
import json
import subprocess
import sys
from pathlib import Path
from tempfile import mkdtemp

import servecast as sc

folder = Path(mkdtemp())
profile = folder / "sentiment.json"

# %%
command = ["calibrate", "sentiment", "--processes", "1", "--quiet", "-o", str(profile)]
done = subprocess.run([sys.executable, "-m", "servecast", *command], check=False, capture_output=True, text=True)
assert profile.exists(), done.stderr
print(done.stdout)

# %% [markdown]
# The file is JSON and can be read: the pass time by batch size, the front end's work, the turnaround.

# %%
content = json.loads(profile.read_text())
print(sorted(content))

# %% [markdown]
# ## A forecast with it
#
# The scenario says where the file is. With several processes the intervals would also hold what the calibration leaves
# open, beside what sampling does; one process does not tell, and the forecast says so.

# %%
calibrated = sc.forecast("sentiment", overrides=[f"model={{profile: {profile}}}"], seed=1)
stated = sc.forecast("sentiment", seed=1)
print(sc.as_text(calibrated))

# %% [markdown]
# What do the stated pass times alone leave out? The HTTP server's own work and the way of a batch to the device.

# %%
for name in ("latency_ms.p50", "latency_ms.p99"):
    print(f"{name}: {stated[name].value:.2f} ms from stated times, {calibrated[name].value:.2f} ms calibrated")

# %%
sc.latency_picture(calibrated)

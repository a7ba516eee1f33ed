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
# # The simulator against the server
#
# `servecast check` calibrates a server, forecasts loads it has not seen, sends the very requests that were forecast,
# and puts both side by side. Whether a run counts is decided before anyone looks at its latencies: by how late the load
# generator was, and by what else the host did. Here it is kept short: one process, one load, 5 s. So a single run can
# be out of tolerance by chance, and on a busy host none counts.

# %%
import json
import subprocess
import sys
from pathlib import Path
from tempfile import mkdtemp

from IPython.display import Image

folder = Path(mkdtemp())
report, picture = folder / "check.json", folder / "check.png"

# %%
effort = ["--processes", "1", "--loads", "60%", "--duration", "5s", "--draws", "40", "--quiet"]
files = ["--json-file", str(report), "--picture", str(picture)]
command = [sys.executable, "-m", "servecast", "check", "sentiment", *effort, *files]
done = subprocess.run(command, check=False, capture_output=True, text=True)
assert report.exists(), done.stderr
print(done.stdout)

# %% [markdown]
# The report holds every attempt, also those that did not count, and why.

# %%
check = json.loads(report.read_text())
for point in check["points"]:
    for attempt in point["attempts"]:
        print("counted" if attempt["valid"] else f"did not count: {attempt['reasons']}")
    for score in point["scores"]:
        print(f"{score['figure']:<26} measured {score['measured']}, forecast {score['predicted']}")

# %%
Image(filename=str(picture))

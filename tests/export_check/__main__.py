"""Has exports read by the parsers of the systems they are for, and writes what came of it: `make export-check`."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from shutil import rmtree

from sim.exports.export import export
from sim.scenario.load import load_scenario
from tests.export_check.samples import SAMPLES

_MINIMAL = {
    "name": "shop",
    "traffic": {"arrivals": {"process": "poisson", "rate": "100/s"}},
    "model": {"pass_time": {"base": "8ms", "per_item": "0.5ms"}},
    "batching": {"max_batch": 8, "max_wait": "5ms"},
}


def write_samples(folder: Path) -> None:
    """Write what each sample is exported as, and what has to be found there, into folders of their own."""
    rmtree(folder, ignore_errors=True)
    for number, sample in enumerate(SAMPLES):
        place = folder / f"{number:02}"
        place.mkdir(parents=True)
        for name, text in export(load_scenario({**_MINIMAL, **sample.sections}), sample.to).files.items():
            (place / name).write_text(text, encoding="utf-8")
        told = {"to": sample.to, "what": sample.what, "expected": sample.expected}
        (place / "expected.json").write_text(json.dumps(told), encoding="utf-8")


def main() -> int:
    """Write the samples, have them read, and keep the answer."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--python", required=True, help="of the environment with the parsers")
    parser.add_argument("--folder", type=Path, required=True, help="for the samples; torchserve's wheel lies beside it")
    parser.add_argument("--crds", type=Path, help="a folder with CustomResourceDefinitions besides, as YAML")
    parser.add_argument("--file", type=Path, help="where the answer is kept")
    options = parser.parse_args()
    write_samples(options.folder)
    script = Path(__file__).with_name("parsers.py")
    arguments = [options.python, str(script), str(options.folder), *([str(options.crds)] if options.crds else [])]
    done = subprocess.run(arguments, capture_output=True, text=True)
    text = f"{datetime.now(UTC):%Y-%m-%d}\n{done.stdout}"
    sys.stdout.write(text)
    sys.stderr.write(done.stderr if done.returncode else "")
    if options.file is not None and done.returncode == 0:
        options.file.write_text(text, encoding="utf-8")
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())

"""docs/own-model.md does what it says."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "own-model.md").read_text(encoding="utf-8")


def block(language: str) -> str:
    """Return the only block of the page in a language."""
    [found] = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    return str(found)


def asked(url: str, value: Any) -> tuple[int, Any]:
    """Return status and answer to an input."""
    request = urllib.request.Request(f"{url}/predict", data=json.dumps({"input": value}).encode(), method="POST")
    try:
        with urllib.request.urlopen(request, timeout=10) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def test_model_of_the_page_is_served_from_its_folder(tmp_path: Path) -> None:
    """It gives the answer that the page shows, and 422 with the model's sentence to what it does not take."""
    (tmp_path / "my_model.py").write_text(block("python"), encoding="utf-8")
    (tmp_path / "my_model.yaml").write_text(block("yaml"), encoding="utf-8")
    command = [sys.executable, "-m", "servecast", "serve", "my_model.yaml", "--port", "0"]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as server:
        try:
            assert server.stderr is not None
            said = server.stderr.readline()
            assert said.startswith("my_model is served at http://127.0.0.1:")
            url = said.split()[-1]
            status, answer = asked(url, [1, 2, 3])
            shown = re.search(r'^\{"output".*\}$', block("console"), re.MULTILINE)
            assert shown is not None
            assert (status, answer["output"]) == (200, json.loads(shown[0])["output"])
            assert asked(url, [1, 2]) == (422, {"error": "The input must be a list of 3 numbers."})
        finally:
            server.send_signal(signal.SIGTERM)
    assert server.returncode == 0


def test_factory_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    """The server does not come up: exit code 4, and what could not be imported."""
    (tmp_path / "my_model.yaml").write_text(block("yaml"), encoding="utf-8")
    command = [sys.executable, "-m", "servecast", "serve", "my_model.yaml", "--port", "0"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 4
    assert done.stderr.count("\n") == 1
    assert "The module my_model of model.serve_with cannot be imported: No module named 'my_model'." in done.stderr

"""Scenarios that come with servecast; their names stand wherever a scenario file can."""

from __future__ import annotations

from pathlib import Path

from servecast.errors import UsageError

__all__ = ["EXAMPLES", "example_path", "example_text", "scenario_source"]

EXAMPLES = {
    "sentiment": "one replica of a small model under Poisson traffic",
    "tokens": "requests of very different sizes, where the longest of a batch sets its time",
    "spike": "a spike of traffic over a queue with a cap, and clients that retry",
    "clients": "a fixed number of clients, each of which waits for its answer",
    "blocking": "a handler that runs the model in the event loop, where every request has to wait for it",
    "step-hpa": "a load step onto a fleet whose replicas start cold, with an autoscaler like a Kubernetes HPA",
    "step-ray": "the same with an autoscaler like Ray Serve's",
    "crashes": "three replicas that crash now and then, and are back a second later",
    "canary": "a canary that fails too often, rolled back by its analysis",
    "shadow": "a new version that gets copies of every fifth request, and answers nobody",
    "ab-test": "half of the users on another version, and how long the test must run",
    "trace": "a recorded trace, stretched to a stated rate",
    "minilm": "a text classifier on PyTorch, which `make models` installs",
    "cnn": "an image classifier on PyTorch, so small that the server costs more than the model",
}
"""Names, and what each shows."""

_ENDINGS = (".yaml", ".yml", ".toml", ".json")
"""Of scenario files."""


def example_path(name: str) -> Path:
    """Return the file of an example."""
    return Path(__file__).with_name(f"{name}.yaml")


def example_text(name: str) -> str:
    """Return an example as its file has it. Raises UsageError if there is none of that name."""
    if name not in EXAMPLES:
        raise UsageError(f"{name} is no example: {_hint(name)}")
    return example_path(name).read_text(encoding="utf-8")


def scenario_source(text: str) -> Path:
    """Return the file that a user means by a path or by an example's name. A file of that name comes first.

    Raises UsageError for a bare word that is neither, and for a missing file whose name is like an example's.
    """
    if not text:
        raise UsageError("the name of the scenario is empty: name a file, or an example (servecast example lists them)")
    path = Path(text)
    if path.exists() or path.name != text:
        return path
    if text in EXAMPLES:
        return example_path(text)
    meant = _meant(path)
    if path.suffix and meant not in EXAMPLES:
        return path  # whoever reads it says that it is not there, and what is
    hint = f"did you mean {meant}?" if meant else _hint(text)
    raise UsageError(f"{text} is neither a scenario file nor an example: {hint}")


def _meant(path: Path) -> str | None:
    """Return the file of the working directory, else the example, that was probably meant by a name."""
    from difflib import get_close_matches

    from sim.scenario.missing import close_file

    file = close_file(path if path.suffix else path.with_name(f"{path.name}.yaml"), _ENDINGS)
    close = [] if file else get_close_matches(path.stem, EXAMPLES, n=1, cutoff=0.7)
    return file or (close[0] if close else None)


def _hint(name: str) -> str:
    """Return the closest name, or all of them."""
    from difflib import get_close_matches

    close = get_close_matches(name, EXAMPLES, n=1)
    return f"did you mean {close[0]}?" if close else f"examples are {', '.join(EXAMPLES)}"

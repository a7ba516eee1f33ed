"""The torch backend: what it asks of a model, in which sizes, and what it says of a model that is none."""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from reference_server import backends
from reference_server.backends import BadInput, Batch
from reference_server.backends.torch_backend import TorchBackend, torch_settings
from reference_server.errors import CouldNotServe
from reference_server.models import CannotMakeModel

torch = pytest.importorskip("torch")

from tests.reference_server.backends.tiny_models import DOUBLER, PAIR, Doubler  # noqa: E402  # they need torch
from tests.reference_server.live import MS, run, running, server_settings  # noqa: E402

HERE = DOUBLER.partition(":")[0]


@pytest.fixture(autouse=True)
def no_shared_models(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each test make its own models, and leave PyTorch its threads."""
    monkeypatch.setattr("reference_server.backends.torch_backend._MODELS", {})
    monkeypatch.setattr(torch, "set_num_threads", lambda count: None)


def backend(factory: str = DOUBLER, **changes: Any) -> TorchBackend:
    """Return a backend on the CPU whose settings have gone through JSON, as they do to its process."""
    settings = torch_settings(**{"factory": factory, "max_batch": 4, "device": "cpu", **changes})
    made = backends.create("torch", json.loads(json.dumps(settings)))
    assert isinstance(made, TorchBackend)
    return made


def loaded(factory: str = DOUBLER, **changes: Any) -> TorchBackend:
    """Return a backend that is loaded."""
    made = backend(factory, **changes)
    made.load()
    return made


def batch_of(*texts: bytes) -> Batch:
    """Return a batch of these inputs."""
    return Batch(((0, 0),) * len(texts), 1, (1,) * len(texts), texts)


def sizes_of(made: TorchBackend) -> list[int]:
    """Return the sizes that the model's passes have had."""
    model = made._model
    assert isinstance(model, Doubler)
    return model.sizes


def test_members_are_answered_in_their_order() -> None:
    """Each gets its own result, as JSON; the options of the scenario are the factory's arguments."""
    assert loaded(options={"factor": 3}).run_pass(batch_of(b"1", b"2.5", b"-4")) == [b"3.0", b"7.5", b"-12.0"]


def test_model_may_return_several_tensors() -> None:
    """A mapping goes to finish as it is."""
    assert loaded(PAIR).run_pass(batch_of(b"3")) == [b"[6.0,9.0]"]


def test_batch_is_padded_to_the_next_allowed_size() -> None:
    """Two members run as four, and five as they are, since nothing allowed holds them: policy.pass_time.pad says so."""
    made = loaded(padded_sizes=(1, 4), max_batch=5)
    assert made.run_pass(batch_of(b"1", b"2")) == [b"2.0", b"4.0"]
    made.run_pass(batch_of(b"1"))
    made.run_pass(batch_of(*[b"1"] * 5))
    assert sizes_of(made) == [4, 1, 5]


@pytest.mark.parametrize(
    ("padded", "max_batch", "sizes"),
    [((), 3, {1, 2, 3}), ((2, 4), 4, {2, 4}), ((2,), 3, {2, 3}), ((), 256, {1, 9, 249, 256})],
)
def test_every_size_that_a_pass_can_have_is_warmed_up(padded: Sequence[int], max_batch: int, sizes: set[int]) -> None:
    """Where there are more than 32, equally many lie between those that are."""
    made = loaded(padded_sizes=padded, max_batch=max_batch)
    made.warm_up()
    warmed = set(sizes_of(made))
    assert warmed >= sizes
    assert len(warmed) <= 33
    assert max(warmed) == max(sizes)


def test_bad_input_fails_alone() -> None:
    """Its batch mates are answered, in a pass without it; the client gets the model's sentence."""
    made = loaded()
    first, second, third = made.run_pass(batch_of(b"1", b'"x"', b"3"))
    assert (first, third) == (b"2.0", b"6.0")
    assert isinstance(second, BadInput)
    assert str(second) == "The input must be a number. Got 'x'."
    assert sizes_of(made) == [2]


def test_batch_of_bad_inputs_runs_no_pass() -> None:
    """There is nothing to run, and everybody is told why."""
    made = loaded()
    assert [str(output) for output in made.run_pass(batch_of(b"[]", b"null"))] == [
        "The input must be a number. Got [].",
        "The input must be a number. Got None.",
    ]
    assert sizes_of(made) == []


def test_instances_of_one_process_share_the_weights() -> None:
    """Two instances with equal settings have one model; another option makes another one."""
    first, second, other = loaded(), loaded(), loaded(options={"factor": 3})
    assert first._model is second._model
    assert first._model is not other._model


def test_cpu_has_no_clock_of_its_own() -> None:
    """Nothing is told as the device's time where no device keeps one."""
    made = loaded()
    made.run_pass(batch_of(b"1"))
    assert made.last_device_ns is None


@pytest.mark.parametrize(
    ("device", "there", "shared"),
    [("cpu", True, False), ("cuda", True, True), ("cuda:1", True, True), ("auto", True, True), ("auto", False, False)],
)
def test_instances_share_a_process_on_a_cuda_device_only(
    device: str, there: bool, shared: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is known before anything is loaded; auto takes the device that is there. Elsewhere each keeps a core busy."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: there)
    made = backend(device=device)
    assert (backends.shares_process(made), backends.computes_on_cpu(made)) == (shared, not shared)


def test_settings_import_no_torch() -> None:
    """The server's process makes them, and PyTorch stays out of it."""
    code = (
        "import sys; from reference_server import backends; "
        "from reference_server.backends.torch_backend import torch_settings; "
        "backends.create('torch', torch_settings(factory='a:b', max_batch=1)); "
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


@pytest.mark.parametrize("shared", [False, True])
def test_instances_answer_side_by_side(shared: bool) -> None:
    """Two instances, in a process each or as threads of one with one model: each answer is right, and both work."""

    async def test() -> None:
        settings = server_settings(
            max_batch=2,
            instances=2,
            backend=f"{HERE}:SharingBackend" if shared else "torch",
            backend_settings=torch_settings(factory=DOUBLER, max_batch=2, device="cpu"),
        )
        async with running(settings) as (server, client):
            assert len(set(server.dispatch.pids)) == (1 if shared else 2)
            replies = await asyncio.gather(*(client.predict(number) for number in range(60)))
            assert [reply.json["output"] for reply in replies] == [2.0 * number for number in range(60)]
            assert {each.instance for each in await client.passes()} == {0, 1}

    run(test())


def test_bad_input_is_422_over_http_and_its_batch_mate_is_answered() -> None:
    """All the way through: both are in one batch, one is told why, the other gets its result."""

    async def test() -> None:
        settings = server_settings(
            max_batch=2,
            max_wait_ns=10_000 * MS,
            backend="torch",
            backend_settings=torch_settings(factory=DOUBLER, max_batch=2, device="cpu"),
        )
        async with running(settings) as (_, client):
            good, bad = await asyncio.gather(client.predict(4), client.predict("four"))
            assert (good.status, good.json["output"], good.json["batch_size"]) == (200, 8.0, 2)
            assert (bad.status, bad.error) == (422, "The input must be a number. Got 'four'.")

    run(test())


@pytest.mark.parametrize(
    ("factory", "changes", "error", "sentence"),
    [
        ("no_such_module:x", {}, CouldNotServe, "The module no_such_module of model.serve_with cannot be imported"),
        (f"{HERE}:Nobody", {}, CouldNotServe, "has no function or class Nobody to make a model."),
        (f"{HERE}:not_a_model", {}, CouldNotServe, "Its int lacks prepare."),
        (f"{HERE}:broken", {}, CouldNotServe, "could not make its model: KeyError: 'vocabulary'."),
        (f"{HERE}:without_weights", {}, CannotMakeModel, "The weights of this model are not installed."),
        (DOUBLER, {"options": {"colour": 1}}, CouldNotServe, "unexpected keyword argument 'colour'."),
    ],
)
def test_what_is_no_model_is_one_sentence(
    factory: str, changes: dict[str, Any], error: type[Exception], sentence: str
) -> None:
    """Each says what to look at."""
    with pytest.raises(error) as caught:
        backend(factory, **changes).load()
    assert sentence in str(caught.value)
    assert str(caught.value).count("\n") == 0
    assert str(caught.value).endswith(".")


@pytest.mark.parametrize("device", ["auto", "cuda", "cuda:1"])
def test_cuda_device_is_named_with_its_number(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """torch.cuda.set_device refuses one without: no model could be loaded on a GPU."""
    from reference_server.backends.torch_backend import _device_of

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert torch.device(_device_of(torch, device)).index == (1 if device == "cuda:1" else 0)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_cuda_without_a_device_is_one_sentence() -> None:
    """Asked for by name, it is not replaced by the CPU in silence."""
    with pytest.raises(CouldNotServe, match=r"model\.device is cuda:0, and PyTorch finds no CUDA device here\."):
        backend(device="cuda:0").load()


def test_model_that_does_not_take_its_own_sample_is_not_served() -> None:
    """The warm-up would else have warmed nothing up."""
    with pytest.raises(CouldNotServe, match="does not take its own sample: The input must be a number"):
        loaded(f"{HERE}:Picky").warm_up()


def test_lost_result_fails_the_pass() -> None:
    """No member is given the result of another."""
    with pytest.raises(ValueError, match="returned 1 results for 2 members"):
        loaded(f"{HERE}:Forgetful").run_pass(batch_of(b"1", b"2"))


def test_result_that_json_cannot_hold_fails_the_pass() -> None:
    """NaN is not JSON, and clients would stumble over it."""
    with pytest.raises(ValueError, match="JSON compliant"):
        loaded(f"{HERE}:NotANumber").run_pass(batch_of(b"1"))


class _Event:
    """A device's event that counts up by a millisecond."""

    clock_ms = 0.0

    def __init__(self, enable_timing: bool) -> None:
        self.at_ms = 0.0

    def record(self, stream: object) -> None:
        _Event.clock_ms += 1.0
        self.at_ms = _Event.clock_ms

    def synchronize(self) -> None:
        pass

    def elapsed_time(self, end: _Event) -> float:
        return end.at_ms - self.at_ms


@contextlib.contextmanager
def _stream(stream: object) -> Iterator[None]:
    yield


def _empty(shape: Sequence[int], dtype: Any, pin_memory: bool) -> Any:
    assert pin_memory
    return torch.empty(shape, dtype=dtype)


FAKE_TORCH: Any = SimpleNamespace(
    cuda=SimpleNamespace(Stream=object, Event=_Event, stream=_stream),
    empty=_empty,
)
"""As much of PyTorch as a lane uses, without a device: the bookkeeping runs here, the device's part does not."""


def test_lane_pads_in_its_buffers_and_tells_the_devices_time() -> None:
    """The last member's row fills up the pass; results are copied out; the time is that between the two events."""
    from reference_server.backends.torch_backend import _CudaLane

    lane = _CudaLane(FAKE_TORCH, "cpu")
    for factory in (DOUBLER, PAIR):
        model = loaded(factory)._model
        with torch.inference_mode():
            outputs, device_ns = lane.run(model, model.prepare([1, 2]), 4)
            assert device_ns == 1_000_000
            rows = outputs["twice"] if isinstance(outputs, dict) else outputs
            assert rows.flatten().tolist() == [2.0, 4.0, 4.0, 4.0]
            assert model.finish(outputs, 2)[0] in (2.0, (2.0, 1.0))


def test_lane_uses_a_buffer_again_and_replaces_one_of_another_shape() -> None:
    """One pinned buffer for each tensor and size of pass: pinning costs more than a pass."""
    from reference_server.backends.torch_backend import _CudaLane

    lane = _CudaLane(FAKE_TORCH, "cpu")
    first = lane._filled("x", torch.ones(1, 3), 2)
    assert lane._filled("x", torch.zeros(2, 3), 2) is first
    assert first.tolist() == [[0.0] * 3] * 2
    assert lane._filled("x", torch.ones(2, 5), 2).shape == (2, 5)
    assert len(lane._pinned) == 1

"""A PyTorch model as a backend, on a CPU or on a CUDA device; reference_server/models says what a model is.

PyTorch is imported when a backend is asked or loaded, so only ever in a replica process. On a CPU a process computes
with one thread: several wait for each other whenever something else wants a core. On a CUDA device the instances of a
replica are threads of one process that share the weights, each with a stream and pinned buffers of its own, and a pass
is timed by the device's events.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from reference_server.backends import BadInput, Batch, Output
from reference_server.errors import CouldNotServe
from reference_server.models import CannotMakeModel, TorchModel

if TYPE_CHECKING:
    from types import ModuleType

    from torch import Tensor

__all__ = ["TorchBackend", "torch_settings"]

_WARM_UP_PASSES = 3  # of each size: a first one allocates, a second one may choose other kernels
_WARM_UP_SIZES_MAX = 32
_METHODS = ("prepare", "forward", "finish", "sample")

_MODELS: dict[str, TorchModel] = {}
"""The models of this process, by what they were made of: instances that share a process share the weights."""

_encode = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


def torch_settings(
    *,
    factory: str,
    max_batch: int,
    padded_sizes: Sequence[int] = (),
    device: str = "auto",
    options: Mapping[str, object] | None = None,
) -> dict[str, object]:
    """Return what TorchBackend is made of, in a form that JSON carries to its process.

    `factory` is "module:factory", `device` a name of torch.device or "auto", `options` the factory's arguments.
    """
    return {
        "factory": factory,
        "max_batch": max_batch,
        "padded_sizes": list(padded_sizes),
        "device": device,
        "options": dict(options or {}),
    }


class TorchBackend:
    """Runs a model's passes. `last_device_ns` is set on a CUDA device only: a CPU has no clock of its own."""

    def __init__(
        self, factory: str, max_batch: int, padded_sizes: Sequence[int], device: str, options: Mapping[str, Any]
    ) -> None:
        self._factory = factory
        self._max_batch = max_batch
        self._padded_sizes = sorted(padded_sizes)
        self._device = device
        self._options = dict(options)
        self.last_device_ns: int | None = None

    @property
    def instances_share_process(self) -> bool:
        """Whether the instances are to be threads of one process: on a CUDA device. Raises CouldNotServe."""
        return _is_cuda(_device_of(_import_torch(), self._device))

    @property
    def computes_on_cpu(self) -> bool:
        """Whether passes keep a core busy: not on a CUDA device. Raises CouldNotServe."""
        return not self.instances_share_process

    def load(self) -> None:
        """Make the model, or share the one that this process has. Raises CouldNotServe, CannotMakeModel."""
        self._torch = torch = _import_torch()
        device = _device_of(torch, self._device)
        self._on_cuda = _is_cuda(device)
        if self._on_cuda:
            torch.cuda.set_device(device)
            self._cuda = _CudaLane(torch, device)
        else:
            torch.set_num_threads(1)
        key = json.dumps([self._factory, device, self._options], sort_keys=True)
        if key not in _MODELS:
            with torch.inference_mode():
                _MODELS[key] = _made(self._factory, device, self._options)
            if self._on_cuda:
                torch.cuda.synchronize()  # the weights are there before another stream reads them
        self._model = _MODELS[key]

    def warm_up(self) -> None:
        """Run every size that passes will have, or 32 of them."""
        sample = _encode(self._model.sample()).encode()
        for size in self._sizes():
            for _ in range(_WARM_UP_PASSES):
                for output in self._run([sample] * size):
                    if isinstance(output, BadInput):
                        raise CouldNotServe(f"The model does not take its own sample: {output}")

    def run_pass(self, batch: Batch) -> list[Output]:
        """Return each member's output; one whose input the model does not take fails alone."""
        return self._run(batch.inputs)

    def _run(self, texts: Sequence[bytes]) -> list[Output]:
        self.last_device_ns = None
        values = [json.loads(text) for text in texts]
        refused: dict[int, BadInput] = {}
        tensors = _prepared(self._model, values, refused)
        if tensors is None:
            return [refused[place] for place in range(len(values))]
        members = len(values) - len(refused)
        with self._torch.inference_mode():
            compute = self._cuda_pass if self._on_cuda else self._cpu_pass
            results = self._model.finish(compute(tensors, members), members)
        if len(results) != members:
            raise ValueError(f"The model's finish returned {len(results)} results for {members} members.")
        answers = iter(results)
        return [refused.get(place) or _encode(next(answers)).encode() for place in range(len(values))]

    def _padded(self, members: int) -> int:
        """Return the size of the pass: the smallest allowed one that holds the members, as policy.pass_time pads."""
        return next((size for size in self._padded_sizes if size >= members), members)

    def _sizes(self) -> list[int]:
        """Return the sizes to warm up at."""
        sizes = sorted({self._padded(members) for members in range(1, self._max_batch + 1)})
        step = -(-len(sizes) // _WARM_UP_SIZES_MAX)
        return sorted({*sizes[::step], sizes[-1]})

    def _cpu_pass(self, tensors: dict[str, Tensor], members: int) -> Tensor | dict[str, Tensor]:
        rows = self._padded(members) - members
        if rows:
            # Copies of the last member, not zeros: a row that is all padding may give NaN, and slow arithmetic.
            tensors = {
                name: self._torch.cat([each, each[-1:].expand(rows, *each.shape[1:])]) for name, each in tensors.items()
            }
        return self._model.forward(**tensors)

    def _cuda_pass(self, tensors: dict[str, Tensor], members: int) -> Tensor | dict[str, Tensor]:
        outputs, self.last_device_ns = self._cuda.run(self._model, tensors, self._padded(members))
        return outputs


class _CudaLane:
    """One instance on a CUDA device: its stream, its pinned buffers, its events. Used by one thread."""

    def __init__(self, torch: ModuleType, device: str) -> None:
        self._torch = torch
        self._device = device
        self._stream = torch.cuda.Stream()
        self._began = torch.cuda.Event(enable_timing=True)
        self._ended = torch.cuda.Event(enable_timing=True)
        self._pinned: dict[tuple[object, ...], Tensor] = {}

    def run(self, model: TorchModel, tensors: dict[str, Tensor], padded: int) -> tuple[Tensor | dict[str, Tensor], int]:
        """Return the outputs in CPU memory, and the device's time from the first copy in to the last one out, in ns."""
        ready = {name: self._filled(name, each, padded) for name, each in tensors.items()}
        with self._torch.cuda.stream(self._stream):
            self._began.record(self._stream)
            moved = {name: each.to(self._device, non_blocking=True) for name, each in ready.items()}
            outputs = model.forward(**moved)
            several = outputs if isinstance(outputs, dict) else {"": outputs}
            host = {name: self._copied_back(name, each) for name, each in several.items()}
            self._ended.record(self._stream)
        # Waiting yields the GIL, and no other stream is waited for.
        self._ended.synchronize()
        device_ns = round(self._began.elapsed_time(self._ended) * 1e6)
        return (host if isinstance(outputs, dict) else host[""]), device_ns

    def _filled(self, name: str, tensor: Tensor, padded: int) -> Tensor:
        """Return a pinned buffer with the rows of the tensor and copies of the last one behind."""
        buffer = self._buffer("in", name, (padded, *tensor.shape[1:]), tensor.dtype)
        buffer[: len(tensor)].copy_(tensor)
        buffer[len(tensor) :] = tensor[-1]
        return buffer

    def _copied_back(self, name: str, tensor: Tensor) -> Tensor:
        """Return a pinned buffer into which the tensor is being copied; it is read before the next pass begins."""
        buffer = self._buffer("out", name, tuple(tensor.shape), tensor.dtype)
        return buffer.copy_(tensor, non_blocking=True)

    def _buffer(self, way: str, name: str, shape: tuple[int, ...], dtype: object) -> Tensor:
        """Return the buffer of that shape; one shape each is kept for a size of pass."""
        key = (way, name, shape[0] if shape else 0)
        buffer = self._pinned.get(key)
        if buffer is None or tuple(buffer.shape) != shape or buffer.dtype != dtype:
            buffer = self._torch.empty(shape, dtype=dtype, pin_memory=True)
            self._pinned[key] = buffer
        return buffer


def _prepared(model: TorchModel, values: Sequence[object], refused: dict[int, BadInput]) -> dict[str, Tensor] | None:
    """Return the tensors of the members that the model takes, None if it takes none; the others are noted by place."""
    try:
        return model.prepare(list(values))
    except BadInput:
        pass  # which of them? asked one by one
    for place, value in enumerate(values):
        try:
            model.prepare([value])
        except BadInput as problem:
            refused[place] = problem
    taken = [value for place, value in enumerate(values) if place not in refused]
    return model.prepare(taken) if taken else None


def _import_torch() -> ModuleType:
    try:
        return importlib.import_module("torch")
    except ModuleNotFoundError:
        raise CouldNotServe("Serving a model needs PyTorch: pip install 'servecast[torch]'.") from None


def _device_of(torch: ModuleType, wanted: str) -> str:
    """Return the device that is meant. Raises CouldNotServe for a GPU that is not there."""
    there: bool = torch.cuda.is_available()
    if wanted == "auto":
        wanted = "cuda" if there else "cpu"
    if _is_cuda(wanted) and not there:
        raise CouldNotServe(f"model.device is {wanted}, and PyTorch finds no CUDA device here.")
    return "cuda:0" if wanted == "cuda" else wanted  # PyTorch sets no device without a number


def _is_cuda(device: str) -> bool:
    return device.startswith("cuda")


def _made(path: str, device: str, options: Mapping[str, Any]) -> TorchModel:
    """Return the factory's model. Raises CouldNotServe in one sentence, CannotMakeModel as the factory does."""
    factory = _factory(path)
    try:
        model = factory(device, **options)
    except CannotMakeModel:
        raise
    except Exception as problem:
        what = f"{type(problem).__name__}: {problem}".removesuffix(".")
        raise CouldNotServe(f"The factory {path} could not make its model: {what}.") from problem
    lacking = [name for name in _METHODS if not callable(getattr(model, name, None))]
    if lacking:
        kind = type(model).__name__
        raise CouldNotServe(
            f"The factory {path} must return a model with {', '.join(_METHODS)}. Its {kind} lacks {lacking[0]}."
        )
    return cast(TorchModel, model)


def _factory(path: str) -> Callable[..., object]:
    """Return what "module:factory" names. Raises CouldNotServe."""
    module_name, _, name = path.partition(":")
    try:
        module = importlib.import_module(module_name)
    except ImportError as problem:
        what = str(problem).removesuffix(".")
        raise CouldNotServe(f"The module {module_name} of model.serve_with cannot be imported: {what}.") from problem
    factory = getattr(module, name, None)
    if not callable(factory):
        raise CouldNotServe(f"The module {module_name} has no function or class {name} to make a model.")
    return cast(Callable[..., object], factory)

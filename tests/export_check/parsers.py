"""Reads exports with the parsers of the systems they are for. It runs in an environment of its own, without servecast.

Called as `parsers.py FOLDER [CRDS]`: FOLDER holds a folder for each sample, with what was exported and, in
expected.json, what has to be found there. CRDS is a folder with CustomResourceDefinitions (*.yaml) of KEDA, Knative and
Argo Rollouts, the last of which no Python package has. It prints a line for each file; exit code 1 if one is not as
expected.
"""

from __future__ import annotations

import hashlib
import json
import sys
import warnings
import zipfile
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml

KUBERNETES = ("1.30", "1.35", "1.37")
"""Releases whose schemas are asked, from the first one to the last; `tolerance` came between."""


def documents_of(text: str) -> list[Any]:
    """Return the documents of a YAML file."""
    return list(yaml.safe_load_all(text))


def on_kubernetes(text: str, crds: Mapping[str, Any]) -> tuple[Any, str]:
    """Return the objects of a manifest, each held against its schema, and who looked at it."""
    import kubernetes_validate

    seen = []
    for document in documents_of(text):
        kind, group = document["kind"], document["apiVersion"].partition("/")[0]
        if kind in crds:
            crds[kind].validate(document)
            seen.append(f"CRD {kind}")
        elif group in ("v1", "apps", "autoscaling"):
            for release in KUBERNETES[1:] if "tolerance" in json.dumps(document) else KUBERNETES:
                kubernetes_validate.validate(document, release, strict=True)
            seen.append(f"kubernetes-validate {kind}")
        if kind in ("ScaledObject", "Service") and "." in group:
            seen.append(by_model(kind, document))
        seen += by_prometheus(document)
    return documents_of(text), ", ".join(dict.fromkeys(seen))


def by_model(kind: str, document: Any) -> str:
    """Hold an object of KEDA or Knative against the model of a package, and return which."""
    if kind == "ScaledObject":
        from cloudcoil.models.keda.v1alpha1 import ScaledObject as Model

        package = "cloudcoil-models-keda"
    else:
        from cloudcoil.models.knative_serving.serving.v1 import Service as Model

        package = "cloudcoil-models-knative-serving"
    Model.model_validate(document)
    return f"{package} {kind}"


def by_prometheus(document: Any) -> list[str]:
    """Parse each query of Prometheus in a document, and return who did."""
    import promql_parser

    found = [value for key, value in leaves(document) if key.endswith("query")]
    for query in found:
        promql_parser.parse(query)
    return ["promql-parser"] if found else []


def leaves(value: Any, key: str = "") -> list[tuple[str, Any]]:
    """Return each text of a document with the key that it has."""
    if isinstance(value, Mapping):
        return [leaf for name, inner in value.items() for leaf in leaves(inner, name)]
    if isinstance(value, list):
        return [leaf for inner in value for leaf in leaves(inner, key)]
    return [(key, value)]


def of_ray_serve(text: str, crds: Mapping[str, Any]) -> tuple[Any, str]:
    """Return a config as Ray Serve reads it, autoscaling_config included."""
    from ray.serve.config import AutoscalingConfig
    from ray.serve.schema import ServeDeploySchema

    with warnings.catch_warnings():
        warnings.simplefilter("error", FutureWarning)
        read = ServeDeploySchema.model_validate(documents_of(text)[0]).model_dump(exclude_unset=True)
        for application in read["applications"]:
            for deployment in application["deployments"]:
                if "autoscaling_config" in deployment:
                    config = deployment["autoscaling_config"]
                    deployment["autoscaling_config"] = AutoscalingConfig.model_validate(config).model_dump()
    return [read], "ray.serve.schema.ServeDeploySchema, AutoscalingConfig"


def of_triton(text: str, crds: Mapping[str, Any]) -> tuple[Any, str]:
    """Return a config.pbtxt as Triton's own message has it."""
    from google.protobuf import text_format
    from tritonclient.grpc.model_config_pb2 import ModelConfig

    return as_plain(text_format.Parse(text, ModelConfig())), "tritonclient ModelConfig"


def of_tf_serving(text: str, crds: Mapping[str, Any]) -> tuple[Any, str]:
    """Return batching parameters as a message with the fields of session_bundle_config.proto, which no package has."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format, wrappers_pb2

    field = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(
        name="batching.proto", package="tensorflow.serving", syntax="proto3", dependency=[wrappers_pb2.DESCRIPTOR.name]
    )
    message = file.message_type.add(name="BatchingParameters")
    wrapped = ("max_batch_size", "batch_timeout_micros", "max_enqueued_batches", "num_batch_threads")
    for number, name in enumerate(wrapped, start=1):
        wrapper = ".google.protobuf.Int64Value"
        message.field.add(name=name, number=number, label=1, type=field.TYPE_MESSAGE, type_name=wrapper)
    message.field.add(name="allowed_batch_sizes", number=6, label=3, type=field.TYPE_INT64)
    message.field.add(name="pad_variable_length_inputs", number=7, label=1, type=field.TYPE_BOOL)
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(wrappers_pb2.DESCRIPTOR.serialized_pb)
    pool.Add(file)
    made = message_factory.GetMessageClass(pool.FindMessageTypeByName("tensorflow.serving.BatchingParameters"))
    return as_plain(text_format.Parse(text, made())), "protobuf text format, fields of session_bundle_config.proto"


def as_plain(message: Any) -> dict[str, Any]:
    """Return a message as Python's own values, enums by their names, with the fields that are not set."""
    plain: dict[str, Any] = {}
    for field in message.DESCRIPTOR.fields:
        value = getattr(message, field.name)
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            continue
        if field.is_repeated:
            plain[field.name] = [one if field.message_type is None else as_plain(one) for one in value]
        elif field.enum_type is not None:
            plain[field.name] = field.enum_type.values_by_number[value].name
        elif field.message_type is None:
            plain[field.name] = value
        elif message.HasField(field.name):
            plain[field.name] = as_plain(value)
    return plain


def of_torchserve(name: str) -> Callable[[str, Mapping[str, Any]], tuple[Any, str]]:
    """Return what reads one of TorchServe's two files, whose names its Java classes have to know."""
    kind = "ModelConfig" if name.endswith(".yaml") else "ConfigManager"

    def read(text: str, crds: Mapping[str, Any]) -> tuple[Any, str]:
        if kind == "ModelConfig":
            found = yaml.safe_load(text)
        else:
            lines = [line for line in text.splitlines() if line and not line.startswith("#")]
            found = dict(line.split("=", 1) for line in lines)
        known = class_text(kind)
        assert [key for key in found if key.encode() not in known] == []
        return found, f"names in {kind}.class of the torchserve wheel"

    return read


def class_text(kind: str) -> bytes:
    """Return the bytes of a class of TorchServe's front end, in which the names that it reads stand as they are."""
    (wheel,) = Path(sys.argv[1]).parent.glob("torchserve-*.whl")
    with (
        zipfile.ZipFile(wheel) as package,
        package.open("ts/frontend/model-server.jar") as jar,
        zipfile.ZipFile(jar) as classes,
    ):
        (name,) = [one for one in classes.namelist() if one.endswith(f"/{kind}.class")]
        return classes.read(name)


READERS: dict[str, Callable[[str, Mapping[str, Any]], tuple[Any, str]]] = {
    **dict.fromkeys(("kubernetes.yaml", "keda.yaml", "knative.yaml", "argo-rollouts.yaml"), on_kubernetes),
    **dict.fromkeys(("knative-1-v1.yaml", "knative-2-v2.yaml"), on_kubernetes),
    "serve_config.yaml": of_ray_serve,
    "config.pbtxt": of_triton,
    "batching_parameters.txt": of_tf_serving,
    "model-config.yaml": of_torchserve("model-config.yaml"),
    "config.properties": of_torchserve("config.properties"),
}

PACKAGES = (
    *("kubernetes-validate", "cloudcoil-models-keda", "cloudcoil-models-knative-serving", "promql-parser"),
    *("ray", "tritonclient", "protobuf"),
)


def schemas_in(folder: Path | None) -> dict[str, Any]:
    """Return validators of the CustomResourceDefinitions in a folder, strict about unknown keys, by kind."""
    from jsonschema import Draft202012Validator

    found = {}
    for path in sorted(folder.glob("*.yaml")) if folder is not None else ():
        for crd in documents_of(path.read_text(encoding="utf-8")):
            if crd and crd.get("kind") == "CustomResourceDefinition":
                newest = next(one for one in crd["spec"]["versions"] if one["storage"])
                schema = closed(newest["schema"]["openAPIV3Schema"])
                schema["properties"]["metadata"] = {"type": "object"}
                found[crd["spec"]["names"]["kind"]] = Draft202012Validator(schema)
    return found


def closed(schema: Any) -> Any:
    """Return a schema that takes no key which it does not name, as a server refuses them with strict validation."""
    if isinstance(schema, list):
        return [closed(one) for one in schema]
    if not isinstance(schema, Mapping):
        return schema
    if schema.get("x-kubernetes-int-or-string"):
        return {"type": ["integer", "string"]}
    inner = {key: closed(value) for key, value in schema.items()}
    if "properties" in schema and not schema.get("x-kubernetes-preserve-unknown-fields"):
        inner.setdefault("additionalProperties", False)
    return inner


def digest(path: Path) -> str:
    """Return the beginning of the SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12]


def at(value: Any, path: str) -> Any:
    """Return what stands at a path; a key may hold dots, so the longest that is there counts."""
    if not path:
        return value
    steps = path.split(".")
    for length in range(len(steps), 0, -1):
        key, rest = ".".join(steps[:length]), ".".join(steps[length:])
        if isinstance(value, Mapping) and key in value:
            return at(value[key], rest)
        if isinstance(value, Sequence) and key.isdigit():
            return at(value[int(key)], rest)
    raise KeyError(path)


def main() -> int:
    """Read every sample and print what came of it."""
    folder, crds = Path(sys.argv[1]), schemas_in(Path(sys.argv[2]) if len(sys.argv) > 2 else None)
    print(", ".join(f"{package} {version(package)}" for package in PACKAGES))
    if len(sys.argv) > 2:
        found = [f"{path.name} {digest(path)}" for path in sorted(Path(sys.argv[2]).glob("*.yaml"))]
        print(f"CRDs, with the begin of their SHA-256: {', '.join(found)}")
    missed = 0
    for sample in sorted(folder.iterdir()):
        told = json.loads((sample / "expected.json").read_text(encoding="utf-8"))
        for name, expected in told["expected"].items():
            read, parser = READERS[name]((sample / name).read_text(encoding="utf-8"), crds)
            wrong = {path: at(read, path) for path, value in expected.items() if at(read, path) != value}
            missed += len(wrong)
            verdict = f"{len(expected)} values as expected" if not wrong else f"NOT AS EXPECTED: {wrong}"
            print(f"{told['to']:<14} {told['what']:<55} {name:<24} {verdict}; by {parser}")
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())

"""Requests to an export: examples with their answers for `signature.json`, and those of the warm-up."""

import math

from plumkeras.data_pipelines.transforms.tokenizing import make_tokenizer
from plumkeras.features import TOKEN_IDS, input_name

_WARMUP_BATCHES, _WARMUP_FRAMES = (1, 8, 32), (8, 256)
_TEXT = "It was great, and the cast was good."


def described_signatures(version, name, loaded, notes):
    """What `signature.json` holds; the answers in it are those of the SavedModel.

    Args:
        version: path of the SavedModel.
        name: str. Name of the served model.
        loaded: `Run` that was exported.
        notes: list of str.
    """
    import tensorflow as tf

    from plumkeras.export import FROM_TEXT

    model = tf.saved_model.load(str(version))
    shapes = {
        key: {"inputs": _specs(found.structured_input_signature[1]), "outputs": _specs(found.structured_outputs)}
        for key, found in model.signatures.items()
    }
    described = {
        "model": name,
        "signatures": shapes,
        "notes": notes,
        **_example_request(model, name, "serving_default", shapes, _example(loaded)),
    }
    if FROM_TEXT in shapes:
        described[FROM_TEXT] = _example_request(model, name, FROM_TEXT, shapes, _example(loaded, from_text=True))
    return described


def _specs(structure):
    return {key: {"dtype": spec.dtype.name, "shape": spec.shape.as_list()} for key, spec in sorted(structure.items())}


def _example_request(model, name, signature, shapes, example):
    """A request of one sample by REST, in row and in column format, and by gRPC, and the answer."""
    import tensorflow as tf
    from google.protobuf.json_format import MessageToDict

    inputs = shapes[signature]["inputs"]
    tensors = {key: tf.constant(value, inputs[key]["dtype"]) for key, value in example.items()}
    answer = {key: _numbers(value.numpy()[0]) for key, value in model.signatures[signature](**tensors).items()}
    protos = {key: tf.make_tensor_proto(value, inputs[key]["dtype"]) for key, value in example.items()}
    for proto in protos.values():
        if proto.dtype == tf.string.as_datatype_enum:
            continue
        # Numbers that can be read in place of their bytes.
        values, floating = tf.make_ndarray(proto).ravel().tolist(), proto.dtype == tf.float32.as_datatype_enum
        for field in ("tensor_content", "float_val", "int_val"):
            proto.ClearField(field)
        (proto.float_val if floating else proto.int_val).extend(values)
    # A server names the outputs where there are several.
    row, column = answer, {key: [value] for key, value in answer.items()}
    if len(answer) == 1:
        (row,), (column,) = answer.values(), column.values()
    instance = {key: value[0] for key, value in example.items()}
    return {
        "rest": {
            "method": "POST",
            "path": f"/v1/models/{name}:predict",
            "row_format": {
                "request": {"signature_name": signature, "instances": [instance]},
                "response": {"predictions": [row]},
            },
            "column_format": {
                "request": {"signature_name": signature, "inputs": example},
                "response": {"outputs": column},
            },
        },
        "grpc": {
            "method": "tensorflow.serving.PredictionService/Predict",
            "request": {
                "model_spec": {"name": name, "signature_name": signature},
                "inputs": {key: MessageToDict(p, preserving_proto_field_name=True) for key, p in protos.items()},
            },
        },
    }


def _numbers(value):
    """A number, or a list of them, with the digits that float32 has."""
    if value.ndim:
        return [_numbers(part) for part in value]
    return float(f"{value:.7g}") if value.dtype.kind == "f" else int(value)


def _example(loaded, from_text=False):
    """One sample of one frame: the mean of the training frames, or zeros where it is not known; and a short text."""
    example = {}
    for m, width in loaded.network.feature_dims.items():
        if width == TOKEN_IDS and from_text:
            example[m] = [_TEXT]
        elif width == TOKEN_IDS:
            tokenizer = make_tokenizer(loaded.network.text_encoder.tokenizer)
            ids, lengths, _ = tokenizer.encode([_TEXT], loaded.config.text.max_tokens, loaded.config.keeps_end)
            example[f"{m}_ids"], example[f"{m}_length"] = ids.tolist(), lengths.tolist()
        else:
            known = loaded.fingerprint and loaded.fingerprint["modalities"][m]["mean"]
            example[m] = [[[float(f"{value:.4g}") for value in known or [0.0] * width]]]
            example[f"{m}_length"] = [1]
    return example


def write_warmup(path, name, signatures, loaded):
    """Writes requests of the usual length in a few batch sizes, for every signature.

    Args:
        path: path of the file.
        name: str. Name of the served model.
        signatures: dict by name of their `inputs`.
        loaded: `Run` that was exported.

    Returns:
        bool. `False` where the extra `serving` is not installed, and nothing was written.
    """
    import tensorflow as tf

    try:
        from tensorflow_serving.apis.prediction_log_pb2 import PredictionLog
    except ImportError:
        return False
    with tf.io.TFRecordWriter(str(path)) as writer:
        for signature, described in signatures.items():
            for batch in _WARMUP_BATCHES:
                log = PredictionLog()
                request = log.predict_log.request
                request.model_spec.name, request.model_spec.signature_name = name, signature
                for m, width in loaded.network.feature_dims.items():
                    for key, proto in _warmup_inputs(m, width, batch, _usual_frames(loaded, m), described["inputs"]):
                        request.inputs[key].CopyFrom(proto)
                writer.write(log.SerializeToString())
    return True


def _warmup_inputs(modality, width, batch, frames, inputs):
    """Names and tensors of the inputs of a modality."""
    import tensorflow as tf
    from tensorflow.core.framework import tensor_pb2

    called = input_name(modality, width)
    if called not in inputs:
        return [(modality, tf.make_tensor_proto([" ".join(["a"] * frames)] * batch, tf.string))]
    ids = width == TOKEN_IDS
    proto = tensor_pb2.TensorProto(
        dtype=(tf.int32 if ids else tf.float32).as_datatype_enum,
        tensor_shape=tf.TensorShape((batch, frames) if ids else (batch, frames, width)).as_proto(),
    )
    # One value stands for all.
    (proto.int_val if ids else proto.float_val).append(0)
    return [(called, proto), (f"{modality}_length", tf.make_tensor_proto([frames] * batch, tf.int32))]


def _usual_frames(loaded, modality):
    if loaded.network.feature_dims[modality] == TOKEN_IDS:
        return min(loaded.config.text.max_tokens, _WARMUP_FRAMES[1])
    if loaded.fingerprint is None:
        return _WARMUP_FRAMES[0]
    return min(math.ceil(loaded.fingerprint["modalities"][modality]["mean_length"]), _WARMUP_FRAMES[1])

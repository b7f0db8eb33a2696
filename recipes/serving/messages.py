"""The few messages of TensorFlow Serving that an export needs: what a client sends, and the log that warms a model up.

The package that has them, tensorflow-serving-api, brings the full TensorFlow; their bytes are the same from here. They
are in a pool of their own, so that both can be imported in one process.
"""

import functools

_PACKAGE = "tensorflow.serving"
# By message: field number, name, message type (None: text).
_MESSAGES = {
    "ModelSpec": [(1, "name", None), (3, "signature_name", None)],
    "PredictRequest": [(1, "model_spec", f".{_PACKAGE}.ModelSpec"), (2, "inputs", "map of .tensorflow.TensorProto")],
    "PredictLog": [(1, "request", f".{_PACKAGE}.PredictRequest")],
    "PredictionLog": [(6, "predict_log", f".{_PACKAGE}.PredictLog")],
}


@functools.cache
def messages():
    """Dict from name to message class: `ModelSpec`, `PredictRequest`, `PredictLog`, `PredictionLog`."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
    from tensorflow.core.framework import tensor_pb2

    pool = descriptor_pool.DescriptorPool()
    _add_with_dependencies(pool, tensor_pb2.DESCRIPTOR, set())
    file = descriptor_pb2.FileDescriptorProto(
        name="plumkeras/serving.proto", package=_PACKAGE, syntax="proto3", dependency=[tensor_pb2.DESCRIPTOR.name]
    )
    for message, fields in _MESSAGES.items():
        described = file.message_type.add(name=message)
        for number, name, kind in fields:
            _add_field(described, number, name, kind)
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.{name}")) for name in _MESSAGES
    }


def _add_with_dependencies(pool, descriptor, added):
    from google.protobuf import descriptor_pb2

    if descriptor.name in added:
        return
    added.add(descriptor.name)
    for dependency in descriptor.dependencies:
        _add_with_dependencies(pool, dependency, added)
    pool.Add(descriptor_pb2.FileDescriptorProto.FromString(descriptor.serialized_pb))


def _add_field(message, number, name, kind):
    from google.protobuf.descriptor_pb2 import FieldDescriptorProto as Field

    field = message.field.add(name=name, number=number, label=Field.LABEL_OPTIONAL, type=Field.TYPE_STRING)
    if kind is None:
        return
    field.type = Field.TYPE_MESSAGE
    if not kind.startswith("map of "):
        field.type_name = kind
        return
    entry = message.nested_type.add(name=f"{name.capitalize()}Entry")
    entry.options.map_entry = True
    _add_field(entry, 1, "key", None)
    _add_field(entry, 2, "value", kind.removeprefix("map of "))
    field.label, field.type_name = Field.LABEL_REPEATED, f".{_PACKAGE}.{message.name}.{entry.name}"


def predict_request(model, signature, inputs):
    """A `PredictRequest`.

    Args:
        model: str. Name of the served model.
        signature: str.
        inputs: dict from input name to what `tf.make_tensor_proto` made.
    """
    request = messages()["PredictRequest"]()
    request.model_spec.name, request.model_spec.signature_name = model, signature
    for name, tensor in inputs.items():
        # Of another pool, and of the same bytes.
        request.inputs[name].MergeFromString(tensor.SerializeToString())
    return request


def warmup_record(request):
    """The bytes of a record of `tf_serving_warmup_requests`."""
    log = messages()["PredictionLog"]()
    log.predict_log.request.CopyFrom(request)
    return log.SerializeToString()

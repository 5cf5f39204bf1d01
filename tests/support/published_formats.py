"""Write the formats in which VGG is published, each with the format's own library, on a slim network."""

import io
import pickle
import struct
import tarfile
from collections import OrderedDict
from pathlib import Path

import h5py
import numpy as np
import pytest

from handstyle.network.vgg import Weights, convolution_names, random_weights
from weights_tools.readers.reading import indexed_names

SLIM = (4, 5, 6, 7, 7)


def slim(architecture="vgg19", widths=SLIM, seed=5):
    """All convolutions, a few channels wide, biases not zero."""
    weights = random_weights(architecture, widths, seed, deepest=convolution_names(architecture)[-1])
    draw = np.random.default_rng(seed)
    layers = {name: (w, draw.normal(size=b.shape).astype(np.float32)) for name, (w, b) in weights.layers.items()}
    return Weights(architecture, "caffe", layers)


def keras_name(name):
    return f"block{name[4]}_conv{name[6]}"


def to_theano(w):  # (3, 3, C, K), cross-correlation -> (K, C, 3, 3), convolution
    return w[::-1, ::-1].transpose(3, 2, 0, 1)


def oihw(w):
    return np.ascontiguousarray(w.transpose(3, 2, 0, 1))


def write_keras_h5(path, weights, theano=False, inside=False, top=False):
    with h5py.File(path, "w") as file:
        root = file.create_group("model_weights") if inside else file
        names = [keras_name(name) for name in weights.layers]
        root.attrs["layer_names"] = np.array(["input_1", *names, "block5_pool"], "S")
        for name, (w, b) in weights.layers.items():
            group = root.create_group(keras_name(name))
            arrays = [f"{keras_name(name)}_{kind}_1:0" for kind in "Wb"]
            group.attrs["weight_names"] = np.array(arrays, "S")
            group[arrays[0]], group[arrays[1]] = (to_theano(w) if theano else w), b
        for empty in ("input_1", "block5_pool"):
            root.create_group(empty).attrs["weight_names"] = np.array([], "S")
        if top:
            root.attrs["layer_names"] = np.array([*root.attrs["layer_names"], b"flatten", b"fc1", b"predictions"], "S")
            for dense in ("fc1", "predictions"):
                group = root.create_group(dense)
                group.attrs["weight_names"] = np.array([f"{dense}_W_1:0", f"{dense}_b_1:0"], "S")
                group[f"{dense}_W_1:0"], group[f"{dense}_b_1:0"] = np.zeros((9, 7), "f4"), np.zeros(7, "f4")


def write_keras_0(path, weights):
    """layer_N/param_M, as Keras 0 saved a Sequential: paddings and pools count too, dense layers follow."""
    with h5py.File(path, "w") as file:
        index = 0

        def layer(*arrays):
            nonlocal index
            group = file.create_group(f"layer_{index}")
            group.attrs["nb_params"] = len(arrays)
            for i, array in enumerate(arrays):
                group[f"param_{i}"] = array
            index += 1

        for name, (w, b) in weights.layers.items():
            if name[6] == "1" and name != "conv1_1":
                layer()
            layer()
            layer(to_theano(w), b)
        layer(np.zeros((10, 7), np.float32), np.zeros(7, np.float32))
        file.attrs["nb_layers"] = index


def write_keras_3(path, weights):
    """With Keras itself: its own VGG, made narrow; the ending of the path decides between its three formats."""
    keras = pytest.importorskip("keras")

    widths = {name: b.size for name, (_, b) in weights.layers.items()}
    wide = getattr(keras.applications, weights.architecture.upper())(
        weights=None, include_top=False, input_shape=(32, 32, 3)
    )
    config = wide.get_config()
    for layer in config["layers"]:
        layer.pop("build_config", None)  # the widths that were
        name = layer["config"]["name"]
        if layer["class_name"] == "Conv2D":
            layer["config"]["filters"] = widths[name.replace("block", "conv").replace("_conv", "_")]
    model = type(wide).from_config(config)
    for name, (w, b) in weights.layers.items():
        model.get_layer(keras_name(name)).set_weights([w, b])
    if str(path).endswith(".weights.h5"):
        model.save_weights(path)
    else:
        model.save(path)


# What stands beside the convolutions: the classifiers of torchvision 0.29 and of timm 1.0.
CLASSIFIERS = {
    "torchvision": ("classifier.0", "classifier.3", "classifier.6"),
    "timm": ("pre_logits.fc1", "pre_logits.fc2", "head.fc"),
    "gatys": (),
}


def torch_state(weights, keys="torchvision"):
    """A state of torchvision's or timm's keys, or of those of Gatys' vgg_conv.pth."""
    torch = pytest.importorskip("torch")

    positions = {name: i for i, name in indexed_names(weights.architecture).items()}
    state = OrderedDict()
    for name, (w, b) in weights.layers.items():
        key = name if keys == "gatys" else f"features.{positions[name]}"
        state[f"{key}.weight"] = torch.from_numpy(oihw(w))
        state[f"{key}.bias"] = torch.from_numpy(b.copy())
    for key in CLASSIFIERS[keys]:
        state[f"{key}.weight"], state[f"{key}.bias"] = torch.zeros(7, 9), torch.zeros(7)
    return state


def adain_state(weights):
    """The state of pytorch-AdaIN's network, built as its net.py builds it: a layer for colors, reflection paddings."""
    torch = pytest.importorskip("torch")
    from torch import nn

    colors = nn.Conv2d(3, 3, 1)
    colors.weight.data = torch.tensor([[0.0, 0, 255], [0, 255, 0], [255, 0, 0]]).reshape(3, 3, 1, 1)
    colors.bias.data = -torch.tensor([103.939, 116.779, 123.68])
    modules = [colors]
    for name, (w, b) in weights.layers.items():
        if name[6] == "1" and name != "conv1_1":
            modules.append(nn.MaxPool2d(2, 2, ceil_mode=True))
        convolution = nn.Conv2d(w.shape[2], w.shape[3], 3)
        convolution.weight.data, convolution.bias.data = torch.from_numpy(oihw(w)), torch.from_numpy(b.copy())
        modules += [nn.ReflectionPad2d(1), convolution, nn.ReLU()]
    return nn.Sequential(*modules).state_dict()


def write_adain(path, weights):
    pytest.importorskip("torch").save(adain_state(weights), path)


def write_torch(path, weights, **options):
    """With PyTorch itself: zip, or the stream before it."""
    torch = pytest.importorskip("torch")

    zipped = options.pop("zipped", True)
    torch.save(torch_state(weights, **options), path, _use_new_zipfile_serialization=zipped)


class FloatStorage:
    """Pickled under PyTorch's name, as its 0.1 did."""


class FloatTensor:
    pass


for _class in (FloatStorage, FloatTensor):
    _class.__module__ = "torch"


class _TensorPickler(pickle._Pickler):
    """Pickles each array as a persistent id, as torch.save of 0.1 did its tensors; classes by name, unchecked."""

    keys: dict = {}

    def persistent_id(self, value):
        return self.keys.get(id(value))

    def save_global(self, obj, name=None):
        self.write(f"c{obj.__module__}\n{obj.__name__}\n".encode())

    dispatch = {**pickle._Pickler.dispatch, type: save_global}


def _dump(value, file, keys=None):
    pickler = _TensorPickler(file, 2)
    pickler.keys = keys or {}
    pickler.dump(value)


def write_torch_tar(path, weights):
    """The tar archive that torch 0.1 wrote; its layout is that of legacy_load in torch/serialization.py."""
    positions = {name: i for i, name in indexed_names(weights.architecture).items()}
    state, keys, storages, tensors = OrderedDict(), {}, io.BytesIO(), io.BytesIO()
    _dump(2 * len(weights.layers), storages)
    _dump(2 * len(weights.layers), tensors)
    for name, (w, b) in weights.layers.items():
        for kind, array in (("weight", oihw(w)), ("bias", b)):
            key = 1000 + len(keys)
            state[f"features.{positions[name]}.{kind}"] = array
            keys[id(array)] = str(key)  # a pickle of protocol 2 keeps it as the text of a number
            _dump((key + 5000, "cpu", FloatStorage), storages)
            storages.write(struct.pack("<q", array.size) + array.tobytes())
            _dump((key, key + 5000, FloatTensor), tensors)
            strides = [step // 4 for step in array.strides]
            tensors.write(struct.pack("<ii", array.ndim, 0))
            tensors.write(struct.pack(f"<{2 * array.ndim + 1}q", *array.shape, *strides, 0))
    _dump([], storages)
    program = io.BytesIO()
    _dump(state, program, keys)
    with tarfile.open(path, "w:", format=tarfile.PAX_FORMAT) as archive:
        system = io.BytesIO()
        _dump({"protocol_version": 1000, "little_endian": True}, system)
        members = {"sys_info": system, "pickle": program, "tensors": tensors, "storages": storages}
        for member, data in members.items():
            info = tarfile.TarInfo(member)
            info.size = len(data.getvalue())
            archive.addfile(info, io.BytesIO(data.getvalue()))


def write_safetensors(path, weights, keys="torchvision"):
    save_file = pytest.importorskip("safetensors.numpy").save_file

    save_file({key: value.numpy() for key, value in torch_state(weights, keys).items()}, path)


def write_matconvnet(path, weights, old=False, compressed=True):
    """With scipy.io: width before height, colors RGB; `old` is the layout with fields of their own."""
    from scipy.io import savemat

    layers = np.empty((1, 2 * len(weights.layers) + 1), object)
    for i, (name, (w, b)) in enumerate(weights.layers.items()):
        w = w[:, :, ::-1] if name == "conv1_1" else w
        w = w.transpose(1, 0, 2, 3)
        pair = np.empty((1, 2), object)
        pair[0, 0], pair[0, 1] = w, b.reshape(-1, 1)
        arrays = {"filters": w, "biases": b.reshape(1, -1)} if old else {"weights": pair}
        layers[0, 2 * i] = {"name": name, "type": "conv", "pad": np.ones((1, 4)), "stride": 1.0, **arrays}
        layers[0, 2 * i + 1] = {"name": name.replace("conv", "relu"), "type": "relu"}
    fc = np.zeros((7, 7, 7, 8), np.float32)
    arrays = {"filters": fc, "biases": fc[0, 0, 0]} if old else {"weights": np.array([[1, 2]], object)}
    layers[0, -1] = {"name": "fc6", "type": "conv", **arrays}
    mean = {"averageImage": np.ones((4, 4, 3), np.float32), "interpolation": "bilinear"}
    meta = {"normalization": mean, "classes": {"name": np.array([["n01440764", "n01443537"]], object)}}
    variables = {**meta, "layers": layers} if old else {"meta": meta, "layers": layers}
    savemat(path, variables, do_compression=compressed)


def _caffe_messages():
    """caffe.proto's messages, as far as weights go, built at run time with the protobuf library."""
    pytest.importorskip("google.protobuf")
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    file = descriptor_pb2.FileDescriptorProto(name="caffe_test.proto", package="caffe", syntax="proto2")
    f = descriptor_pb2.FieldDescriptorProto

    def message(name, *fields):
        added = file.message_type.add(name=name)
        for number, field, kind, repeated, packed in fields:
            one = added.field.add(name=field, number=number, label=3 if repeated else 1)
            if isinstance(kind, str):
                one.type, one.type_name = f.TYPE_MESSAGE, f".caffe.{kind}"
            else:
                one.type = kind
            if packed:
                one.options.packed = True

    message("BlobShape", (1, "dim", f.TYPE_INT64, True, True))
    message(
        "BlobProto",
        *((i, name, f.TYPE_INT32, False, False) for i, name in enumerate(("num", "channels", "height", "width"), 1)),
        (5, "data", f.TYPE_FLOAT, True, True),
        (7, "shape", "BlobShape", False, False),
        (8, "double_data", f.TYPE_DOUBLE, True, True),
    )
    message("V1LayerParameter", (2, "bottom", f.TYPE_STRING, True, False), (4, "name", f.TYPE_STRING, False, False),
            (5, "type", f.TYPE_INT32, False, False), (6, "blobs", "BlobProto", True, False))  # fmt: skip
    message("LayerParameter", (1, "name", f.TYPE_STRING, False, False), (2, "type", f.TYPE_STRING, False, False),
            (7, "blobs", "BlobProto", True, False))  # fmt: skip
    message("NetParameter", (1, "name", f.TYPE_STRING, False, False), (2, "layers", "V1LayerParameter", True, False),
            (100, "layer", "LayerParameter", True, False))  # fmt: skip
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("caffe.NetParameter"))


def write_caffemodel(path, weights, version=1, double=False):
    net = _caffe_messages()(name="VGG_ILSVRC_19_layers")
    for name, (w, b) in weights.layers.items():
        layer = net.layers.add(name=name) if version == 1 else net.layer.add(name=name)
        layer.type = 4 if version == 1 else "Convolution"
        for array in (oihw(w), b):
            blob = layer.blobs.add()
            if version == 1:
                blob.num, blob.channels, blob.height, blob.width = (1,) * (4 - array.ndim) + array.shape
            else:
                blob.shape.dim.extend(array.shape)
            (blob.double_data if double else blob.data).extend(array.ravel().tolist())
        relu = net.layers.add(name=f"relu{name}") if version == 1 else net.layer.add(name=f"relu{name}")
        relu.type = 18 if version == 1 else "ReLU"
    Path(path).write_bytes(net.SerializeToString())


def write_npz(path, weights):
    """Frossard's: colors RGB."""
    arrays = {}
    for name, (w, b) in weights.layers.items():
        arrays[f"{name}_W"] = w[:, :, ::-1] if name == "conv1_1" else w
        arrays[f"{name}_b"] = b
    with open(path, "wb") as file:
        np.savez(file, **arrays, fc8_W=np.zeros((3, 4)), fc8_b=np.zeros(4))


def write_npy(path, weights, nested=False):
    layers = {name: {"weights": w, "biases": b} if nested else [w, b] for name, (w, b) in weights.layers.items()}
    with open(path, "wb") as file:
        np.save(file, {**layers, "fc6": [np.zeros((3, 4), np.float32), np.zeros(4, np.float32)]}, allow_pickle=True)


def write_onnx(path, weights, raw=True):
    pytest.importorskip("onnx")
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    nodes, initializers, last = [], [], "data"
    for name, (w, b) in weights.layers.items():
        for kind, array in (("weight", oihw(w)), ("bias", b)):
            key = f"vgg0_{name}_{kind}"
            if raw:
                initializers.append(numpy_helper.from_array(array, key))
            else:
                initializers.append(helper.make_tensor(key, TensorProto.FLOAT, array.shape, array.ravel().tolist()))
        inputs = [last, f"vgg0_{name}_weight", f"vgg0_{name}_bias"]
        nodes.append(helper.make_node("Conv", inputs, [name], kernel_shape=[3, 3], pads=[1, 1, 1, 1]))
        nodes.append(helper.make_node("Relu", [name], [last := f"relu_{name}"]))
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes, "vgg", [value("data", TensorProto.FLOAT, [1, 3, 32, 32])],
        [value(last, TensorProto.FLOAT, None)], initializers[::-1],
    )  # fmt: skip
    onnx.save(helper.make_model(graph), path)

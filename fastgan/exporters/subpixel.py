"""Transposed convolutions as convolutions and a shuffle of pixels, which ONNX Runtime can run in 8 bits.

A transposed convolution with kernel 4, stride 2 and padding 1 gives, of each pixel of its input, four of its output
(Shi et al. 2016, arXiv:1609.07009). Along one axis

    y[2i]     = x[i] w[1] + x[i-1] w[3]
    y[2i + 1] = x[i] w[2] + x[i+1] w[0]

so that a convolution of kernel 3 gives both as channels of its own, and DepthToSpace interleaves them: the same sums.
"""

from collections.abc import Container
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, helper, numpy_helper

_TAP = ((3, 1, None), (None, 2, 0))
"""Of an output of even and odd place: which of w meets x[i-1], x[i], x[i+1]."""
_WANTED = {"kernel_shape": [4, 4], "strides": [2, 2], "pads": [1, 1, 1, 1]}
_PLAIN = {"dilations": [1, 1], "group": 1, "output_padding": [0, 0], "auto_pad": b"NOTSET"}


def rewrite(model: ModelProto, kept: Container[str] = ()) -> int:
    """Rewrite every transposed convolution of that form in `model`, in place, but those of the names `kept`.

    Returns how many there were.
    """
    graph = model.graph
    constants = {tensor.name: tensor for tensor in graph.initializer}
    nodes: list[NodeProto] = []
    rewritten = 0
    for node in graph.node:
        if (
            node.op_type != "ConvTranspose"
            or node.name in kept
            or not _fits(node)
            or node.input[1] not in constants
        ):
            nodes.append(node)
            continue
        rewritten += 1
        kernel = numpy_helper.to_array(constants[node.input[1]])  # [in, out, 4, 4]
        arrays = [as_convolution(kernel)]
        if len(node.input) > 2:
            arrays.append(np.repeat(numpy_helper.to_array(constants[node.input[2]]), 4))
        inputs = [node.input[0]]
        for name, array in zip(node.input[1:], arrays, strict=True):
            inputs.append(f"{name}_subpixel")
            graph.initializer.append(numpy_helper.from_array(array, inputs[-1]))
        channels = f"{node.output[0]}_channels"
        nodes += [
            helper.make_node("Conv", inputs, [channels], node.name, kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
            helper.make_node(
                "DepthToSpace", [channels], node.output, f"{node.name}_shuffle", blocksize=2, mode="CRD"
            ),
        ]
    if rewritten:
        del graph.node[:]
        graph.node.extend(nodes)
        _drop_unused(model)
    return rewritten


def as_convolution(kernel: NDArray[Any]) -> NDArray[Any]:
    """[in, out, 4, 4] of a transposed convolution -> [4 out, in, 3, 3], whose channels are c, then row, then column."""
    i, o = kernel.shape[:2]
    weight = np.zeros((o, 2, 2, i, 3, 3), kernel.dtype)
    for row, rows in enumerate(_TAP):
        for column, columns in enumerate(_TAP):
            for y, k in enumerate(rows):
                for x, m in enumerate(columns):
                    if k is not None and m is not None:
                        weight[:, row, column, :, y, x] = kernel[:, :, k, m].T
    return weight.reshape(4 * o, i, 3, 3)


def _fits(node: NodeProto) -> bool:
    found = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
    return {key: found.get(key) for key in _WANTED} == _WANTED and all(
        found.get(key, value) == value for key, value in _PLAIN.items()
    )


def _drop_unused(model: ModelProto) -> None:
    used = {name for node in model.graph.node for name in node.input}
    given = {value.name for value in model.graph.input}
    kept = [tensor for tensor in model.graph.initializer if tensor.name in used | given]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)

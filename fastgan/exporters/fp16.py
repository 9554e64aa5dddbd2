"""Half precision: half the size, and twice the speed where the device has arithmetic for it (a GPU; not a CPU).

Inputs and outputs stay float32. So do what comes before the first convolution (the mapping network and the maps from w
to styles, whose share of the time is small and whose sums of squares are not), the statistics of instance
normalisation, of up to 16 million pixels, and what comes after the last convolution, where half precision would round
to an eighth of a grey level.

onnxconverter-common and onnxruntime.transformers do this too, but round after every node that is to stay in float32,
and name casts twice.
"""

from collections.abc import Iterable

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from fastgan.exporters.graph import infer_shapes

_CONVOLUTIONS = ("Conv", "ConvTranspose")
_FLOAT32_ONLY = (
    "InstanceNormalization",
    "Cast",
    "Shape",
    "Constant",
    "ConstantOfShape",
    "Range",
    "RandomNormalLike",
)
_FIRST_INPUT_ONLY = ("Resize",)  # its scales are float32 whatever it resizes


def halve(model: ModelProto) -> ModelProto:
    """`model` in half precision, in place."""
    nodes = list(model.graph.node)
    kept = _apart_from_convolutions(nodes) | _apart_from_convolutions(reversed(nodes), backwards=True)
    casts = _Casts(model)
    for node in nodes:
        half = node.name not in kept and node.op_type not in _FLOAT32_ONLY
        count = 1 if node.op_type in _FIRST_INPUT_ONLY else len(node.input)
        for k in range(count if half else len(node.input)):
            node.input[k] = casts.read(node.input[k], half=half)
        casts.add(node, half=half)
    casts.finish()
    return infer_shapes(model)


def _apart_from_convolutions(nodes: Iterable[NodeProto], *, backwards: bool = False) -> set[str]:
    """Names of the nodes that no convolution comes before; backwards: after."""
    reached: set[str] = set()
    names = set()
    for node in nodes:
        entered, left = (node.output, node.input) if backwards else (node.input, node.output)
        if node.op_type in _CONVOLUTIONS or reached.intersection(entered):
            reached.update(left)
        else:
            names.add(node.name)
    return names


class _Casts:
    """The values of a graph in both precisions, each made where it is first read."""

    def __init__(self, model: ModelProto) -> None:
        self._graph = model.graph
        values = (*model.graph.input, *model.graph.value_info, *model.graph.output)
        self._float = {v.name for v in values if v.type.tensor_type.elem_type == TensorProto.FLOAT}
        given = {value.name for value in model.graph.input}
        self._outputs = {value.name for value in model.graph.output} & self._float
        self._constants = {
            tensor.name: tensor for tensor in model.graph.initializer if tensor.name not in given
        }
        self._float |= {name for name, t in self._constants.items() if t.data_type == TensorProto.FLOAT}
        self._half: set[str] = set()
        """Values that are made in half precision."""
        self._nodes: list[NodeProto] = []
        self._made: dict[tuple[str, bool], str] = {}

    def read(self, name: str, *, half: bool) -> str:
        """The name of a value in the precision wanted; it is cast where it has the other."""
        if name not in self._float or (name in self._half) == half:
            return name
        if (name, half) not in self._made:
            self._made[name, half] = f"{name}_{'half' if half else 'float'}"
            if name in self._constants:
                array = numpy_helper.to_array(self._constants[name]).astype(np.float16)
                self._graph.initializer.append(numpy_helper.from_array(array, self._made[name, half]))
            else:
                to = TensorProto.FLOAT16 if half else TensorProto.FLOAT
                cast = helper.make_node("Cast", [name], [self._made[name, half]], f"{name}_cast", to=to)
                self._nodes.append(cast)
        return self._made[name, half]

    def add(self, node: NodeProto, *, half: bool) -> None:
        """The next node, whose inputs are those of `read`."""
        self._nodes.append(node)
        for k, name in enumerate(node.output if half else ()):
            if name in self._outputs:  # keeps its type, and gets its name from a cast
                node.output[k] = f"{name}_half"
                self._nodes.append(
                    helper.make_node("Cast", [node.output[k]], [name], f"{name}_cast", to=TensorProto.FLOAT)
                )
            elif name in self._float:
                self._half.add(name)

    def finish(self) -> None:
        """Put nodes and constants into the graph, without the constants that are read in half precision alone."""
        del self._graph.node[:]
        self._graph.node.extend(self._nodes)
        used = {name for node in self._nodes for name in node.input}
        kept = [t for t in self._graph.initializer if t.name in used or t.name not in self._constants]
        del self._graph.initializer[:]
        self._graph.initializer.extend(kept)

"""ONNX graphs of opset 18 as opset 17, which more programs read.

onnx's own converter has no way back for Pad. Of the operators that PyTorch's exporter writes, these
changed with 18: Pad and Resize (new options, which it leaves out), Split (an attribute) and the
reductions (axes are an input now).
"""

from typing import Any

NEWER, OLDER = 18, 17
REDUCTIONS = {
    *("ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMax"),
    *("ReduceMean", "ReduceMin", "ReduceProd", "ReduceSumSquare"),
}
ADDED = {
    *("BitwiseAnd", "BitwiseNot", "BitwiseOr", "BitwiseXor", "CenterCropPad", "Col2Im"),
    *("GroupNormalization", "Mish", "OptionalHasElement", "OptionalGetElement", "ScatterElements"),
    *("ScatterND", "LpPool"),
}
"""New with 18, or changed in ways that are not looked into here."""


def lower(model: Any) -> bool:
    """Turn an onnx_ir model of opset 18 into one of 17, in place, if it can be.

    Returns whether it was: a graph that uses what came with 18 stays as it is.
    """
    if model.opset_imports.get("") != NEWER or model.functions:
        return False
    nodes = [node for node in model.graph.all_nodes() if node.domain == ""]
    if not all(map(_can_be_lowered, nodes)):
        return False
    for node in nodes:
        _lower_node(node)
    model.opset_imports[""] = OLDER
    return True


def _can_be_lowered(node: Any) -> bool:
    if node.op_type in REDUCTIONS and len(node.inputs) > 1 and node.inputs[1] is not None:
        empty = node.attributes.get("noop_with_empty_axes")
        return _constant(node.inputs[1]) is not None and not (empty and empty.value)
    if node.op_type == "Pad":
        return len(node.inputs) < 4 or node.inputs[3] is None
    if node.op_type == "Resize":
        options = ("antialias", "axes", "keep_aspect_ratio_policy")
        return all(_is_default(node.attributes.get(name)) for name in options)
    if node.op_type == "Split" and "num_outputs" in node.attributes:
        size = node.inputs[0].shape[node.attributes["axis"].value]
        return isinstance(size, int) and size % len(node.outputs) == 0
    return node.op_type not in ADDED


def _lower_node(node: Any) -> None:
    import onnx_ir

    if node.op_type in REDUCTIONS and len(node.inputs) > 1 and node.inputs[1] is not None:
        axes = [int(axis) for axis in _constant(node.inputs[1]).numpy().ravel()]
        node.resize_inputs(1)
        node.attributes["axes"] = onnx_ir.AttrInt64s("axes", axes)
    node.attributes.pop("noop_with_empty_axes", None)
    if node.op_type == "Resize":
        for name in ("antialias", "axes", "keep_aspect_ratio_policy"):
            node.attributes.pop(name, None)
    if node.op_type == "Split":
        node.attributes.pop("num_outputs", None)


def _constant(value: Any) -> Any:
    """Return the tensor of a value that does not depend on the input, or None."""
    if value.const_value is not None:
        return value.const_value
    made = value.producer()
    if made is not None and made.op_type == "Constant" and "value" in made.attributes:
        return made.attributes["value"].value
    return None


def _is_default(attribute: Any) -> bool:
    return attribute is None or attribute.value in (0, "stretch")

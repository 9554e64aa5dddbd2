"""Which ONNX Runtime execution providers really work on this machine, found by running a model of one node."""


def usable_providers() -> list[str]:
    """Names of the providers (without `ExecutionProvider`) that a session of this process gets, fastest first.

    Raises what onnx or onnxruntime raise where they cannot be imported or cannot run the model.
    """
    import numpy as np
    import onnx
    import onnxruntime
    from onnx import TensorProto, helper

    shape = [1]
    graph = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["y"])],
        "probe",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    onnx.checker.check_model(model)
    wanted = [
        name
        for name in onnxruntime.get_available_providers()
        if name in ("CUDAExecutionProvider", "CPUExecutionProvider")
    ]
    onnxruntime.set_default_logger_severity(4)  # a provider that cannot load is what we came to find out
    try:
        session = onnxruntime.InferenceSession(model.SerializeToString(), providers=wanted)
    finally:
        onnxruntime.set_default_logger_severity(2)  # its own default: warnings
    (y,) = session.run(None, {"x": np.array([-1.0], np.float32)})
    if y[0] != 0:
        raise RuntimeError(f"ONNX Runtime computed relu(-1) = {y[0]}")
    return [name.removesuffix("ExecutionProvider") for name in session.get_providers()]

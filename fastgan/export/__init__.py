"""Trained models in formats that run without fastgan, each verified against torch before it gets its name."""

from fastgan.export.onnx import export_onnx
from fastgan.export.verify import Check

__all__ = ["Check", "export_onnx"]

"""Trained models in formats that run without fastgan, each verified against torch before it gets its name."""

from fastgan.exporters.onnx import Exported, export_onnx
from fastgan.exporters.verify import Check

__all__ = ["Check", "Exported", "export_onnx"]

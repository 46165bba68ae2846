"""Tensor kernels: tensors in, tensors out. Imports nothing of ours."""

__version__ = "0.1.0"

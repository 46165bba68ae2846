"""Tensor kernels: tensors in, tensors out. Imports nothing of ours.

Triton and xformers are imported where they are called, so the package imports without them.
"""

__version__ = "0.1.0"

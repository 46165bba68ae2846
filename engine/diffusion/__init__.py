"""Rectified flow: loss, guidance, solvers, and the pipeline that samples."""

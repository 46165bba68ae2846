"""Photographs in: where they lie, how they are cropped and split, and their cached latents."""

"""Purifying: what a table that teaches says of each photograph, held against the photograph; each
row is kept, repaired or dropped.

It is the second of the three steps of RetinaLogos (arXiv 2505.12887), with readers of our own in
the place of its language model, and a CLIP where the user has one.
"""

"""Fundus phantoms: eyes drawn from annotations by procedure, true by construction and nobody's."""

VERSION = "3"
"""Raise with every change that alters what is drawn: it stands for the phantom's weights in a plan,
so an old folder is not mixed."""

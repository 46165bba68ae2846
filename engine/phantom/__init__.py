"""Fundus phantoms: eyes drawn from annotations by procedure, true by construction and nobody's."""

VERSION = "9"
"""Raise with every change that alters what is drawn or what captions tell of it: it stands for the
phantom's weights in a plan, so an old folder is not mixed."""

"""Why an image is not read."""

from __future__ import annotations


class Unclear(ValueError):
    """An image's bytes leave open what its pixels mean, or are none; the message says how."""

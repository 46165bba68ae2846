"""Annotation to caption (`template`), caption to annotation (`parse`). Pure text, no models."""

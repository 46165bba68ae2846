"""How well a model does what it was asked, measured on what it drew."""

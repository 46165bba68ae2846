"""Recipes that train the models, and the loop that runs them."""

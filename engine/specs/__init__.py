"""What is to be made: recipes, and the spec of row `index` as a pure function of the recipe."""

from engine.specs.mix import Mix
from engine.specs.read import recipe_from
from engine.specs.recipe import Recipe, Row, Spec

__all__ = ["Mix", "Recipe", "Row", "Spec", "recipe_from"]

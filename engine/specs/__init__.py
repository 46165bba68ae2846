"""What is to be made: recipes, and the spec of row `index` as a pure function of the recipe."""

from engine.specs.mix import Mix
from engine.specs.read import recipe_from
from engine.specs.recipe import Recipe, Spec
from engine.specs.rows import Row, Rows

__all__ = ["Mix", "Recipe", "Row", "Rows", "Spec", "recipe_from"]

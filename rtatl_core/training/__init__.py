"""From a recipe to a finished model."""

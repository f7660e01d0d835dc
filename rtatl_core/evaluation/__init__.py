"""How good a model is: against codes, and on real faces without codes."""

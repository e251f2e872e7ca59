"""Fakes that ship with the package, for what can't be had in a test: a model, foremost."""

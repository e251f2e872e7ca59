"""Two runs or more, or published results, on the same instances."""

"""The smoke test as a benchmark: one tiny instance as an official SWE-bench task repo."""

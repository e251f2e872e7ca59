"""Model servers and nights in simulated time, for tests and benches."""

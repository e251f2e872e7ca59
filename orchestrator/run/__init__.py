"""A run, from a request to its report, and the services it needs meanwhile."""

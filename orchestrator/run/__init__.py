"""A run, from a request to its report, and the services that it needs."""

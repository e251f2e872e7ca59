"""Taking a plan to its end: the pure scheduler, the executor, and the loop between them."""

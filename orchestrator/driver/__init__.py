"""Taking a plan through the engine: the pure scheduler, the engines, and the loop between them."""

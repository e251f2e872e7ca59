"""A model's server on its GPU host: the command that starts it, what is known to be broken."""

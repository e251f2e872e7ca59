"""Can a model call tools through its server? Three levels, every protocol, a verdict in words."""

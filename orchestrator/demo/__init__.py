"""The bundled benchmark: twelve small instances as an official SWE-bench task repo."""

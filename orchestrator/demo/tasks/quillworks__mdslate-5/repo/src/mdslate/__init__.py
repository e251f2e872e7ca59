"""A small Markdown dialect."""

from .html import render

__version__ = "0.2.0"

__all__ = ["render"]

"""A small Markdown dialect."""

from .html import render

__version__ = "0.4.0"

__all__ = ["render"]

"""Pictures of what sections say: Vega-Lite's words for each, and one way to draw them."""

from orchestrator.page.charts.drawing import NARROW, WIDE, Chart, Form, Spec, draw

__all__ = ["NARROW", "WIDE", "Chart", "Form", "Spec", "draw"]

"""Pictures of what sections say: Vega-Lite's words for each, and one way to draw them."""

"""Sandboxes that are a copy and child processes: no engine needed, and nothing isolated."""

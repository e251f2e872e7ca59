"""Sandboxes in Docker containers, their images, and the official harness in them."""

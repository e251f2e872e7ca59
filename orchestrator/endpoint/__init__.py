"""Talking to an OpenAI-compatible model server."""

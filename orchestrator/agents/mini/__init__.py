"""mini-swe-agent as a library, on our sandboxes, client and limits."""

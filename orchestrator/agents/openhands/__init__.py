"""OpenHands, in an environment and processes of its own, on our sandboxes, limits and gateway."""

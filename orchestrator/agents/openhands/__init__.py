"""OpenHands' agent SDK, at work in our sandboxes."""

"""What runs in the sandbox, by the image's own Python."""

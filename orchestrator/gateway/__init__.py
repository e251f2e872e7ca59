"""The gateway: one reverse proxy between every agent and the model servers."""

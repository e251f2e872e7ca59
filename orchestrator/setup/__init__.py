"""The way in: profiles made by asking the server and a few questions."""

"""Images: what they weigh, where they come from, which are here, which come next and which go."""

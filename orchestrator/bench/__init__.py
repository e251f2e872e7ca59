"""`bench`: what a model server is worth, measured with traffic that is shaped like agents'."""

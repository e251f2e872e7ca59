"""What a run's files say of each instance, and why one was not resolved."""

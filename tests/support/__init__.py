"""What several test modules share: rows, fakes, and ways to start what is tested."""

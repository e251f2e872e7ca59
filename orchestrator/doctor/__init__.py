"""What is wrong here, before the night: checks of one contract, each with what mends it."""

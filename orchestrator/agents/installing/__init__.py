"""What `agents install` is made of, whatever the agent."""

"""What happens on a worker: one rollout with its harvest, or one grade."""

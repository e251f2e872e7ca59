"""A run in the forms that others read: predictions, submissions, trajectories, logs, tables."""

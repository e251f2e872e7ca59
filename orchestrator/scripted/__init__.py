"""The scripted model that ships with the project, for the demo and for tests."""

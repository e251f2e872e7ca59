"""Agents at work in processes and Python environments of their own."""

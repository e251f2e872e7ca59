"""Runs that nobody ran: whole folders of runs, made up from a benchmark's rows and a seed."""

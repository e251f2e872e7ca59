"""The instances of a run on its page: a table, and what each of them opens to."""

"""From the journal to numbers, and from numbers to JSON, Markdown and the terminal."""

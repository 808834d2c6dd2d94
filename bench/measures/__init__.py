"""The measures; each module answers one question with `measure(options)`."""

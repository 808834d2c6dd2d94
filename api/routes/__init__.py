"""The addresses, one file for each kind of thing; no SQL here, and no rule of the domain."""

"""What the Stability API can do: operations as data (`*.toml`), and the checks made from them.

`loader` reads the data, `validate` checks parameters, `images` checks input images.
"""

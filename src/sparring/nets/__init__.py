"""Networks: one file per family. A family is a part that builds a generator, a trunk, or both."""

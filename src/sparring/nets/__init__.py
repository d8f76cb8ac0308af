"""Networks: one file per architecture. Each is a record that builds a generator, a trunk or a translator."""

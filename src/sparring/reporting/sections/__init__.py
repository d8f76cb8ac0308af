"""The sections of a study's page: a file each for the values, and a template of the same name."""

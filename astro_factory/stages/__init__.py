"""The stage kinds: one module each, with its Config (schema, key and documentation at once) and its run()."""

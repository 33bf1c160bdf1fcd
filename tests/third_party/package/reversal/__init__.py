"""Words that are spelled backwards, letter by letter: a domain for astro-factory."""

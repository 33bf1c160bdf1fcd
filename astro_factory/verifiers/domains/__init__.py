"""Generated puzzles with step hooks. Each module is a domain: see `verifiers.puzzles.PuzzleDomain`."""

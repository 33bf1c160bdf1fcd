"""Search policies: build trees of steps from an engine's samples and a verifier's verdicts."""

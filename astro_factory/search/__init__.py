"""Search policies: trees of steps that grow from an engine's samples and a verifier's judgement."""

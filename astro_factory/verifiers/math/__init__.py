"""Mathematical answers: extract the final answer, normalise the LaTeX, parse it, compare it with the gold."""

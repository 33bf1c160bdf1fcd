"""Trees to text and back: node sequences (Algorithm 1), wording by templates, parsing. No model is asked here."""

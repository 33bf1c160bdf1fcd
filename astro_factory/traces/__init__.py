"""Trees to text and back: node sequences (Algorithm 1), renderer by templates, parsing. No model is asked here."""

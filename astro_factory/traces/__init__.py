"""Trees to text and back: node sequences (Algorithm 1), rendering by templates, and parsing. No model is used here."""

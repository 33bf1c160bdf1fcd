"""Publishing in one commit, pulling, and publications as caches."""

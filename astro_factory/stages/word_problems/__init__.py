"""Word problems in many wordings, with their solutions, checks and practice documents. All wordings are our own."""

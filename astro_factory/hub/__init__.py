"""Publishing and pulling: what a published repository holds, one commit that puts it there, and the way back."""

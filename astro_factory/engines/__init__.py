"""Text generation behind one protocol (`base.Engine`); `open_engine` is the only way in."""

"""The page on which photos are restored."""

"""The page on which photos are restored, and the HTTP service."""

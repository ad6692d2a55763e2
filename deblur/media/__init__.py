"""Picture and video files in and out, without loss."""

"""Jobs: how runs are started, isolated, swept and resumed, and their status."""

"""One file a source: what to ask for, and bytes to observations."""

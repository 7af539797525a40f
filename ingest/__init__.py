"""ingest: the world's listings become paper records."""

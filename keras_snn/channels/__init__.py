"""Which channels hang together, and models without those that are masked."""

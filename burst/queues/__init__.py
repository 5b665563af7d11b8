"""Sharded Redis streams: staging, leases, settling; and the embedded servers that carry them by default."""

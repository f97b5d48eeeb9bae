"""Measured figures of painsense beside their targets: ``python -m benchmarks``; see README.md."""

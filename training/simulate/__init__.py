"""Simulated people: a face and a voice whose truth is known."""

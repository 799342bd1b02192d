"""Playground v2.5: EDM's networks, schedules and samplers, resolution shift, balanced aspect buckets."""

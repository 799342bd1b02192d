"""Makes training data of pictures: finds, deduplicates, scores, encodes, and reads back what was encoded."""

"""Claims of the four systems, tried at toy size: experiments, their numbers, and a page."""

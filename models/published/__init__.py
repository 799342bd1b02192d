"""What is known of published models before any of it is here: a table of each kind."""

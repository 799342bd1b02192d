"""Measuring speed, load time and memory beside other programs. Nothing else imports this room."""

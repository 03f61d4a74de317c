"""What an episode leaves behind: motion, contacts, arms and links, as tables of the log."""

"""What people read: maps, figures, the summary page, the terminal."""

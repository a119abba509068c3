"""Plans and reports for readers: text for people, JSON documents for programs. Nothing here decides anything."""

"""Results as output: text, JSON, Markdown, HTML, and drawings. Nothing here decides anything."""

"""Results as output: text, JSON, Markdown, HTML, and drawings. No decisions are made here."""

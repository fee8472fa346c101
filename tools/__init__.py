"""Programs for the people who work on Inkstone; nothing here is served."""

"""The report's templates, style sheet and script, as package data."""

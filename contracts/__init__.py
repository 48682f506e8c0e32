"""What crosses each doorway: schemas, readers, writers and the errors they raise. Imports none of our packages."""

"""The application: command line, project file, and the embedded AWS that runs both on a laptop."""

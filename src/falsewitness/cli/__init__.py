"""The command line: it selects, it shows, and it holds no hyperparameter."""

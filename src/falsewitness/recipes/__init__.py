"""YAML experiments that ship with the package."""

"""Can the explanation of an image classifier lie?

falsewitness trains classifiers whose explanations deceive, measures how well they deceive which explainer and at
what price, and makes what exposes them visible. Start with ``falsewitness demo`` on the command line, or with
:func:`falsewitness.experiment.run` in Python.
"""

__version__ = "0.1.0"

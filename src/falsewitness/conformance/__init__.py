"""The contracts of components as a check: for the ones that come with the package, and for anybody's plug-in.

In the tests of a package that brings an explainer::

    from falsewitness.conformance import check_component

    def test_my_explainer_keeps_the_contract() -> None:
        check_component(MyExplainer(samples=8))
"""

from falsewitness.conformance._check import check_component
from falsewitness.conformance._contract import ConformanceError

__all__ = ["ConformanceError", "check_component"]

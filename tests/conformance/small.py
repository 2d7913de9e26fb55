"""Fields that make explainers of many passes quick."""

from typing import Any

SMALL: dict[str, dict[str, Any]] = {
    "deep_shap": {"background": 5},
    "gradient_shap": {"samples": 6, "background": 4},
    "integrated_gradients": {"steps": 8, "training_steps": 2},
    "kernel_shap": {"grid": 3, "samples": 24, "background": 1},
    "lime": {"grid": 3, "samples": 16},
    "occlusion": {"window": 16, "stride": 8},
    "rise": {"masks": 16},
    "shap_library": {"samples": 3, "background": 2},
    "smoothgrad": {"samples": 5, "training_samples": 2},
}
"""Fields with which explainers of many passes are tried; all others as they come."""

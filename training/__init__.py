"""Feature table to model: training and honest evaluation. Runs in AWS's XGBoost image.

People who read a model use ``load_model``, ``load_evaluation`` and ``explain_customers``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from training.explain import explain_customers
    from training.sagemaker_model import load_evaluation, load_model

__all__ = ["explain_customers", "load_evaluation", "load_model"]


def __getattr__(name: str) -> Any:
    """Import what reads models only where somebody asks for it: training needs no AWS client."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from training import explain, sagemaker_model

    return getattr(explain if name == "explain_customers" else sagemaker_model, name)

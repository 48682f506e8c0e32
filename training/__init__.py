"""Feature table to model: training and honest evaluation. Runs in AWS's XGBoost image.

People who read a model use ``load_model`` and ``load_evaluation``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from training.sagemaker_model import load_evaluation, load_model

__all__ = ["load_evaluation", "load_model"]


def __getattr__(name: str) -> Any:
    """Import what reads models only where somebody asks for it: training needs no AWS client."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from training import sagemaker_model

    return getattr(sagemaker_model, name)

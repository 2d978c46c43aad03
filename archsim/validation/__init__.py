"""archsim against what others measured, published or simulated, by the call that users make."""

from archsim.validation.runner import ValidationResult, list_suites, validate

__all__ = ["ValidationResult", "list_suites", "validate"]

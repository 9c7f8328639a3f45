"""The served models, and whether the server takes work."""

from __future__ import annotations

from emotion2vec_server.errors import RETRY_SECONDS, ModelNotFoundError, UnavailableError
from emotion2vec_server.serving.served_model import ServedModel


class Catalog:
    """Models by name. Empty while the server loads; closed when it drains."""

    def __init__(self) -> None:
        self._models: dict[str, ServedModel] = {}
        self._refusal: str | None = "the server is loading its models"

    def open(self, models: list[ServedModel]) -> None:
        """Takes work from now on; the first model is the default."""
        self._models = {model.manifest.name: model for model in models}
        self._refusal = None

    def close(self) -> list[ServedModel]:
        """Refuses new work; what was accepted goes on. Returns the models."""
        self._refusal = "the server is shutting down"
        return list(self._models.values())

    def models(self) -> list[ServedModel]:
        """All of them, the default first.

        Raises:
            UnavailableError: the server is loading or draining.
        """
        if self._refusal is not None:
            raise UnavailableError(f"{self._refusal}; try again", RETRY_SECONDS)
        return list(self._models.values())

    def get(self, name: str) -> ServedModel:
        """The model called `name`; the default one for an empty name.

        Raises:
            ModelNotFoundError: no such model is served.
            UnavailableError: the server is loading or draining.
        """
        models = self.models()
        if not name:
            return models[0]
        if name not in self._models:
            raise ModelNotFoundError(
                f"no model {name!r} here; this server has {', '.join(self._models)}"
            )
        return self._models[name]

"""Results for people: tables as text, pictures as files. Nothing is computed here that a result does not hold."""

__all__: list[str] = []

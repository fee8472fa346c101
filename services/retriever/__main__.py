"""`python -m services.retriever`: serve until a stop signal."""

from services.chassis.serving import serve
from services.retriever.app import create_app
from services.retriever.settings import Settings


def main() -> None:
    """Read the settings and serve."""
    settings = Settings()
    serve(create_app(settings), "retriever", settings.listening)


if __name__ == "__main__":
    main()

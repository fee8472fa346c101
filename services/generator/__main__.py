"""`python -m services.generator`: the agent as a process."""

from services.chassis.serving import serve
from services.generator.app import create_app
from services.generator.settings import Settings

if __name__ == "__main__":
    settings = Settings()
    serve(create_app(settings), "generator", settings.listening)

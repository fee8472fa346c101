"""Run the tuner: `python -m services.tuner`."""

from services.chassis.serving import serve
from services.tuner.app import create_app
from services.tuner.settings import Settings

if __name__ == "__main__":
    settings = Settings()
    serve(create_app(settings), "tuner", settings.listening)

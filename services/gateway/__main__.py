"""`python -m services.gateway` runs the gateway."""

from services.chassis.serving import serve
from services.gateway.app import create_app
from services.gateway.settings import Settings

if __name__ == "__main__":
    settings = Settings()
    serve(create_app(settings), "gateway", settings.listening)

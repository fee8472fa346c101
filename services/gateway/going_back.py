"""Take the registry's schema back, for an earlier release: `python -m services.gateway.going_back`.

Runs in the image of the release that is left, before the gateways of the earlier one start, and
reads the gateway's own variables. Prints the revision before and after.
"""

from __future__ import annotations

import asyncio
import sys

from services.gateway.registry.database import open_database
from services.gateway.registry.schema import go_back, revision_of
from services.gateway.settings import Settings


async def _go_back(settings: Settings, revision: str) -> None:
    async with open_database(settings.registry_url) as database:
        before = await revision_of(database)
        await go_back(database, revision)
        sys.stdout.write(f"{before} -> {await revision_of(database)}\n")


if __name__ == "__main__":
    asyncio.run(_go_back(Settings(), sys.argv[1] if len(sys.argv) > 1 else "-1"))

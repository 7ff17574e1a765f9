"""Creates the tables of a Letta 0.16.8 server in the empty database of $LETTA_PG_URI.

The wheel holds the models but none of the migrations that would normally do this. Run it with
the Python of the server's environment.
"""

import asyncio
import os

import letta.orm as orm  # importing it registers every table
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

BEFORE = ("CREATE EXTENSION IF NOT EXISTS vector",)
# The order of messages comes from a sequence that only a migration creates; without it no message can be stored.
AFTER = (
    "CREATE SEQUENCE IF NOT EXISTS message_seq_id",
    "ALTER TABLE messages ALTER COLUMN sequence_id SET DEFAULT nextval('message_seq_id')",
)


async def create(uri):
    engine = create_async_engine(uri)
    try:
        async with engine.begin() as db:
            for statement in BEFORE:
                await db.execute(text(statement))
            await db.run_sync(orm.Base.metadata.create_all)
            for statement in AFTER:
                await db.execute(text(statement))
    finally:
        await engine.dispose()


asyncio.run(create(os.environ["LETTA_PG_URI"].replace("postgresql://", "postgresql+asyncpg://", 1)))

"""Drawn tables and changes, copy and stream at once, and kills: at the end both destinations hold what the source holds,
as text and in binary form."""

import random
import time

import pytest

from support import files
from support.generator import COLUMNS, NOT_BINARY, Generator, binary_rows, identifier, make_types
from support.writers import SECONDS, seed_of_this_run

ROUND = 10  # seconds; each begins with new tables and new pipelines


def one_round(world, number, seed, types, seconds):
    moments = random.Random(f"{seed} kills")
    generator = Generator(seed, world.session, types)
    generator.create()
    pipelines = [
        world.pipeline(to, name=f"{to}{number}", copy={"chunk_size": "64KiB", "workers": 1}) for to in ("postgres", "file")
    ]
    for pipeline in pipelines:
        pipeline.start()
    end, kill = time.monotonic() + seconds, time.monotonic() + seconds * moments.uniform(0.1, 0.5)
    while time.monotonic() < end:
        generator.step()
        if time.monotonic() > kill:
            pipeline = moments.choice(pipelines)
            pipeline.process.check_alive()
            pipeline.kill()
            pipeline.start()
            kill += seconds * moments.uniform(0.1, 0.4)
    generator.finish()
    tables = [table.name for table in generator.tables]
    for pipeline in pipelines:
        pipeline.wait_confirmed(seconds=60)
        pipeline.wait_equal(*tables, seconds=60)
        pipeline.stop()
        assert "table stopped" not in pipeline.process.text()
    files.assert_each_position_once(pipelines[1].to)
    for table in tables:
        kinds = world.sql(COLUMNS, table)
        columns = [identifier(name) for name, kind in kinds if kind not in NOT_BINARY]
        ours, theirs = (
            binary_rows(lambda name=name: world.cluster.connect(name), table, columns)
            for name in (world.source, world.destination)
        )
        assert ours == theirs, f"{table}: equal as text, but not in binary form"
    print(f"round {number}: {generator.committed} transactions")
    for pipeline in pipelines:
        world.sql("SELECT pg_drop_replication_slot(%s)", pipeline.slot)
        world.sql(f"DROP PUBLICATION IF EXISTS {pipeline.publication}, {pipeline.publication}_inserts")
    for run in (world.sql, world.there):
        run("".join(f"DROP TABLE {table};" for table in tables))


@pytest.mark.short
def test_generated_tables_and_changes(world):
    seed, seconds = seed_of_this_run(), SECONDS / 3
    types = make_types(world.sql, world.there)
    end, number = time.monotonic() + seconds, 0
    while (left := end - time.monotonic()) > 0:
        one_round(world, number, f"{seed} {number}", types, min(left, ROUND))
        number += 1

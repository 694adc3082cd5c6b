"""Random writers, the copy at work at the same time, and kills: at the end both sides hold the same rows."""

import pytest

from support import files
from support.writers import SECONDS, TABLES, seed_of_this_run, write_and_kill


@pytest.mark.short
@pytest.mark.parametrize("to", ["postgres", "file"])
def test_random_writers_and_kills(world, to):
    pipeline = world.pipeline(to, copy={"chunk_size": "64KiB"})
    write_and_kill(world, pipeline, seed_of_this_run(), SECONDS / 2)  # two destinations share the time
    pipeline.start()
    pipeline.wait_confirmed(seconds=90)
    pipeline.wait_equal(*TABLES, seconds=90)
    pipeline.stop()
    pipeline.assert_equal(*TABLES)
    if to == "file":
        files.assert_each_position_once(pipeline.to)

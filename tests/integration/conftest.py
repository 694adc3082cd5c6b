import contextlib
import itertools
import re

import pytest

from support import files
from support.etl import SANITIZER_REPORT, Pipeline, wait_until
from support.postgres import Cluster


ELSEWHERE = re.compile(r"random|\b(file|duckdb|snowflake|stopped|killed)\b")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """The cases of types, shapes and schema changes run on every server version, to PostgreSQL."""
    for item in items:
        case = re.match(r"test_cases?_(\d+)", item.name)
        if case and 11 <= int(case[1]) <= 22 and not ELSEWHERE.search(item.name):
            item.add_marker(pytest.mark.matrix)


@pytest.fixture(scope="session")
def cluster():
    server = Cluster().start()
    yield server
    server.remove()


class World:
    """A source and a destination database of one test's own, and its pipelines."""

    numbers = itertools.count(1)

    def __init__(self, cluster, directory):
        number = next(self.numbers)
        self.cluster = cluster
        self.directory = directory
        self.source, self.destination = f"shop_{number}", f"warehouse_{number}"
        self.pipelines = []
        cluster.create_database(self.source)
        cluster.create_database(self.destination)

    def sql(self, statements, *parameters):
        return self.cluster.sql(self.source, statements, *parameters)

    def there(self, statements, *parameters):
        return self.cluster.sql(self.destination, statements, *parameters)

    def session(self, database=None):
        """A transaction of its own on the source; closed with the test's database at the latest."""
        return self.cluster.connect(database or self.source)

    def pipeline(self, to="postgres", name="p", **sections):
        destination = (self.cluster, self.destination) if to == "postgres" else self.directory / f"{name}.files"
        pipeline = Pipeline(self.directory, (self.cluster, self.source), destination, name, **sections)
        self.pipelines.append(pipeline)
        return pipeline

    def started(self, to="postgres", *tables, seconds=30, **sections):
        """A pipeline that runs, with these tables equal on both sides."""
        pipeline = self.pipeline(to, **sections)
        pipeline.start()
        pipeline.wait_equal(*tables, seconds=seconds)
        return pipeline

    def transaction(self, *statements):
        """Statements in one transaction on the source, in a session of their own."""
        with contextlib.closing(self.session()) as session, session.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            session.commit()

    def copied(self, pipeline, table):
        """How many rows of a table the destination has, while the table is copied; false before it is there."""
        if not isinstance(pipeline.to, tuple):
            return files.row_versions(pipeline.to, table)
        return self.there("SELECT to_regclass(%s) IS NOT NULL", table)[0][0] and self.there(f"SELECT count(*) FROM {table}")[0][0]

    def make_slot(self, pipeline):
        """Slot and publication as a user may have made them before the first start."""
        self.sql(f"CREATE PUBLICATION {pipeline.publication} FOR ALL TABLES")
        self.sql("SELECT pg_create_logical_replication_slot(%s, 'pgoutput')", pipeline.slot)

    @contextlib.contextmanager
    def frozen(self, table):
        """While it lasts, nobody else reads or writes the destination's table."""
        session = self.cluster.connect(self.destination)
        with session.cursor() as cursor:
            cursor.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
        try:
            yield
        finally:
            session.close()

    def wait_blocked(self, table):
        """Until somebody waits for a lock on the destination's table: the program is in the middle of a write."""
        query = "SELECT count(*) > 0 FROM pg_locks WHERE NOT granted AND relation = %s::regclass"
        wait_until(lambda: self.there(query, table)[0][0], f"a writer waits for {table}")

    def clean_up(self):
        reports = []
        for pipeline in self.pipelines:
            pipeline.clean_up()
        for log in self.directory.glob("*.log"):
            text = log.read_text(errors="replace")
            if match := SANITIZER_REPORT.search(text):
                reports.append(f"{log.name}: {text[match.start() : match.start() + 4000]}")
        self.cluster.drop_slots()
        self.cluster.drop_database(self.source)
        self.cluster.drop_database(self.destination)
        assert not reports, "\n".join(reports)


@pytest.fixture
def world(cluster, tmp_path):
    world = World(cluster, tmp_path)
    yield world
    world.clean_up()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item):
    report = (yield).get_result()
    if report.failed and (directory := item.funcargs.get("tmp_path")):
        for log in directory.glob("*.log"):
            report.sections.append((log.name, log.read_text(errors="replace")[-6000:]))

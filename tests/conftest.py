import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))


def pytest_configure(config):
    config.addinivalue_line("markers", "short: also run under the sanitizers in continuous integration")
    config.addinivalue_line("markers", "matrix: also run on the other PostgreSQL versions by tests/run --matrix")
    config.addinivalue_line(
        "markers", "foreign_threads: not under ThreadSanitizer, for a library with threads that is not built for it"
    )

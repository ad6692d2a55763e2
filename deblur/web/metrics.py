"""What the server counts, for Prometheus."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.process_collector import ProcessCollector

from deblur.web.restoration_queue import RestorationQueue

BUCKETS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500)


class Metrics:
    """Counters of one server, not of the process, so that tests can have several."""

    def __init__(self, queue: RestorationQueue) -> None:
        registry = CollectorRegistry()
        self._registry = registry
        ProcessCollector(registry=registry)
        waiting = Gauge("deblur_waiting", "Photos that wait for their turn.", registry=registry)
        waiting.set_function(lambda: queue.waiting)
        self.answers = Counter(
            "deblur_restorations",
            "Photos, by how they ended: ok, bad, busy, full, stopped, closing, late or failed.",
            ["outcome"],
            registry=registry,
        )
        self.seconds = Histogram(
            "deblur_restoration_seconds",
            "Time from a photo's turn to its result.",
            ["model"],
            buckets=BUCKETS,
            registry=registry,
        )
        self.pixels = Counter("deblur_restored_pixels", "Pixels restored.", registry=registry)

    def count(self, outcome: str) -> None:
        """Count a photo that has ended."""
        self.answers.labels(outcome).inc()

    def observe(self, model: str, seconds: float, pixels: int) -> None:
        """Count a photo that was restored."""
        self.count("ok")
        self.seconds.labels(model).observe(seconds)
        self.pixels.inc(pixels)

    def write(self) -> bytes:
        """Return them in Prometheus' text format."""
        return generate_latest(self._registry)

"""The catalog reads metrics from their source. It must agree with the registry, which imports them."""

from benchmark.leaderboard.admission import catalog


def test_the_source_of_every_metric_says_what_the_registry_says():
    assert catalog._metrics() == catalog._registered_metrics()

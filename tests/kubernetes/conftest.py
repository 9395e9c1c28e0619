"""Brings Airflow up on the cluster that KUBECONFIG names, once for all tests that need it."""

import pytest

from support import brought_up
from tests.kubernetes.cluster import Cluster, missing


@pytest.fixture(scope="session")
def cluster(request, tmp_path_factory):
    """Airflow on Kubernetes, ready."""
    with brought_up(
        request.config, "kubernetes", missing(), lambda: Cluster(tmp_path_factory.mktemp("kubernetes"))
    ) as cluster:
        yield cluster

"""Dagster's daemon with a tighter loop: `python -m pipelines.runtime.daemon run -w workspace.yaml`.

Dagster looks every 5 seconds which sensors are to be asked, and starts queued runs once a second; a message would wait
for most of its promise before anyone looks.
"""

import dagster._daemon.sensor as sensor_daemon
from dagster._core.run_coordinator import QueuedRunCoordinator
from dagster._daemon.cli import main

TIGHT = 0.25  # seconds; how often each sensor is asked is its own minimum interval
sensor_daemon.MIN_INTERVAL_LOOP_TIME = TIGHT  # type: ignore[assignment]
QueuedRunCoordinator.dequeue_interval_seconds = property(lambda _: TIGHT)  # type: ignore[assignment,method-assign]

if __name__ == "__main__":
    main()

"""What Dagster calls the assets at both ends: what systems tell, and what flows bring."""

import dagster as dg

UNCLAIMED = dg.AssetKey("unclaimed")  # what arrives and no stream of the map takes


def stream_key(system: str, stream: str) -> dg.AssetKey:
    """What a system tells. The graph shows the last part of a key alone, so that says the system too."""
    return dg.AssetKey([system, f"{system}_{stream}"])


def snapshot_key(system: str, stream: str) -> dg.AssetKey:
    """A whole look at what a system holds."""
    return dg.AssetKey([system, f"{system}_{stream}_snapshot"])


def flow_key(system: str, flow: str) -> dg.AssetKey:
    """What a flow brings to a destination."""
    return dg.AssetKey([system, flow])

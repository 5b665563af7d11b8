"""``make bench``: every figure beside its peer, from one run on one machine. Prints, never asserts."""

from __future__ import annotations

import sys

from tests.bench import (
    apns,
    bench_fcm,
    bench_http,
    bench_sns,
    bench_sqs,
    fanout,
    launch,
    provider,
    recording,
    scale,
    staging,
    startup,
)

BENCHES = {
    "recording": recording,
    "fanout": fanout,
    "apns": apns,
    "fcm": bench_fcm,
    "sqs": bench_sqs,
    "sns": bench_sns,
    "http": bench_http,
    "provider": provider,
    "launch": launch,
    "staging": staging,
    "scale": scale,
    "startup": startup,
}

if __name__ == "__main__":
    for name in sys.argv[1:] or BENCHES:
        BENCHES[name].main()

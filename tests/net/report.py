"""What happened on the link and in the page, second by second: it explains a test that failed."""

from __future__ import annotations

from tests.net.bare import Transfer
from tests.net.link import Sample
from tests.net.page import Point

HEAD = "   s   acked MB/s   page says   ahead KB   link queue KB   dropped"


def tell_upload(title: str, points: list[Point], samples: list[Sample]) -> None:
    """Prints what was acknowledged, what the page showed, the most that was ahead, and the link's queue."""
    rates = Transfer([(point.at_s, point.bytes_acked) for point in points]).rates()
    began_s = samples[0].at_s if samples else 0.0
    print(f"\n{title}\n{HEAD}")
    for second, rate in enumerate(rates):
        seen = [point for point in points if second <= point.at_s < second + 1]
        link = [sample for sample in samples if second <= sample.at_s - began_s < second + 1]
        says = max((point.bytes_per_s or 0 for point in seen), default=0) / 1e6
        ahead = max((point.bytes_ahead for point in seen), default=0) / 1e3
        queue = max((sample.queued_bytes for sample in link), default=0) / 1e3
        dropped = sum(sample.dropped + sample.lost for sample in link)
        print(f"{second:4} {rate:12.2f} {says:11.2f} {ahead:10.0f} {queue:15.0f} {dropped:9}")


def tell_bare(transfer: Transfer) -> None:
    """Prints what one TCP connection carried in each second."""
    print("\nbare TCP, MB/s:", *transfer.rates())

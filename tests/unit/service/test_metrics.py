from __future__ import annotations

from carob.service.metrics import CallMetrics, family, images_text, pods_text


def test_calls_are_counted_by_method_and_status_and_timed_in_buckets() -> None:
    metrics = CallMetrics()
    metrics.ended("A", "OK", 0.0005)
    metrics.ended("A", "OK", 0.003)
    metrics.ended("A", "NOT_FOUND", 99.0)
    metrics.open_streams = 2
    lines = metrics.text().splitlines()
    assert 'carob_api_calls_total{method="A",status="OK"} 2' in lines
    assert 'carob_api_calls_total{method="A",status="NOT_FOUND"} 1' in lines
    buckets = [line for line in lines if line.startswith("carob_api_call_seconds_bucket")]
    assert buckets[0] == 'carob_api_call_seconds_bucket{method="A",le="0.001"} 1'
    assert buckets[2] == 'carob_api_call_seconds_bucket{method="A",le="0.005"} 2'
    assert buckets[-2:] == [
        'carob_api_call_seconds_bucket{method="A",le="10"} 2',
        'carob_api_call_seconds_bucket{method="A",le="+Inf"} 3',
    ]
    assert 'carob_api_call_seconds_count{method="A"} 3' in lines
    assert "carob_api_open_streams 2" in lines


def test_every_line_is_of_the_format() -> None:
    text = pods_text({"running": 3}) + images_text({"blobs": 1 << 40}, 2)
    assert text.endswith("\n")
    assert 'carob_pods{state="running"} 3\n' in text
    assert 'carob_images_disk_bytes{kind="blobs"} 1099511627776\n' in text
    assert text.count("# TYPE ") == text.count("# HELP ") == 3


def test_what_a_label_may_not_hold_is_escaped() -> None:
    assert family("m", "gauge", "help", [((("a", '"\\\n'),), 1)]).endswith('m{a="\\"\\\\\\n"} 1\n')

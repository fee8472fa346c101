"""What the service promises over 30 days."""

from __future__ import annotations

from tools.monitoring.rules import Objective

OBJECTIVES = (
    Objective(
        "errors",
        0.995,
        '(sum(rate(inkstone_requests_total{status=~"5.."}[WINDOW])) or vector(0))'
        " / sum(rate(inkstone_requests_total[WINDOW]))",
        'sum(increase(inkstone_requests_total{status=~"5.."}[WINDOW]))',
        "Availability",
        "Chat requests fail by our fault faster than 99.5 % of 30 days allow.",
        bad={
            'inkstone_requests_total{status="200"}': "0+60x80",
            'inkstone_requests_total{status="502"}': "0+60x80",
        },
        good={
            'inkstone_requests_total{status="200"}': "0+999x80",
            'inkstone_requests_total{status="502"}': "0+1x80",
            'inkstone_requests_total{status="499"}': "0+500x80",
        },
        few={
            'inkstone_requests_total{status="200"}': "0+1x8 8x20",
            'inkstone_requests_total{status="503"}': "0x9 1x20",
        },
        few_bad={
            'inkstone_requests_total{status="200"}': "0x5 1x80",
            'inkstone_requests_total{status="503"}': "0+1x80",
        },
    ),
    Objective(
        "slow",
        0.95,
        '1 - sum(rate(inkstone_time_to_first_token_seconds_bucket{le="2.5"}[WINDOW]))'
        " / sum(rate(inkstone_time_to_first_token_seconds_count[WINDOW]))",
        "sum(increase(inkstone_time_to_first_token_seconds_count[WINDOW]))"
        ' - sum(increase(inkstone_time_to_first_token_seconds_bucket{le="2.5"}[WINDOW]))',
        "FirstToken",
        "First tokens take more than 2.5 s more often than 95 % of 30 days allow.",
        bad={
            'inkstone_time_to_first_token_seconds_bucket{le="2.5"}': "0+10x80",
            "inkstone_time_to_first_token_seconds_count": "0+100x80",
        },
        good={
            'inkstone_time_to_first_token_seconds_bucket{le="2.5"}': "0+97x80",
            "inkstone_time_to_first_token_seconds_count": "0+100x80",
        },
        few={
            'inkstone_time_to_first_token_seconds_bucket{le="2.5"}': "0x20",
            "inkstone_time_to_first_token_seconds_count": "0x3 0+1x8 9x20",
        },
        few_bad={
            'inkstone_time_to_first_token_seconds_bucket{le="2.5"}': "0x5 1x80",
            "inkstone_time_to_first_token_seconds_count": "0+1x80",
        },
    ),
    Objective(
        "ungrounded",
        0.99,
        "sum(rate(inkstone_ungrounded_total[WINDOW]))"
        " / (sum(rate(inkstone_ungrounded_total[WINDOW]))"
        " + sum(rate(inkstone_retrieved_passages_count[WINDOW])))",
        "sum(increase(inkstone_ungrounded_total[WINDOW]))",
        "Grounding",
        "Requests are answered without their documents more often than 1 % of 30 days.",
        bad={
            "inkstone_ungrounded_total": "0+50x80",
            "inkstone_retrieved_passages_count": "0+50x80",
        },
        good={
            "inkstone_ungrounded_total": "0+1x80",
            "inkstone_retrieved_passages_count": "0+999x80",
        },
        few={
            "inkstone_ungrounded_total": "0x9 1x20",
            "inkstone_retrieved_passages_count": "0+1x8 8x20",
        },
        few_bad={
            "inkstone_ungrounded_total": "0+1x80",
            "inkstone_retrieved_passages_count": "0x5 1x80",
        },
    ),
)
"""The objectives, each with the budget that its alerts watch."""

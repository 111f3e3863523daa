# SPDX-License-Identifier: Apache-2.0
"""What every peer's program shares: warm up, then time calls and print one JSON line a round."""
import json
import statistics
import sys
import time


def add_arguments(parser, repeat):
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeat", type=int, default=repeat, help="calls a round")
    parser.add_argument("--serve", action="store_true",
                        help="a round for every line on standard input, so that another program can take turns")


def report(call, images, facts, a, warm=2):
    """Calls `call` (which works on `images` pictures); a line holds `facts`, all seconds and the median's rate."""
    for _ in range(warm):
        call()
    print(json.dumps(dict(facts, ready=True)), flush=True)
    for _ in sys.stdin if a.serve else [""]:
        seconds = []
        for _ in range(a.repeat):
            start = time.perf_counter()
            call()
            seconds.append(time.perf_counter() - start)
        median = statistics.median(seconds)
        print(json.dumps(dict(facts, threads=a.threads, seconds=seconds, images_per_second=images / median,
                              ms_an_image=1000 * median / images)), flush=True)

"""The product's benchmarks: `python -m benchmarks`, or `make bench` for a short form.

Everything is measured from outside, on real processes: a server, and a load generator that is a
process of its own. Timings of a shared machine are noisy, so what is compared runs in alternating
rounds of one run, and ratios count, not absolute times.
"""
